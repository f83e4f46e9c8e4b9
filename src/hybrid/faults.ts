/**
 * What can go wrong between a host and the VMM that it asks for a port.
 *
 * @module
 */
import { POLLRDHUP } from "../../ffi/abi/poll.ts";
import { isSysError } from "../../ffi/errno.ts";
import type { UnixAddress } from "../address.ts";
import { requireInteger, requireKnown, requireWithin } from "../arguments.ts";
import type { KernelSocket } from "../kernel/socket.ts";
import { shown } from "../shown.ts";
import { sleepUnheld, TIMER_MAX_MS } from "../wait/waiting.ts";

/** Faults of a stand-in for a VMM. */
export interface HybridFaults {
  /**
   * What it does for a port that the guest listens on: `"ok"` says `OK` and a number, `"none"`
   * hands the connection to the guest without a word, as old VMMs do, `"close"` closes without a
   * word, `"silence"` never answers. @default {"ok"}
   */
  readonly answer?: "ok" | "none" | "close" | "silence" | undefined;
  /** What it says in place of `OK` and a number; the end of the line is not added. */
  readonly text?: string | undefined;
  /** Milliseconds until it answers. @default {0} */
  readonly delayMs?: number | undefined;
  /** Bytes of the answer that are sent at a time, a few milliseconds between. @default {all} */
  readonly splitBytes?: number | undefined;
}

const SPLIT_MS = 3;

const KNOWN: readonly (keyof HybridFaults)[] = ["answer", "text", "delayMs", "splitBytes"];
const ANSWERS: readonly unknown[] = ["ok", "none", "close", "silence"];

/** Throws a TypeError or RangeError unless `faults` can be made. */
export function requireFaults(faults: HybridFaults): void {
  requireKnown("faults", faults, KNOWN);
  const { answer = "ok", delayMs = 0, splitBytes = 1 } = faults;
  if (!ANSWERS.includes(answer)) {
    throw new TypeError(
      `Cannot use answer: must be of ${ANSWERS.join(", ")}: current value is ${shown(answer)}`,
    );
  }
  requireWithin("delayMs", delayMs, 0, TIMER_MAX_MS);
  requireInteger("splitBytes", splitBytes, 1, Number.MAX_SAFE_INTEGER);
}

/** What is said for `hostPort`; `undefined` where the connection is closed without a word. */
export function answerOf(faults: HybridFaults, hostPort: number): string | undefined {
  const { answer = "ok", text = `OK ${hostPort}\n` } = faults;
  if (answer === "close") return undefined;
  return answer === "ok" ? text : "";
}

/** Says `text`, if anything: whether the host is still there then, and can be handed on. */
export async function sendAnswer(
  unix: KernelSocket<UnixAddress>,
  text: string,
  faults: HybridFaults,
): Promise<boolean> {
  const { answer, delayMs = 0 } = faults;
  if (delayMs > 0) await sleepUnheld(delayMs);
  if (answer === "silence") {
    await unix.wait(POLLRDHUP);
    return false;
  }
  const bytes = new TextEncoder().encode(text);
  const { splitBytes = bytes.length } = faults;
  for (let at = 0; at < bytes.length; at += splitBytes) {
    if (at > 0) await sleepUnheld(SPLIT_MS);
    if (!trySend(unix, bytes.subarray(at, at + splitBytes))) break;
  }
  return true;
}

/** `false` where the host has closed meanwhile; the guest, which accepts first, is to see that. */
function trySend(unix: KernelSocket<UnixAddress>, bytes: Uint8Array): boolean {
  try {
    return unix.send(bytes, 0) === bytes.length;
  } catch (error) {
    if (isSysError(error, "EPIPE")) return false;
    throw error;
  }
}
