/** A program that is told that a driver has stopped may close its guest, or throw. */
import { test } from "node:test";
import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { AF_UNIX, SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_STREAM } from "../../ffi/abi/socket.ts";
import { WOULD_BLOCK } from "../../ffi/errno.ts";
import { close } from "../../ffi/file_calls.ts";
import { recv, socketpair } from "../../ffi/socket_calls.ts";
import { listen } from "../../src/listen.ts";
import { createVsockDevice, type VsockDevice } from "../../src/vhost_user/device.ts";
import { RX } from "../../src/vhost_user/guest.ts";
import { Uncaught } from "../helpers/uncaught.ts";
import { until } from "../helpers/until.ts";
import { FrontEnd } from "./front_end.ts";
import { freshPath, GUEST_CID } from "./lab.ts";
import { Machine } from "./machine.ts";
import { RawGuest } from "./raw_guest.ts";

const TIMEOUT_MS = 60_000;
const PAIR = SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK;
/** More than a guest has descriptors. */
const PAIRS = 12;
const THROWN = "onState of the program";

/** A device that closes its guest when that has stopped, and calls `closed` then. */
function makeDevice(closed: () => void): VsockDevice {
  return createVsockDevice({
    socketPath: freshPath(),
    guestCid: GUEST_CID,
    onState(guest) {
      if (guest.up) return;
      guest.close();
      closed();
    },
  });
}

test("VsockGuest.close() while a ring stops sends its reply to nobody else", {
  timeout: TIMEOUT_MS,
}, async () => {
  const fds: number[] = [];
  using device = makeDevice(() => {
    for (let i = 0; i < PAIRS; i++) fds.push(...socketpair(AF_UNIX, PAIR));
  });
  using machine = await Machine.start(device.guest);
  await assertRejects(() => machine.frontEnd.getBase(RX), Error, "closed the connection");
  const got = fds.map((fd) => recv(fd, new Uint8Array(100), 0));
  for (const fd of fds) close(fd);
  assertEquals(got, new Array(2 * PAIRS).fill(WOULD_BLOCK));
});

test("VsockGuest.close() when its VMM has gone turns the next one away", {
  timeout: TIMEOUT_MS,
}, async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  using device = makeDevice(resolve);
  using machine = await Machine.start(device.guest);
  await device.guest.ready();
  const next = FrontEnd.connect(device.guest.socketPath);
  machine.frontEnd.hangUp();
  await promise;
  await (await next).closed();
});

/** A device whose onState throws when a guest stops, and what its onFault is told. */
function throwingDevice(): { readonly device: VsockDevice; readonly faults: string[] } {
  const faults: string[] = [];
  const device = createVsockDevice({
    socketPath: freshPath(),
    guestCid: GUEST_CID,
    onState({ up }) {
      if (!up) throw new Error(THROWN);
    },
    onFault({ message }) {
      faults.push(message);
      throw new Error(`at ${message}`);
    },
  });
  return { device, faults };
}

test("VsockGuest serves the next VMM though onState throws: onFault is told", {
  timeout: TIMEOUT_MS,
}, async () => {
  using uncaught = new Uncaught();
  const { device, faults } = throwingDevice();
  using _device = device;
  using machine = await Machine.start(device.guest);
  await device.guest.ready();
  const connecting = FrontEnd.connect(device.guest.socketPath);
  machine.frontEnd.hangUp();
  using next = await connecting;
  await next.settled();
  assertEquals(faults, [THROWN]);
  assertEquals(uncaught.messages, [`at ${THROWN}`]);
});

test("VsockDevice tells onFault what a VMM has done wrong, though onState throws", {
  timeout: TIMEOUT_MS,
}, async () => {
  using _uncaught = new Uncaught();
  const { device, faults } = throwingDevice();
  using _device = device;
  using machine = await Machine.start(device.guest);
  await device.guest.ready();
  await machine.frontEnd.post(1_000, new Uint8Array(0));
  await machine.frontEnd.closed();
  assertEquals(faults, [THROWN, "a request must be a known one: current value is 1000"]);
});

test("VsockDevice tells onFault what a guest has broken, though onState throws", {
  timeout: TIMEOUT_MS,
}, async () => {
  using _uncaught = new Uncaught();
  const { device, faults } = throwingDevice();
  using _device = device;
  using guest = await RawGuest.start(device.guest);
  const { avail } = guest.tx.memory;
  new Uint16Array(avail.buffer, avail.byteOffset, 2)[1]! += 129;
  guest.tx.kickNow();
  await until(() => faults.length === 2);
  assertEquals(faults[0], THROWN);
  assertMatch(faults[1]!, /idx must be at most/);
});

test("VsockDevice closes what it is told to, though onState and onFault throw", {
  timeout: TIMEOUT_MS,
}, async () => {
  using uncaught = new Uncaught();
  const { device, faults } = throwingDevice();
  const [more, last] = [1, 2].map((more) =>
    device.addGuest({ socketPath: freshPath(), guestCid: GUEST_CID + more })
  );
  using listener = listen({ cid: 2, port: 5_000 }, { transport: device });
  using machine = await Machine.start(device.guest);
  using other = await Machine.start(more!);
  using third = await Machine.start(last!);
  await Promise.all([device.guest, more!, last!].map((guest) => guest.ready()));
  more!.close();
  assertEquals([device.guests.size, faults], [2, [THROWN]]);
  device.close();
  for (const { frontEnd } of [machine, other, third]) await frontEnd.closed();
  assertEquals([device.guests.size, listener.socket.closed], [0, true]);
  assertEquals([faults, uncaught.messages.length], [Array(3).fill(THROWN), 3]);
});

test("a connection is closed, and its guest reset, though onState and onFault throw", {
  timeout: TIMEOUT_MS,
}, async () => {
  using uncaught = new Uncaught();
  const { device, faults } = throwingDevice();
  using _device = device;
  using listener = listen({ cid: 2, port: 5_000 }, { transport: device });
  using guest = await RawGuest.start(device.guest);
  await guest.connect(5_000);
  const conn = await listener.accept();
  const { avail } = guest.tx.memory;
  new Uint16Array(avail.buffer, avail.byteOffset, 2)[1]! += 129;
  conn.close();
  assertEquals([conn.socket.closed, device.guest.up, faults.length], [true, false, 2]);
  await Promise.resolve();
  assertEquals(uncaught.messages.length, 2);
});
