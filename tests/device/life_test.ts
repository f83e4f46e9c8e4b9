/** Guests come and go: their connections end, nothing is left, the next one is served. */
import { existsSync } from "node:fs";
import { before, test } from "node:test";
import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { POLLRDHUP } from "../../ffi/abi/poll.ts";
import { connect } from "../../src/connect.ts";
import type { Conn } from "../../src/conn.ts";
import { VsockError } from "../../src/error.ts";
import { listen } from "../../src/listen.ts";
import { WOULD_BLOCK } from "../../src/socket.ts";
import { createVsockDevice, type VsockDevice } from "../../src/vhost_user/device.ts";
import { RX, TX } from "../../src/vhost_user/guest.ts";
import { failOnce } from "../helpers/faulty_libc.ts";
import { exchange, gone, meet, warmUp } from "./exchange.ts";
import { footprint, leavesNothing } from "./footprint.ts";
import { FrontEnd } from "./front_end.ts";
import { freshPath, GUEST_CID } from "./lab.ts";
import { Machine } from "./machine.ts";
import { RAM_NAME } from "./ram.ts";
import { RawGuest } from "./raw_guest.ts";

const TIMEOUT_MS = 60_000;
/** A connection ends long before its close timer would end it. */
const SOON = { timeoutMs: 30_000 };

/** How the guest of a machine comes to its end. */
const ENDS: Readonly<Record<string, (machine: Machine, device: VsockDevice) => unknown>> = {
  "its driver is unloaded": (machine) => machine.pause(),
  "its VMM is gone": (machine) => machine.close(),
  "it is closed": (_machine, device) => device.guest.close(),
  "the device is closed": (_machine, device) => device.close(),
};

function makeDevice(socketPath: string = freshPath()): VsockDevice {
  return createVsockDevice({
    socketPath,
    guestCid: GUEST_CID,
    onFault: (error) => {
      throw error;
    },
  });
}

before(async () => {
  using device = makeDevice();
  await warmUp(device);
});

async function isReset(promise: Promise<unknown>): Promise<void> {
  assertEquals((await assertRejects(() => promise, VsockError)).code, "ECONNRESET");
}

/** What waits on `conn` ends when its guest goes; reads are told ECONNRESET, as on Linux. */
async function waitsReset(conn: Conn): Promise<void> {
  const reading = isReset(conn.read(new Uint8Array(1), SOON));
  while (conn.socket.send(new Uint8Array(10_000), 0) !== WOULD_BLOCK);
  const { code } = await assertRejects(() => conn.write(new Uint8Array(10_000), SOON), VsockError);
  assertMatch(code, /^(EPIPE|ECONNRESET)$/);
  await reading;
}

for (const [end, run] of Object.entries(ENDS)) {
  test(`VsockDevice ends all connections of a guest when ${end}`, {
    timeout: TIMEOUT_MS,
  }, async () => {
    await leavesNothing(async () => {
      using device = makeDevice();
      using machine = await Machine.start(device.guest);
      using stream = await meet(device, machine.transport);
      using messages = await meet(machine.transport, device, "seqpacket");
      using ended = await meet(device, machine.transport);
      await ended.near.closeWrite();
      using listener = listen({ cid: 2, port: 5000 }, { transport: device });
      using _queued = await connect({ cid: 2, port: 5000 }, { transport: machine.transport });
      const all = [
        waitsReset(stream.near),
        waitsReset(messages.far),
        isReset(ended.near.read(new Uint8Array(1), SOON)),
      ];
      await Promise.resolve(run(machine, device));
      machine.guest.stop();
      await Promise.all(all);
      if (listener.socket.closed) return; // with the device
      using queued = await listener.accept();
      await isReset(queued.read(new Uint8Array(1), SOON));
    });
  });
}

test("VsockDevice ends all connections of a guest one of whose rings its VMM disables", {
  timeout: TIMEOUT_MS,
}, async () => {
  for (const ring of [RX, TX]) {
    using device = makeDevice();
    using machine = await Machine.start(device.guest);
    using pair = await meet(device, machine.transport);
    await machine.frontEnd.enable(ring, false);
    await isReset(pair.near.read(new Uint8Array(1), SOON));
    assertEquals(device.guest.up, false);
    machine.guest.stop();
  }
});

test("VsockGuest.close() shows the guest what was sent to it in the same turn", {
  timeout: TIMEOUT_MS,
}, async () => {
  using device = makeDevice();
  using listener = listen({ cid: 2, port: 5000 }, { transport: device });
  using guest = await RawGuest.start(device.guest);
  await guest.connect(5000);
  using conn = await listener.accept();
  assertEquals(guest.rx.driver.hasUsed(), false);
  conn.socket.send(Uint8Array.of(1), 0);
  device.guest.close();
  assertEquals(guest.rx.driver.hasUsed(), true);
});

