/**
 * Where a command prints: standard output for results, standard error for everything else.
 *
 * @module
 */
import process from "node:process";
import { POLLOUT } from "../../../ffi/abi/poll.ts";
import { pollNow } from "../../kernel/poll.ts";
import { readVariable } from "../environment.ts";
import { printer } from "./printer.ts";

const FDS = { out: 1, err: 2 };

/** The two streams of a command, and what the second one can show. */
export interface Terminal {
  /** Writes results. */
  out(text: string): void;
  /** Writes errors and progress. */
  err(text: string): void;
  /** Whether a line for the stream goes at once, whatever its reader does. @default {true} */
  ready?(stream: "out" | "err"): boolean;
  /** Whether the last text for the stream was refused, as by a full disk. @default {false} */
  refused?(stream: "out" | "err"): boolean;
  /** Whether `err` is a terminal on which a line can be drawn over. */
  readonly interactive: boolean;
  /** Whether `err` takes colours: `interactive`, and `NO_COLOR` is not set. */
  readonly color: boolean;
  /** Whether `out` takes colours, by the same rule. @default {false} */
  readonly outColor?: boolean;
  /** Characters in a line of `err`, now. */
  readonly columns: number;
}

/** The streams of this process. */
export function processTerminal(): Terminal {
  const { stdout, stderr } = process;
  const capable = readVariable("TERM") !== "dumb";
  const plain = Boolean(readVariable("NO_COLOR"));
  const interactive = stderr.isTTY === true && capable;
  const printers = { out: printer(stdout, FDS.out), err: printer(stderr, FDS.err) };
  return {
    out: printers.out.print,
    err: printers.err.print,
    ready: (stream): boolean => pollNow(FDS[stream], POLLOUT) !== 0,
    refused: (stream): boolean => printers[stream].refused,
    interactive,
    color: interactive && !plain,
    outColor: stdout.isTTY === true && capable && !plain,
    get columns(): number {
      return stderr.columns || 80; // 0 where the terminal does not know
    },
  };
}
