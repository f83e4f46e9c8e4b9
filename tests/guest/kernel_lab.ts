/**
 * What sockets of a kernel have that the conformance cases need, whatever their far end is.
 *
 * @module
 */
import { openVsock } from "../../src/kernel/transport.ts";
import type { Lab, Need } from "../conformance/case.ts";
import { NO_SEQPACKET, NO_ZEROCOPY } from "./kernel.ts";

const { mapRx } = openVsock().capabilities;

/** What this kernel has. */
export const KERNEL_HAS: readonly Need[] = [
  "waitSync",
  ...(NO_SEQPACKET === false ? ["seqpacket"] as const : []),
  ...(NO_ZEROCOPY === false ? ["zeroCopySend"] as const : []),
  ...(mapRx ? ["mapRx", "spins"] as const : []),
];

/** Why it has not the rest. */
export const KERNEL_LACKS: Lab["lacks"] = {
  ...(NO_SEQPACKET !== false && { seqpacket: NO_SEQPACKET }),
  ...(NO_ZEROCOPY !== false && { zeroCopySend: NO_ZEROCOPY }),
  mapRx: "the kernel has no SO_VM_SOCKETS_ZEROCOPY; run it on the lab flavour",
  spins: "the kernel has no SO_VM_SOCKETS_ZEROCOPY; run it on the lab flavour",
  wholeMessages: "Linux begins with a message that has credit for a part; run it on the loopback",
  unprivileged: "root binds any port; run it on the loopback in one event loop",
  oneLoop: "the kernel goes on while a thread blocks; run it on the loopback in one event loop",
  wire: "the kernel's stack takes no packets from here; run it on the loopback in one event loop",
  tap: "the kernel's packets are not seen; run it on the loopback",
  clock: "the kernel's time is real; run it on the loopback in one event loop",
};
