/**
 * A device and a fake guest, for the conformance cases: each of the two as the near end.
 *
 * @module
 */
import { closeSync, openSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { F_DUPFD_CLOEXEC } from "../../ffi/abi/fcntl.ts";
import { fcntl } from "../../ffi/file_calls.ts";
import { createVsockDevice, type VsockDevice } from "../../src/vhost_user/device.ts";
import type { Header } from "../../src/virtio/packet.ts";
import type { Lab, Need, Pair } from "../conformance/case.ts";
import { openPair, type Parts } from "../conformance/ends.ts";
import { serve } from "../conformance/far.ts";
import { until } from "../helpers/until.ts";
import { FakeGuest } from "./guest.ts";
import { GuestRing } from "./guest_ring.ts";
import { Machine, type MachineOptions } from "./machine.ts";
import { Ram } from "./ram.ts";

/** The CID of a fake guest. */
export const GUEST_CID = 42;
const NOWHERE = { cid: 77, port: 5000 };
const HAS: readonly Need[] = [
  ...["seqpacket", "mapRx", "wholeMessages", "silence", "loss", "nowhere", "tap"] as const,
];
const LACKS: Lab["lacks"] = {
  zeroCopySend: "it always copies what is sent; run it in the guest by deno task vm",
  unprivileged: "who makes a device is privileged; run it on the loopback in one event loop",
  waitSync: "both ends share this thread; run it with the guest in a Worker",
  spins: "both ends share this thread; run it on the loopback between threads",
  oneLoop: "a device waits for other processes; run it on the loopback in one event loop",
  wire: "the stack is the same; run it on the loopback in one event loop",
  clock: "time is real; run it on the loopback in one event loop",
};

/** A path for a Unix socket that nobody uses. */
export function freshPath(): string {
  return join(tmpdir(), `vsockit-${crypto.randomUUID()}.sock`);
}

/** A descriptor of a file that no runtime keeps a record of. */
export function opened(path: string, flags: string): number {
  const fd = openSync(path, flags);
  try {
    return fcntl(fd, F_DUPFD_CLOEXEC);
  } finally {
    closeSync(fd);
  }
}

/** Receive buffers that a packet of any size fits in, one descriptor each. */
export const LARGE_BUFFERS: readonly number[] = [44 + 0x1_0000];
/** A guest without EVENT_IDX and INDIRECT_DESC; payloads are sent as Linux has them of 64 KiB. */
export const PLAIN: GuestChoice = { eventIdx: false, indirect: false, piece: 0x8000, base: 0xfff0 };

/** How the fake guest works. */
export type GuestChoice = Omit<MachineOptions, "socketPath" | "tap">;

/** Cases in which small receive buffers of the guest show: why. */
const CUT =
  "a packet is cut where a receive buffer of the guest ends, so it gets several, each of " +
  "which gives its own credit; run it with larger ones";
const PIECES = "what lies in several places of the guest is mapped as several packets";
export const DIFFERS: ReadonlyMap<string, string> = new Map([
  ["recv() of a part of a packet gives no credit back, of the whole it does", CUT],
  ["mapRx() takes 1 page for 1 byte and 16 pages for 65536", PIECES],
]);

/** The device is the near end, and a guest as `choice` says is far. */
export function deviceLab(name: string, choice: GuestChoice): Lab {
  return {
    name,
    has: new Set(HAS),
    lacks: LACKS,
    ...(choice.buffers === LARGE_BUFFERS ? {} : { differs: DIFFERS }),
    async open(): Promise<Pair> {
      const packets: Header[] = [];
      const tap = (packet: Header): void => void packets.push(packet);
      const socketPath = freshPath();
      const device = createVsockDevice({ socketPath, guestCid: GUEST_CID, tap });
      const machine = await Machine.start({ ...choice, socketPath });
      await device.guest.ready();
      const mute = await mutedDevice();
      return openPair({
        ...parts(device, machine),
        transport: device,
        channel: serve(machine.transport),
        packets,
        silent: { transport: mute.device, address: { cid: GUEST_CID, port: 5000 } },
        close: async () => {
          mute.machine.close();
          mute.device.close();
          await end(device, machine);
        },
      });
    },
  };
}

/** A guest as `choice` says is the near end, and the device is far. */
export function guestLab(name: string, choice: GuestChoice): Lab {
  return {
    name,
    has: new Set([...HAS, "oneLoop"]),
    lacks: LACKS,
    async open(): Promise<Pair> {
      const packets: Header[] = [];
      const tap = (packet: Header): void => void packets.push(packet);
      const socketPath = freshPath();
      const device = createVsockDevice({ socketPath, guestCid: GUEST_CID });
      const machine = await Machine.start({ ...choice, socketPath, tap });
      await device.guest.ready();
      const mute = mutedGuest();
      return openPair({
        ...parts(device, machine),
        transport: machine.transport,
        channel: serve(device),
        packets,
        silent: { transport: mute.guest.transport, address: { cid: 2, port: 5000 } },
        close: async () => {
          mute.close();
          await end(device, machine);
        },
      });
    },
  };
}

function parts(device: VsockDevice, machine: Machine): Pick<Parts, "nowhere" | "lose"> {
  return {
    nowhere: NOWHERE,
    async lose() {
      machine.close();
      await until(() => !device.guest.up);
    },
  };
}

async function end(device: VsockDevice, machine: Machine): Promise<void> {
  machine.close();
  device.close();
  if (machine.guest.faults.length > 0) throw new Error(machine.guest.faults.join("\n"));
  await Promise.resolve();
}

/** A device whose guest has rings and does nothing with them. */
async function mutedDevice(): Promise<{ device: VsockDevice; machine: Machine }> {
  const socketPath = freshPath();
  const device = createVsockDevice({ socketPath, guestCid: GUEST_CID });
  const machine = await Machine.powerOn({ socketPath });
  await machine.describe();
  for (const index of machine.rings.keys()) await machine.frontEnd.enable(index, true);
  await device.guest.ready();
  return { device, machine };
}

/** A guest whose rings no device has. */
function mutedGuest(): { guest: FakeGuest; close: () => void } {
  const ram = new Ram();
  const features = { eventIdx: true, indirect: true, seqpacket: true };
  const ring = { size: 128, ...features };
  const [rx, tx] = [new GuestRing(ram, ring), new GuestRing(ram, ring)];
  const guest = new FakeGuest({ cid: GUEST_CID, ram, rx, tx, ...features });
  return {
    guest,
    close() {
      guest.stop();
      rx.close();
      tx.close();
      ram.close();
    },
  };
}
