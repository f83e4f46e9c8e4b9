/**
 * Conformance of Linux in a machine, the far end being the device: what `near_guest_test.ts` runs
 * in there.
 *
 * @module
 */
import { openVsock } from "../../src/kernel/transport.ts";
import type { Lab, Need } from "../conformance/case.ts";
import { openPair } from "../conformance/ends.ts";
import { openMessageChannel } from "../conformance/message_channel.ts";
import { conformance } from "../conformance/suite.ts";
import { kernelDifferences, NO_SEQPACKET, NO_ZEROCOPY } from "../guest/kernel.ts";
import { ControlGuest } from "../vm/control_guest.ts";
import { GUEST_DIFFERENCES } from "./guest_differences.ts";

const transport = openVsock();
const { mapRx } = transport.capabilities;
const mapping: readonly Need[] = mapRx ? ["mapRx", "spins"] : [];
const { channel } = openMessageChannel(new ControlGuest());

const lab: Lab = {
  name: "Linux and the device",
  has: new Set([
    "waitSync",
    ...(NO_SEQPACKET === false ? ["seqpacket"] as const : []),
    ...(NO_ZEROCOPY === false ? ["zeroCopySend"] as const : []),
    ...mapping,
  ]),
  lacks: {
    ...(NO_SEQPACKET !== false && { seqpacket: NO_SEQPACKET }),
    ...(NO_ZEROCOPY !== false && { zeroCopySend: NO_ZEROCOPY }),
    mapRx: "the kernel has no SO_VM_SOCKETS_ZEROCOPY; run it on the lab flavour",
    spins: "the kernel has no SO_VM_SOCKETS_ZEROCOPY; run it on the lab flavour",
    wholeMessages: "Linux begins with a message that has credit for a part; run it on the loopback",
    nowhere: "a guest sends to the host whatever no other transport takes; run it natively",
    unprivileged: "root binds any port; run it on the loopback in one event loop",
    oneLoop: "the kernel goes on while a thread blocks; run it on the loopback in one event loop",
    silence: "the device always answers; run it with a fake guest",
    loss: "QEMU goes on without a device, and Linux does not notice; run it from the host",
    wire: "the kernel's stack takes no packets from here; run it on the loopback in one event loop",
    tap: "the kernel's packets are not seen; run it on the loopback",
    clock: "the kernel's time is real; run it on the loopback in one event loop",
  },
  differs: new Map([...GUEST_DIFFERENCES, ...await kernelDifferences()]),
  open: () => openPair({ transport, channel }),
};

conformance(lab);
