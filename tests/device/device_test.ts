/** What the device offers a front end, and what it makes of odd ones that are not wrong. */
import { after, before, test } from "node:test";
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { EFD_CLOEXEC, EFD_NONBLOCK, EFD_SEMAPHORE } from "../../ffi/abi/eventfd.ts";
import { SysError } from "../../ffi/errno.ts";
import { close, eventfd, write } from "../../ffi/file_calls.ts";
import { connect } from "../../src/connect.ts";
import { VsockError } from "../../src/error.ts";
import {
  createVsockDevice,
  type VsockDevice,
  type VsockDeviceFeatures,
} from "../../src/vhost_user/device.ts";
import { TX } from "../../src/vhost_user/guest.ts";
import { REQUEST } from "../../src/vhost_user/protocol.ts";
import { collect } from "../helpers/collect.ts";
import { until } from "../helpers/until.ts";
import { exchange, meet, warmUp } from "./exchange.ts";
import { leavesNothing } from "./footprint.ts";
import { frame } from "./front_end.ts";
import { GuestRing } from "./guest_ring.ts";
import { freshPath, GUEST_CID } from "./lab.ts";
import { Machine } from "./machine.ts";

const TIMEOUT_MS = 60_000;
/** The ring for events. */
const EVENTS = 2;
const NOTHING: Uint8Array<ArrayBuffer> = new Uint8Array(0);
const faults: string[] = [];
let device: VsockDevice;

before(async () => {
  device = createVsockDevice({
    socketPath: freshPath(),
    guestCid: GUEST_CID,
    onFault: ({ name, message }) => faults.push(`${name}: ${message}`),
  });
  await warmUp(device);
});

after(() => device.close());

/** A test that leaves nothing behind. */
function clean(name: string, run: () => Promise<void>): void {
  test(name, { timeout: TIMEOUT_MS }, () => leavesNothing(run));
}

clean("VsockDevice offers CONFIG and REPLY_ACK, VERSION_1, and the CID", async () => {
  using machine = await Machine.powerOn(device.guest);
  const { frontEnd, cid } = machine;
  assertEquals([cid, frontEnd.protocol, frontEnd.features], [GUEST_CID, 0x208n, 0x1_7000_0002n]);
  assertEquals(await frontEnd.config(0, 8), Uint8Array.of(GUEST_CID, 0, 0, 0, 0, 0, 0, 0));
  assertEquals(await frontEnd.config(1, 2), new Uint8Array(2));
  assertEquals(await frontEnd.config(100, 9), new Uint8Array(9), "there is no more");
});

const CHOICES: readonly (readonly [VsockDeviceFeatures, bigint])[] = [
  [{}, 0x1_7000_0002n],
  [{ seqpacket: false }, 0x1_7000_0000n],
  [{ eventIdx: false }, 0x1_5000_0002n],
  [{ indirect: false, eventIdx: false }, 0x1_4000_0002n],
];

for (const [features, offered] of CHOICES) {
  clean(
    `VsockDevice with ${JSON.stringify(features)} offers 0x${offered.toString(16)}`,
    async () => {
      using device = createVsockDevice({ socketPath: freshPath(), guestCid: 3, features });
      using machine = await Machine.start(device.guest);
      assertEquals(machine.frontEnd.features, offered);
      await exchange(device, machine);
      const messages = meet(machine.transport, device, "seqpacket");
      if (features.seqpacket !== false) return (await messages)[Symbol.dispose]();
      const error = await assertRejects(() => messages, VsockError);
      assertEquals(error.code, "ESOCKTNOSUPPORT");
    },
  );
}

clean("VsockDevice does without REPLY_ACK, as a front end may", async () => {
  using machine = await Machine.start({ ...device.guest, protocol: 0x200n, regions: 1 });
  assertEquals(machine.frontEnd.protocol, 0x200n);
  await exchange(device, machine);
});

clean("VsockDevice keeps the ring for events of a front end that has it here, too", async () => {
  using machine = await Machine.powerOn(device.guest);
  const { frontEnd, ram } = machine;
  using events = new GuestRing(ram, { size: 64, eventIdx: true, indirect: true });
  await frontEnd.setMemory(ram.regions, ram.fd);
  await frontEnd.setEvent(REQUEST.SET_VRING_CALL, EVENTS, events.call);
  await frontEnd.setEvent(REQUEST.SET_VRING_ERR, EVENTS, events.err);
  await frontEnd.setRing(EVENTS, events.setup);
  await frontEnd.enable(EVENTS, true);
  await frontEnd.settled();
  assertEquals(device.guest.up, false, "not by that one alone");
  events.driver.add([{ address: ram.take(4).address, length: 4, writable: true }]);
  events.kickNow();
  await machine.boot();
  await device.guest.ready();
  using pair = await meet(machine.transport, device);
  assertEquals(await frontEnd.getBase(EVENTS), 0, "nothing was taken");
  await pair.near.write(Uint8Array.of(7));
  assertEquals(await pair.far.read(new Uint8Array(1)), 1, "nothing else has stopped");
  await exchange(device, machine);
  assertEquals([events.driver.getUsed(), machine.guest.faults], [undefined, []]);
});

