/**
 * Whether this machine is one to measure AF_VSOCK on.
 *
 * @module
 */
import { kernelTransports } from "../src/kernel/reach.ts";

/** Refuses to measure where CID 1 is not this machine. */
export function requireLocalVsock(): void {
  const transports = kernelTransports();
  if (typeof transports !== "string" && transports.local) return;
  throw new Error(
    "Cannot measure AF_VSOCK: must be a machine with vsock_loopback, such as the laboratory's: " +
      "deno task vm -- deno task bench:kernel",
  );
}
