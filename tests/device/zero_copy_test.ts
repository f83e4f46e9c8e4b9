/** Zero-copy receive from a guest: its own memory is lent, and goes back with the release. */
import { after, before, test } from "node:test";
import { assert, assertEquals, assertThrows } from "@std/assert";
import { POLLRDHUP } from "../../ffi/abi/poll.ts";
import { VMADDR_PORT_ANY } from "../../ffi/abi/vm_sockets.ts";
import { connect } from "../../src/connect.ts";
import { listen } from "../../src/listen.ts";
import type { Batch } from "../../src/receive/batch.ts";
import type { Receiver } from "../../src/receive/receiver.ts";
import type { SocketType } from "../../src/socket.ts";
import { createVsockDevice, type VsockDevice } from "../../src/vhost_user/device.ts";
import { bytes } from "../conformance/helpers.ts";
import { readAll } from "../helpers/pair.ts";
import { until } from "../helpers/until.ts";
import { exchange, gone, type Pair, warmUp } from "./exchange.ts";
import { leavesNothing } from "./footprint.ts";
import { freshPath, type GuestChoice, PLAIN } from "./lab.ts";
import { Machine } from "./machine.ts";

const TIMEOUT_MS = 60_000;
const FULL = 65_536;
/** Of the descriptors of a ring. */
const HALF = 64;
let device: VsockDevice;

before(async () => {
  device = createVsockDevice({
    socketPath: freshPath(),
    guestCid: 42,
    onFault: (error) => {
      throw error;
    },
  });
  await warmUp(device);
});

after(() => device.close());

/** A guest that has connected, and a receiver of what it sends. */
interface Flow extends Pair {
  readonly receiver: Receiver;
}

interface FlowOptions {
  readonly type?: SocketType;
  /** Of either end. */
  readonly bufferSize?: number;
}

async function openFlow(machine: Machine, options: FlowOptions = {}): Promise<Flow> {
  const { type = "stream", bufferSize = 0x4_0000 } = options;
  const sizes = { bufferMaxSize: bufferSize, bufferSize };
  using listener = listen({ cid: 2, port: VMADDR_PORT_ANY }, {
    ...{ transport: device, type },
    options: { ...sizes, zeroCopyReceive: true },
  });
  const far = await connect({ cid: 2, port: listener.addr.port }, {
    ...{ transport: machine.transport, type },
    options: sizes,
  });
  const near = await listener.accept();
  const receiver = near.receiver({ mode: "map", pages: 1_024 });
  return {
    ...{ near, far, receiver },
    [Symbol.dispose]() {
      receiver.close();
      near.close();
      far.close();
    },
  };
}

/** The next batch, which is lent by the guest. */
async function receive(receiver: Receiver): Promise<Batch> {
  const batch = await receiver.receive({ timeoutMs: 10_000 });
  assert(batch !== null, "the stream has ended");
  assertEquals([batch.mapped, batch.volatile], [true, true]);
  return batch;
}

function together(batch: Batch): Uint8Array {
  const all = new Uint8Array(batch.byteLength);
  let at = 0;
  for (const { data } of batch) {
    all.set(data, at);
    at += data.length;
  }
  return all;
}

/** Where `part` begins in `all`. */
function find(all: Uint8Array, part: Uint8Array): number {
  const at = all.findIndex((_, i) => part.every((byte, j) => all[i + j] === byte));
  assert(at >= 0);
  return at;
}

/** Waits for the guest to have all its chains back but `held`. */
async function allBack(machine: Machine, held = 0): Promise<void> {
  await until(() => machine.guest.inFlight === held, () => machine.guest.inFlight);
}

/** Runs `check` with a guest as `choice` says. */
async function withMachine(
  choice: GuestChoice,
  check: (machine: Machine) => Promise<void>,
): Promise<void> {
  await leavesNothing(async () => {
    using machine = await Machine.start({ ...choice, ...device.guest });
    await check(machine);
    await exchange(device, machine);
    assertEquals(machine.guest.faults, []);
  });
}

const CHOICES: Readonly<Record<string, GuestChoice>> = {
  "INDIRECT": {},
  "several descriptors": PLAIN,
  "many pieces": { piece: 8_192 },
};

