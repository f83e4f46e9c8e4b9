/** Conformance of the device, its guest being Linux in a machine. */
import type { Header } from "../../src/virtio/packet.ts";
import type { Lab, Pair } from "../conformance/case.ts";
import { openPair } from "../conformance/ends.ts";
import { openMessageChannel } from "../conformance/message_channel.ts";
import { conformance } from "../conformance/suite.ts";
import { DIFFERS } from "../device/lab.ts";
import { isKernelBefore } from "../vm/options.ts";
import { BLOCKED, denoRun, Host } from "./booted.ts";

const lab: Lab = {
  name: "device and Linux",
  has: new Set([
    ...["mapRx", "wholeMessages", "waitSync", "nowhere", "loss", "tap"] as const,
    ...(isKernelBefore("5.14") ? [] : ["seqpacket"] as const),
  ]),
  lacks: {
    seqpacket: "the guest's kernel is before 5.14: unset VSOCKIT_KERNEL",
    zeroCopySend: "it always copies what is sent; run it in the guest by deno task vm",
    unprivileged: "who makes a device is privileged; run it on the loopback in one event loop",
    silence: "Linux always answers; run it with a fake guest",
    spins: "this thread alone writes poll_value; run it on the loopback between threads",
    oneLoop: "the guest goes on while a thread blocks; run it on the loopback in one event loop",
    wire: "the guest's stack takes no packets from here; run it on the loopback in one event loop",
    clock: "the guest's time is real; run it on the loopback in one event loop",
  },
  differs: new Map([
    ...DIFFERS, // Linux has 128 buffers of 3776 bytes
    ...BLOCKED,
  ]),
  async open(): Promise<Pair> {
    const packets: Header[] = [];
    const host = await Host.open({ tap: (packet) => packets.push(packet) });
    const { device, control } = host;
    const guest = await host.boot({
      control: control.path,
      command: denoRun("tests/vm/far_guest.ts"),
    });
    const { channel } = openMessageChannel(control);
    return await openPair({
      transport: device,
      channel,
      packets,
      nowhere: { cid: 77, port: 5000 },
      async lose() {
        guest.kill();
        await guest.ended;
      },
      close: () => host[Symbol.asyncDispose](),
    });
  },
};

conformance(lab);
