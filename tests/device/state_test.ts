/** A program may close a guest as soon as it is told that its driver has stopped. */
import { test } from "node:test";
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { AF_UNIX, SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_STREAM } from "../../ffi/abi/socket.ts";
import { WOULD_BLOCK } from "../../ffi/errno.ts";
import { close } from "../../ffi/file_calls.ts";
import { recv, socketpair } from "../../ffi/socket_calls.ts";
import { createVsockDevice, type VsockDevice } from "../../src/vhost_user/device.ts";
import { RX } from "../../src/vhost_user/guest.ts";
import { FrontEnd } from "./front_end.ts";
import { freshPath, GUEST_CID } from "./lab.ts";
import { Machine } from "./machine.ts";

const TIMEOUT_MS = 60_000;
const PAIR = SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK;
/** More than a guest has descriptors. */
const PAIRS = 12;

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

test("VsockGuest serves the next VMM though onState throws: onFault is told", {
  timeout: TIMEOUT_MS,
}, async () => {
  const faults: string[] = [];
  using device = createVsockDevice({
    socketPath: freshPath(),
    guestCid: GUEST_CID,
    onState({ up }) {
      if (!up) throw new Error("onState of the program");
    },
    onFault: ({ message }) => void faults.push(message),
  });
  using machine = await Machine.start(device.guest);
  await device.guest.ready();
  const connecting = FrontEnd.connect(device.guest.socketPath);
  machine.frontEnd.hangUp();
  using next = await connecting;
  await next.settled();
  assertEquals(faults, ["onState of the program"]);
});

test("VsockGuest.close() closes all though onState throws", { timeout: TIMEOUT_MS }, async () => {
  using device = createVsockDevice({
    socketPath: freshPath(),
    guestCid: GUEST_CID,
    onState({ up }) {
      if (!up) throw new Error("onState of the program");
    },
  });
  using machine = await Machine.start(device.guest);
  await device.guest.ready();
  assertThrows(() => device.guest.close(), Error, "onState of the program");
  await machine.frontEnd.closed();
  assertEquals(device.guests.size, 0);
});