for (const [name, choice] of Object.entries(CHOICES)) {
  test(`Batch of a guest's packets is the guest's own memory: ${name}`, {
    timeout: TIMEOUT_MS,
  }, async () => {
    await withMachine(choice, async (machine) => {
      using flow = await openFlow(machine);
      await allBack(machine);
      const before = device.guest.counters.rxBorrowedBytes;
      const sent = bytes(FULL);
      await flow.far.write(sent);
      using batch = await receive(flow.receiver);
      assertEquals(together(batch), sent);
      assertEquals(device.guest.counters.rxBorrowedBytes - before, FULL);
      const at = find(machine.ram.bytes, sent.subarray(0, 16));
      machine.ram.bytes[at]! ^= 0xff; // as the guest may do at any time
      assertEquals(together(batch)[0], sent[0]! ^ 0xff);
      assertEquals([machine.guest.inFlight, flow.far.socket.outq()], [1, FULL]);
    });
  });
}

test("Batch.release() of a guest's packets gives descriptors and credit back, kills the views", {
  timeout: TIMEOUT_MS,
}, async () => {
  await withMachine({}, async (machine) => {
    using flow = await openFlow(machine);
    await allBack(machine);
    await flow.far.write(bytes(4 * FULL));
    const batch = await receive(flow.receiver);
    assertEquals(batch.byteLength, 4 * FULL);
    const packets = [...batch];
    const views = packets.map(({ data }) => data);
    await exchange(device, machine);
    await allBack(machine, 4);
    assertEquals(flow.far.socket.send(bytes(1), 0), -1); // no credit
    batch.release();
    assertEquals(views.map(({ length }) => length), [0, 0, 0, 0]);
    for (const packet of packets) assertThrows(() => packet.data, TypeError);
    await flow.far.write(bytes(2 * FULL, 7));
    using next = await receive(flow.receiver);
    assertEquals(together(next), bytes(2 * FULL, 7));
    await allBack(machine, 2);
  });
});

const ENDS: Readonly<Record<string, (machine: Machine, flow: Flow) => unknown>> = {
  "the guest's driver": (machine) => machine.pause(),
  "a pause, after which the guest has its memory back": async (machine) => {
    await machine.resume(await machine.pause());
    await allBack(machine);
    await exchange(device, machine);
  },
  "the guest's reboot": (machine) => machine.reboot(),
  "the VMM": (machine) => machine.close(),
  "the connection": (_machine, flow) => flow.near.socket.close(),
};

for (const [name, end] of Object.entries(ENDS)) {
  test(`Batch of a guest's packets outlives ${name}`, { timeout: TIMEOUT_MS }, async () => {
    await leavesNothing(async () => {
      using machine = await Machine.start({ ...device.guest, count: 16, size: 0x200_0000 });
      using flow = await openFlow(machine);
      const sent = bytes(2 * FULL);
      await flow.far.write(sent);
      const batch = await receive(flow.receiver);
      const views = Array.from(batch, ({ data }) => data);
      await Promise.resolve(end(machine, flow));
      if (machine.closed) await gone(device.guest);
      assertEquals(together(batch), sent);
      batch.release();
      assertEquals(views.every(({ length }) => length === 0), true);
      machine.close();
      await gone(device.guest);
      using next = await Machine.start(device.guest);
      await exchange(device, next);
    });
  });
}

/** Reads all that comes until the end of the stream. */
const READERS: Readonly<Record<string, (flow: Flow) => Promise<Uint8Array>>> = {
  "read()": ({ near }) => readAll(near, 2 * FULL),
  "a batch": async ({ receiver }) => {
    using batch = await receive(receiver);
    return together(batch);
  },
};

for (const [name, read] of Object.entries(READERS)) {
  test(`What a guest has sent before it closed stays that when it is gone: ${name}`, {
    timeout: TIMEOUT_MS,
  }, async () => {
    await leavesNothing(async () => {
      using machine = await Machine.start({ ...device.guest, count: 16, size: 0x200_0000 });
      using flow = await openFlow(machine);
      const sent = bytes(2 * FULL);
      const before = device.guest.counters.rxBorrowedBytes;
      await flow.far.write(sent);
      flow.far.close();
      await until(() => (flow.near.socket.poll(POLLRDHUP) & POLLRDHUP) !== 0);
      assertEquals(device.guest.counters.rxBorrowedBytes - before, 2 * FULL);
      await machine.pause();
      machine.ram.bytes.fill(0xff);
      assertEquals(await read(flow), sent);
      assertEquals(await flow.near.read(new Uint8Array(1)), null);
      machine.close();
      await gone(device.guest);
    });
  });
}

