/**
 * Conformance of Linux in a machine, the far end being the device: what `near_guest_test.ts` runs
 * in there.
 *
 * @module
 */
import "../vm/in_guest.ts";
import { openVsock } from "../../src/kernel/transport.ts";
import type { Lab } from "../conformance/case.ts";
import { openPair } from "../conformance/ends.ts";
import { openMessageChannel } from "../conformance/message_channel.ts";
import { conformance } from "../conformance/suite.ts";
import { kernelDifferences } from "../guest/kernel.ts";
import { KERNEL_HAS, KERNEL_LACKS } from "../guest/kernel_lab.ts";
import { ControlGuest } from "../vm/control_guest.ts";
import { GUEST_DIFFERENCES } from "./guest_differences.ts";

const transport = openVsock();
const { channel } = openMessageChannel(new ControlGuest());

const lab: Lab = {
  name: "Linux and the device",
  has: new Set(KERNEL_HAS),
  lacks: {
    ...KERNEL_LACKS,
    nowhere: "a guest sends to the host whatever no other transport takes; run it natively",
    silence: "the device always answers; run it with a fake guest",
    loss: "QEMU goes on without a device, and Linux does not notice; run it from the host",
  },
  differs: new Map([...GUEST_DIFFERENCES, ...await kernelDifferences()]),
  open: () => openPair({ transport, channel }),
};

conformance(lab);
