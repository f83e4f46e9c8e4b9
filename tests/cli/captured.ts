/**
 * A command line, run in this process, with all that it prints.
 *
 * @module
 */
import { main } from "../../src/cli/mod.ts";

/** How a command line ended. */
export interface Captured {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs `vsockit` with `args`; `interactive` as on a terminal without colours. */
export async function vsockit(args: readonly string[], interactive = false): Promise<Captured> {
  let [out, err] = ["", ""];
  const code = await main(args, {
    out: (text: string): void => void (out += text),
    err: (text: string): void => void (err += text),
    interactive,
    color: false,
    columns: 80,
  });
  return { code, out, err };
}