test("VsockDevice refuses to connect to a guest that is not up: ENODEV, and ready() waits", {
  timeout: TIMEOUT_MS,
}, async () => {
  using device = makeDevice();
  const address = { cid: GUEST_CID, port: 1 };
  const reject = (): Promise<VsockError> =>
    assertRejects(() => connect(address, { transport: device }), VsockError);
  const absent = await reject();
  assertEquals(absent.code, "ENODEV");
  assertMatch(absent.hint!, /^no guest with this CID is up here\b/);
  using machine = await Machine.powerOn(device.guest);
  assertEquals((await reject()).code, "ENODEV");
  const ready = device.guest.ready();
  await machine.boot();
  await ready;
  assert(device.guest.up);
  assertEquals((await reject()).code, "ECONNRESET");
});

test("VsockGuest.ready() ends when its time is up, and when the guest is closed", {
  timeout: TIMEOUT_MS,
}, async () => {
  using device = makeDevice();
  const { guest } = device;
  const codeOf = async (timeoutMs: number): Promise<string> =>
    (await assertRejects(() => guest.ready({ timeoutMs }), VsockError)).code;
  const waiting = codeOf(SOON.timeoutMs);
  assertEquals(await codeOf(1), "ETIMEDOUT");
  guest.close();
  assertEquals([await waiting, await codeOf(1)], ["EBADF", "EBADF"]);
});

test("VsockDevice serves a guest that reboots, again and again", {
  timeout: TIMEOUT_MS,
}, async () => {
  await leavesNothing(async () => {
    using device = makeDevice();
    using machine = await Machine.start({ ...device.guest, count: 16, size: 0x400_0000 });
    for (let round = 0; round < 5; round++) {
      await exchange(device, machine);
      using pair = await meet(device, machine.transport);
      await machine.reboot();
      await isReset(pair.near.read(new Uint8Array(1), SOON));
      await device.guest.ready();
    }
    assertEquals(machine.guest.faults, []);
  });
});

for (const eventIdx of [true, false]) {
  test(`VsockDevice goes on after a pause where the rings stopped, EVENT_IDX ${eventIdx}`, {
    timeout: TIMEOUT_MS,
  }, async () => {
    await leavesNothing(async () => {
      using device = makeDevice();
      using machine = await Machine.start({ ...device.guest, eventIdx, base: 0xff00 });
      for (let round = 0; round < 5; round++) {
        using pair = await meet(device, machine.transport);
        pair.near.socket.send(new Uint8Array(100_000), 0); // which the guest has not seen yet
        const bases = await machine.pause();
        await isReset(pair.near.read(new Uint8Array(1), SOON));
        await machine.resume(bases);
        await device.guest.ready();
        await exchange(device, machine);
        await pair.far.socket.wait(POLLRDHUP); // the guest is told of the reset
      }
      assertEquals(machine.guest.faults, []);
    });
  });
}

test("Conn.read() gives what a guest has sent before it closed, though it is gone since", {
  timeout: TIMEOUT_MS,
}, async () => {
  using device = makeDevice();
  for (const [hostConnects, sent] of [[true, 10], [false, 10], [true, 0], [false, 0]] as const) {
    using machine = await Machine.start(device.guest);
    const { transport } = machine;
    await device.guest.ready();
    using pair = await (hostConnects ? meet(transport, device) : meet(device, transport));
    const [guest, host] = hostConnects ? [pair.near, pair.far] : [pair.far, pair.near];
    await guest.write(new Uint8Array(sent));
    guest.close();
    await host.socket.wait(POLLRDHUP);
    machine.close();
    await gone(device.guest);
    if (sent > 0) assertEquals(await host.read(new Uint8Array(100)), sent);
    assertEquals(await host.read(new Uint8Array(100)), null);
  }
});

test("VsockDevice gives buffers back at a pause that it has taken for a message and not used", {
  timeout: TIMEOUT_MS,
}, async () => {
  let send = (): void => {};
  const socketPath = freshPath();
  using device = createVsockDevice({ socketPath, guestCid: GUEST_CID, onConnect: () => send() });
  const ring = { ringSize: 512, indirect: false, buffers: [1_044] };
  using machine = await Machine.start({ socketPath, ...ring });
  using pair = await meet(device, machine.transport, "seqpacket");
  const { socket } = pair.near;
  // More than fits into one turn, whose end is in the midst of a message.
  send = () => {
    while (socket.send(new Uint8Array(20_000), 0) !== WOULD_BLOCK);
  };
  const address = { cid: 2, port: 5000 };
  const refused = assertRejects(() => connect(address, { transport: machine.transport }));
  await Promise.resolve(); // it has kicked the device, which hears of the pause first
  await Promise.resolve();
  const [base] = await machine.pause();
  const { used } = machine.rings[0].memory;
  assertEquals(base, new Uint16Array(used.buffer, used.byteOffset, 2)[1]);
  machine.close();
  await refused;
});

