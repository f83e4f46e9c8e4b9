/**
 * Whether this machine is one to measure AF_VSOCK on.
 *
 * @module
 */
import { existsSync } from "node:fs";

/** Whether CID 1 is this machine, both ways. */
function hasLocalVsock(): boolean {
  return existsSync("/sys/module/vsock_loopback");
}

/** Refuses to measure where CID 1 is not this machine. */
export function requireLocalVsock(): void {
  if (hasLocalVsock()) return;
  throw new Error(
    "Cannot measure AF_VSOCK: must be a machine with vsock_loopback, such as the laboratory's: " +
      "deno task vm -- deno task bench:kernel",
  );
}