clean("VsockDevice takes a message in single bytes, and many messages at once", async () => {
  using machine = await Machine.powerOn(device.guest);
  const { frontEnd } = machine;
  const ask = frame(REQUEST.GET_FEATURES, NOTHING);
  for (const byte of ask) {
    await frontEnd.write(Uint8Array.of(byte));
    await new Promise((resolve) => setTimeout(resolve, 1)); // so that it comes alone, as a rule
  }
  assertEquals((await frontEnd.reply(REQUEST.GET_FEATURES)).byteLength, 8);
  const all = new Uint8Array(ask.length * 100);
  for (let at = 0; at < all.length; at += ask.length) all.set(ask, at);
  await frontEnd.write(all);
  for (let i = 0; i < 100; i++) await frontEnd.reply(REQUEST.GET_FEATURES);
});

clean("VsockDevice hangs up on a front end that reads no replies", async () => {
  faults.length = 0;
  using machine = await Machine.powerOn(device.guest);
  const ask = frame(REQUEST.GET_FEATURES, NOTHING);
  await assertRejects(async () => {
    for (;;) await machine.frontEnd.write(ask);
  }, SysError);
  assertEquals(faults.length, 1, `${faults}`);
  machine.close();
  using next = await Machine.start(device.guest);
  await exchange(device, next);
});

/** Descriptors in the place of the eventfd that the device calls by: nothing but calls is lost. */
const CALLS: Readonly<Record<string, () => number>> = {
  "an eventfd that is full": () => {
    const fd = eventfd(0, EFD_CLOEXEC);
    write(fd, new Uint8Array(BigUint64Array.of(0xffff_ffff_ffff_fffen).buffer));
    return fd;
  },
};

for (const [name, open] of Object.entries(CALLS)) {
  clean(`VsockDevice calls by ${name}, and is not harmed`, async () => {
    using machine = await Machine.start(device.guest);
    const fd = open();
    await machine.frontEnd.setEvent(REQUEST.SET_VRING_CALL, TX, fd);
    await machine.frontEnd.settled();
    using pair = await meet(machine.transport, device);
    pair.near.socket.send(new Uint8Array(1_000), 0);
    assertEquals(await pair.far.read(new Uint8Array(2_000)), 1_000);
    close(fd);
  });
}

clean("VsockDevice is not stalled by a kick that never ends", async () => {
  using other = device.addGuest({ socketPath: freshPath(), guestCid: GUEST_CID + 1 });
  using bystander = await Machine.start(other);
  using machine = await Machine.start(device.guest);
  const fd = eventfd(0xffff_ffff, EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE); // a read takes 1
  await machine.frontEnd.setEvent(REQUEST.SET_VRING_KICK, TX, fd);
  await exchange(device, bystander);
  await exchange(device, machine);
  close(fd);
});

clean("VsockDevice.addGuest() refuses a CID that is no guest's, or another's", () => {
  for (const guestCid of [-1, 0, 1, 2, 3.5, 2 ** 32 - 1, 2 ** 32, NaN, GUEST_CID]) {
    assertThrows(() => device.addGuest({ socketPath: freshPath(), guestCid }), RangeError);
  }
  assertEquals([...device.guests.keys()], [GUEST_CID]);
  return Promise.resolve();
});

clean("VsockDevice.addGuest() knows nothing of a guest whose path was taken", async () => {
  const cids = { guestCid: 4, siblings: true };
  const { socketPath } = device.guest;
  const { code } = assertThrows(() => device.addGuest({ socketPath, ...cids }), VsockError);
  assertEquals([code, [...device.guests.keys()]], ["EADDRINUSE", [GUEST_CID]]);
  using other = device.addGuest({ socketPath: freshPath(), ...cids });
  using machine = await Machine.start(other);
  await exchange(device, machine);
  other.close();
  await assertRejects(() => connect({ cid: 4, port: 1 }, { transport: device }), VsockError);
});

clean("VsockDevice keeps nothing of a guest that is closed", async () => {
  const options = { socketPath: freshPath(), guestCid: 4, siblings: true };
  const comeAndGo = (): WeakRef<object> => {
    using other = device.addGuest(options);
    return new WeakRef(other.counters);
  };
  const counters = comeAndGo();
  await until(() => {
    collect();
    return counters.deref() === undefined;
  });
});

clean("VsockDevice lets guests talk to each other where both may", async () => {
  using device = createVsockDevice({ socketPath: freshPath(), guestCid: 3, siblings: true });
  using second = device.addGuest({ socketPath: freshPath(), guestCid: 4, siblings: true });
  using loner = device.addGuest({ socketPath: freshPath(), guestCid: 5 });
  using a = await Machine.start({ ...device.guest, siblings: [4, 5] });
  using b = await Machine.start({ ...second, siblings: [3] });
  using c = await Machine.start({ ...loner, siblings: [3] });
  await exchange(a.transport, b);
  for (const machine of [a, b, c]) await exchange(device, machine);
  for (const [from, to] of [[c, a], [a, c]] as const) {
    const error = await assertRejects(() => meet(to.transport, from.transport), VsockError);
    assertEquals(error.code, "ECONNRESET", "though somebody listens");
  }
  for (const { guest } of [a, b, c]) assertEquals(guest.faults, []);
});