test("VsockDevice serves a hundred machines, one after the other", {
  timeout: 2 * TIMEOUT_MS,
}, async () => {
  await leavesNothing(async () => {
    using device = makeDevice();
    for (let round = 0; round < 100; round++) {
      using machine = await Machine.start({ ...device.guest, count: 16 });
      using pair = await meet(device, machine.transport);
      await pair.near.write(new Uint8Array(10));
      assertEquals(await pair.far.read(new Uint8Array(100)), 10);
      if (round % 2 === 0) await machine.pause();
    }
  });
});

test("VsockDevice lets a front end go at any step of its handshake", {
  timeout: TIMEOUT_MS,
}, async () => {
  await leavesNothing(async () => {
    using device = makeDevice();
    const { socketPath } = device.guest;
    for (let steps = 0; steps < 3; steps++) {
      (await FrontEnd.connect(socketPath)).hangUp();
      using machine = await Machine.powerOn({ socketPath });
      if (steps > 0) await machine.describe();
      if (steps > 1) await machine.enable();
    }
    using machine = await Machine.start({ socketPath });
    await exchange(device, machine);
  });
});

test("VsockDevice turns a second front end away, and goes on with the first", {
  timeout: TIMEOUT_MS,
}, async () => {
  await leavesNothing(async () => {
    using device = makeDevice();
    using machine = await Machine.start(device.guest);
    using second = await FrontEnd.connect(device.guest.socketPath);
    await second.closed();
    await exchange(device, machine);
  });
});

test("VsockDevice.close() takes its path away, and another device can have it", {
  timeout: TIMEOUT_MS,
}, async () => {
  await leavesNothing(async () => {
    const socketPath = freshPath();
    for (let round = 0; round < 2; round++) {
      using device = makeDevice(socketPath);
      using machine = await Machine.start({ socketPath });
      await exchange(device, machine);
      device.close();
      assertEquals(existsSync(socketPath), false);
      await machine.frontEnd.closed();
    }
  });
});

test("VsockDevice.close() ends accept with EBADF, and the iteration", {
  timeout: TIMEOUT_MS,
}, async () => {
  const device = makeDevice();
  using one = listen({ cid: 2, port: 5000 }, { transport: device });
  using two = listen({ cid: 2, port: 5001 }, { transport: device });
  using closed = listen({ cid: 2, port: 5002 }, { transport: device });
  closed.close();
  const accepting = assertRejects(() => one.accept(SOON), VsockError);
  const serving = (async () => {
    for await (const conn of two) conn.close();
  })();
  device.guest.close();
  device.addGuest({ socketPath: freshPath(), guestCid: GUEST_CID }); // they go on for that
  assertEquals([one.socket.closed, two.socket.closed], [false, false]);
  device.close();
  device.close();
  assertEquals((await accepting).code, "EBADF");
  await serving;
});

/** What this process holds of guests' memory. */
function held(): { readonly files: number; readonly mappings: number } {
  const { descriptors, mappings } = footprint();
  return { files: descriptors.filter((of) => of.includes(RAM_NAME)).length, mappings };
}

test("VsockDevice takes another memory table, and drops the one before", {
  timeout: TIMEOUT_MS,
}, async () => {
  using device = makeDevice();
  using machine = await Machine.start({ ...device.guest, protocol: 0x200n, regions: 1 });
  await machine.frontEnd.settled();
  const before = held();
  for (let round = 0; round < 20; round++) {
    await machine.frontEnd.setMemory(machine.ram.regions, machine.ram.fd);
  }
  await machine.frontEnd.settled();
  await exchange(device, machine);
  // The rings lie in the first one as long as they run.
  assertEquals(held(), { ...before, mappings: before.mappings + 1 });
});

test("VsockDevice leaves no path behind where it cannot listen there", () => {
  const socketPath = freshPath();
  {
    using _refused = failOnce("listen", "EADDRINUSE");
    const make = (): VsockDevice => createVsockDevice({ socketPath, guestCid: GUEST_CID });
    assertThrows(make, VsockError, "EADDRINUSE");
  }
  assertEquals(existsSync(socketPath), false);
});