test("What was peeked at is what is read, whatever the guest writes meanwhile", {
  timeout: TIMEOUT_MS,
}, async () => {
  await withMachine({}, async (machine) => {
    using flow = await openFlow(machine);
    const before = device.guest.counters.rxBorrowedBytes;
    const sent = bytes(FULL);
    await flow.far.write(sent);
    const peeked = new Uint8Array(16);
    assertEquals(await flow.near.read(peeked, { peek: true }), 16);
    assertEquals([peeked, device.guest.counters.rxBorrowedBytes - before], [
      sent.subarray(0, 16),
      FULL,
    ]);
    await allBack(machine);
    const at = find(machine.ram.bytes, peeked);
    machine.ram.bytes.fill(0, at, at + 16);
    using batch = await receive(flow.receiver);
    assertEquals(together(batch), sent);
  });
});

test("Batch of a guest's packets whose buffer was transferred away costs that buffer alone", {
  timeout: TIMEOUT_MS,
}, async () => {
  using machine = await Machine.start(device.guest);
  using flow = await openFlow(machine);
  for (let round = 0; round < 3; round++) {
    await flow.far.write(bytes(FULL, round));
    const batch = await receive(flow.receiver);
    const data = [...batch][0]!.data as Uint8Array<ArrayBuffer>;
    const stolen = new Uint8Array(data.buffer.transfer());
    batch.release();
    assertEquals(stolen.length, FULL);
  }
  await exchange(device, machine);
  await allBack(machine);
  machine.close();
  await gone(device.guest);
});

for (const [name, choice] of Object.entries(CHOICES)) {
  test(`Receivers that hold half a ring leave the rest to others, and then copy: ${name}`, {
    timeout: TIMEOUT_MS,
  }, async () => {
    await withMachine(choice, async (machine) => {
      using flow = await openFlow(machine, { bufferSize: 0x100_0000 });
      const total = 0x80_0000;
      const sent = bytes(total);
      const before = device.guest.counters.rxBorrowedBytes;
      const writing = flow.far.write(sent);
      while (device.guest.counters.rxBorrowedBytes === before) await exchange(device, machine);
      await writing;
      while (flow.near.socket.poll(1) === 0) await exchange(device, machine);
      await exchange(device, machine);
      await until(() => machine.guest.inFlight <= HALF); // the ends of those connections
      const borrowed = device.guest.counters.rxBorrowedBytes - before;
      assert(machine.guest.inFlight > 0);
      assert(borrowed > 0 && borrowed < total, `${borrowed} bytes are lent`);
      for (let at = 0; at < total;) {
        using batch = await receive(flow.receiver);
        assertEquals(same(together(batch), sent.subarray(at, at + batch.byteLength)), true);
        at += batch.byteLength;
      }
      await allBack(machine);
      const then = device.guest.counters.rxBorrowedBytes;
      await flow.far.write(bytes(FULL));
      using _batch = await receive(flow.receiver);
      assertEquals(device.guest.counters.rxBorrowedBytes - then, FULL); // there is room again
    });
  });
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

test("Batches of messages keep their ends, in one piece or in many", {
  timeout: TIMEOUT_MS,
}, async () => {
  await withMachine({ piece: 16_384 }, async (machine) => {
    using flow = await openFlow(machine, { type: "seqpacket" });
    for (const length of [1, 8_192, 40_000, 100_000]) {
      const sent = bytes(length, length);
      await flow.far.sendMessage(sent, { endOfRecord: true });
      using batch = await receive(flow.receiver);
      assertEquals(together(batch), sent);
      const ends = Array.from(batch, (packet) => [packet.endOfMessage, packet.endOfRecord]);
      assertEquals(ends, ends.map((_, i) => i === ends.length - 1 ? [true, true] : [false, false]));
    }
  });
});

test("Receivers of many flows at once get every byte, however long they hold a batch", {
  timeout: TIMEOUT_MS,
}, async () => {
  await withMachine({ piece: 16_384 }, async (machine) => {
    const flow = async (seed: number): Promise<void> => {
      using flow = await openFlow(machine);
      const sent = bytes(1_000_000, seed);
      const writing = flow.far.write(sent);
      for (let at = 0; at < sent.length;) {
        using batch = await receive(flow.receiver);
        await new Promise((resolve) => setTimeout(resolve, (at + seed) % 4));
        assertEquals(same(together(batch), sent.subarray(at, at + batch.byteLength)), true);
        at += batch.byteLength;
      }
      await writing;
    };
    await Promise.all(Array.from({ length: 12 }, (_, i) => flow(i)));
  });
});
