/**
 * The run: test by test, both ends in step.
 *
 * @module
 */
import { SO_ZEROCOPY, SOL_SOCKET } from "../../../ffi/abi/socket.ts";
import { SysError } from "../../../ffi/errno.ts";
import type { Socket } from "../../socket.ts";
import type { TestCase } from "./case.ts";
import { CASES } from "./cases.ts";
import type { End } from "./end.ts";

const [NEXT, SKIP, COMPLETED] = ["NEXT", "SKIP", "COMPLETED"];

/** How many tests ran, and how many did not. */
export interface Tally {
  readonly passed: number;
  readonly skipped: number;
}

/**
 * Runs all tests with the peer; `chosen` says which of them by ID. Prints as C does, with why a
 * test is skipped. The first failure ends it: the protocol has no word for one.
 */
export async function runTests(
  end: End,
  chosen: (id: number) => boolean,
  print: (text: string) => void,
): Promise<Tally> {
  let [passed, skipped] = [0, 0];
  for (let id = 0;; id++) {
    const test = CASES[id];
    const reason = reasonToSkip(end, test, chosen(id));
    const theirs = await meet(end, test === undefined ? COMPLETED : reason ? SKIP : NEXT);
    if (theirs === COMPLETED) {
      skipped += complete(id, print);
      return { passed, skipped };
    }
    print(`${id} - ${test?.name ?? "a test of the peer's"}...`);
    if (test === undefined || reason !== undefined || theirs === SKIP) {
      print(`skipped: ${reason ?? "the peer skips it"}\n`);
      skipped += 1;
      continue;
    }
    await test[end.mode]?.(end);
    print("ok\n");
    passed += 1;
  }
}

function reasonToSkip(
  end: End,
  test: TestCase | undefined,
  chosen: boolean,
): string | undefined {
  if (test === undefined) return "not in this list";
  if (!chosen) return "not asked for";
  const raw = test.raw?.[end.mode];
  if (raw !== undefined && !end.hasFds) return `${raw}, which needs a file descriptor`;
  // C's names say what a test is about.
  if (test.name.startsWith("SOCK_SEQPACKET") && isRefused(() => end.socket("seqpacket"))) {
    return "there are no SEQPACKET sockets here: Linux 5.14 and later have them";
  }
  if (raw !== undefined && test.name.includes("MSG_ZEROCOPY") && isRefused(() => zeroCopy(end))) {
    return "SO_ZEROCOPY is refused here: Linux 6.7 and later take it";
  }
  return undefined;
}

function zeroCopy(end: End): Socket {
  const socket = end.socket();
  try {
    socket.setsockopt(SOL_SOCKET, SO_ZEROCOPY, new Uint8Array(Int32Array.of(1).buffer));
    return socket;
  } catch (error) {
    socket.close();
    throw error;
  }
}

function isRefused(open: () => Socket): boolean {
  try {
    open().close();
    return false;
  } catch (error) {
    if (error instanceof SysError) return true;
    throw error;
  }
}

/**
 * Tells the peer what this end does about the next test, and gives its answer. A C program writes
 * first, whichever end it is; a client of ours reads first, and so can go by what the peer has:
 * more tests, or fewer.
 */
async function meet(end: End, ours: string): Promise<string> {
  const { control, mode } = end;
  if (mode === "server") control.send(ours);
  const theirs = await control.read();
  if (theirs !== NEXT && theirs !== SKIP && theirs !== COMPLETED) {
    throw new Error(`Expected "${NEXT}" on the control socket, got "${theirs}"`);
  }
  if (mode === "client") {
    control.send(theirs === COMPLETED ? COMPLETED : ours === COMPLETED ? SKIP : ours);
  } else if ((ours === COMPLETED) !== (theirs === COMPLETED) && theirs !== SKIP) {
    throw new Error("The peer has another list of tests: let it be the server");
  }
  return theirs;
}

/** The end of the peer's list: how many tests of ours were left. */
function complete(from: number, print: (text: string) => void): number {
  for (const [id, { name }] of CASES.entries()) {
    if (id >= from) print(`${id} - ${name}...skipped: the peer does not have it\n`);
  }
  return Math.max(0, CASES.length - from);
}
