/** A receive ring without a device: what is sent on it comes in order, whatever the guest posts. */
import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import {
  VIRTIO_VSOCK_OP_CREDIT_UPDATE,
  VIRTIO_VSOCK_OP_RESPONSE,
  VIRTIO_VSOCK_OP_RW,
  VIRTIO_VSOCK_TYPE_SEQPACKET,
  VIRTIO_VSOCK_TYPE_STREAM,
} from "../../../ffi/abi/virtio_vsock.ts";
import { WOULD_BLOCK } from "../../../ffi/errno.ts";
import { seeded } from "../../../src/loopback/random.ts";
import { send } from "../../../src/virtio/calls.ts";
import { emit } from "../../../src/virtio/connection.ts";
import { BUFFER_MAX, RxRig } from "./rig.ts";

const RUNS = Number(process.env["VSOCKIT_RUNS"] ?? 8);
const SEED = Number(process.env["VSOCKIT_SEED"] ?? Math.floor(Math.random() * 2 ** 32));
const STEPS = 400;
/** Bytes of memory that messages may take while they wait. */
const WAITING_MAX = 4 << 20;
const SIZES = [1, 100, 4_096, 65_536, 65_537, 139_264, 300_000];
const NOTE = new Uint8Array(100);
const BUFFERS = [45, 100, 3_776, 4_140, BUFFER_MAX];

function run(seed: number): void {
  const random = seeded(seed);
  const below = (limit: number): number => Math.floor(random() * limit);
  const rig = new RxRig(64);
  const types = [VIRTIO_VSOCK_TYPE_SEQPACKET, VIRTIO_VSOCK_TYPE_STREAM];
  const flows = [0, 1, 2, 3, 4].map((i) => rig.connect(types[i % 2]!));
  let next = 0;
  for (let step = 0; step < STEPS; step++) {
    const flow = flows[below(flows.length)]!;
    const choice = random();
    if (choice < 0.5) {
      const size = SIZES[below(SIZES.length)]!;
      const words = Uint32Array.from({ length: Math.ceil(size / 4) }, () => next++);
      flow.send(new Uint8Array(words.buffer, 0, size));
    } else if (choice < 0.6) {
      emit(rig.stack, flow.sock, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
    } else if (choice < 0.8) {
      rig.post(BUFFERS[below(BUFFERS.length)]!, below(40));
    } else {
      rig.flush();
    }
  }
  for (let turn = 0; rig.rx.waiting > 0; turn++) {
    assert(turn < 10_000, `${rig.rx.waiting} packets wait for ever`);
    rig.post(BUFFER_MAX, 64);
    rig.flush();
  }
  rig.flush();
  for (const flow of flows) flow.check();
}

test("RxWriter sends all connections in order and messages whole, whatever is posted", {
  timeout: 120_000,
}, () => {
  for (let at = 0; at < RUNS; at++) {
    const seed = (SEED + at) >>> 0;
    try {
      run(seed);
    } catch (cause) {
      throw new Error(`VSOCKIT_SEED=${seed} VSOCKIT_RUNS=1 replays this`, { cause });
    }
  }
});

test("RxWriter has no data overtake what waits, though there are buffers by then", () => {
  for (const type of [VIRTIO_VSOCK_TYPE_SEQPACKET, VIRTIO_VSOCK_TYPE_STREAM]) {
    const rig = new RxRig(8);
    const flow = rig.connect(type);
    emit(rig.stack, flow.sock, VIRTIO_VSOCK_OP_RESPONSE);
    rig.post(BUFFER_MAX, 4);
    if (flow.send(Uint8Array.of(1)) === WOULD_BLOCK) {
      rig.flush();
      flow.send(Uint8Array.of(1));
    }
    rig.flush();
    assertEquals([...rig.ops], [VIRTIO_VSOCK_OP_RESPONSE, VIRTIO_VSOCK_OP_RW]);
    flow.check();
  }
});

test("RxWriter adds to the buffer of the same stream while the guest has not seen it", () => {
  const rig = new RxRig(8);
  const [flow, other] = [0, 1].map(() => rig.connect(VIRTIO_VSOCK_TYPE_STREAM));
  rig.post(BUFFER_MAX, 1);
  assertEquals(rig.rx.hasRoom, true);
  const sent = [flow!, flow!, other!].map((to) => to.send(NOTE));
  assertEquals(sent, [NOTE.length, NOTE.length, WOULD_BLOCK]);
  assertEquals(rig.rx.hasRoom, false);
  rig.flush();
  flow!.check();
  rig.post(44 + 2 * NOTE.length, 1);
  const full = [flow!, flow!, flow!].map((to) => to.send(NOTE));
  assertEquals(full, [NOTE.length, NOTE.length, WOULD_BLOCK]);
  rig.flush();
  flow!.check();
});

test("RxWriter places nothing before a packet of the same message that has no room", () => {
  const rig = new RxRig(64);
  const flow = rig.connect(VIRTIO_VSOCK_TYPE_SEQPACKET);
  rig.post(44 + 4_096, 30);
  flow.send(Uint8Array.from({ length: 139_264 }, (_, i) => i >> 12));
  rig.flush();
  rig.post(44 + 4_096, 30);
  rig.flush();
  flow.check();
  assertEquals(rig.ops, new Set([VIRTIO_VSOCK_OP_RW]));
});

test("RxWriter has messages wait behind others no longer once a stream waits for room", () => {
  const rig = new RxRig(64);
  const messages = [0, 1, 2].map(() => rig.connect(VIRTIO_VSOCK_TYPE_SEQPACKET));
  const stream = rig.connect(VIRTIO_VSOCK_TYPE_STREAM);
  for (const flow of messages) flow.send(new Uint8Array(10_000));
  for (let turn = 0; stream.send(Uint8Array.of(1)) === WOULD_BLOCK; turn++) {
    assert(turn < 20, "the stream waits for ever");
    for (const flow of messages) flow.send(new Uint8Array(10_000));
    rig.post(3_776, 4);
    rig.flush();
  }
  rig.flush();
  stream.check();
});

test("RxWriter has no message wait behind another while a stream is not told of room yet", () => {
  const rig = new RxRig(64);
  const streams = [0, 1].map(() => rig.connect(VIRTIO_VSOCK_TYPE_STREAM));
  const messages = [0, 1].map(() => rig.connect(VIRTIO_VSOCK_TYPE_SEQPACKET));
  for (const { sock } of streams) assertEquals(send(rig.stack, sock, NOTE, 0), WOULD_BLOCK);
  rig.post(100, 1); // for one of them
  rig.flush();
  assertEquals(streams.map(({ sock }) => sock.wantRoom), [false, true]);
  const sizes = [1_000, 10];
  const sent = messages.map((flow, i) => flow.send(new Uint8Array(sizes[i]!)));
  assertEquals(sent, [1_000, WOULD_BLOCK]);
});

test("RxWriter tells as many of room as there are buffers for", () => {
  const rig = new RxRig(64);
  const streams = [0, 1, 2].map(() => rig.connect(VIRTIO_VSOCK_TYPE_STREAM));
  rig.post(3_776, 1);
  streams[0]!.send(Uint8Array.of(1)); // from now on it is known what a buffer has room for
  rig.flush();
  for (const { sock } of streams) assertEquals(send(rig.stack, sock, NOTE, 0), WOULD_BLOCK);
  rig.post(3_776, 2);
  rig.flush();
  assertEquals(streams.map(({ sock }) => sock.wantRoom), [false, false, true]);
});

test("RxWriter counts a page for each small message that waits", () => {
  const rig = new RxRig(64);
  const flow = rig.connect(VIRTIO_VSOCK_TYPE_SEQPACKET);
  let count = 0;
  while (flow.send(Uint8Array.of(count)) === 1) count++;
  assertEquals(count, WAITING_MAX / 4_096);
  while (rig.rx.waiting > 0) {
    rig.post(100, 64);
    rig.flush();
  }
  flow.check();
  assertEquals(flow.send(Uint8Array.of(1)), 1);
});

test("RxWriter has one message of any size wait, and no other beside it", () => {
  const rig = new RxRig(64);
  const size = WAITING_MAX + 100_000;
  const [first, second] = [0, 1].map(() => rig.connect(VIRTIO_VSOCK_TYPE_SEQPACKET, size));
  assertEquals(first!.send(new Uint8Array(size)), size);
  for (const length of [1, size]) assertEquals(second!.send(new Uint8Array(length)), WOULD_BLOCK);
  while (rig.rx.waiting > 0) {
    rig.post(BUFFER_MAX, 64);
    rig.flush();
  }
  assertEquals(second!.send(new Uint8Array(size)), size);
  first!.check();
});

test("RxWriter counts the parts of a message that are not sent yet", () => {
  const rig = new RxRig(64);
  const size = WAITING_MAX - 1;
  const [first, second] = [0, 1].map(() => rig.connect(VIRTIO_VSOCK_TYPE_SEQPACKET, size));
  assertEquals(first!.send(Uint8Array.of(1)), 1);
  assertEquals(second!.send(new Uint8Array(size)), WOULD_BLOCK);
});

test("RxWriter.stop() leaves the buffers to the ring that it has taken and not used", () => {
  const rig = new RxRig(512);
  const [stream, message] = [VIRTIO_VSOCK_TYPE_STREAM, VIRTIO_VSOCK_TYPE_SEQPACKET]
    .map((type) => rig.connect(type));
  rig.post(45, 512);
  assertEquals([stream!.send(new Uint8Array(100)), message!.send(new Uint8Array(200))], [100, 200]);
  const { queue } = rig.rx;
  rig.rx.publish();
  assertEquals([queue.available(), queue.inFlight], [256, 156]);
  rig.rx.stop();
  assertEquals([queue.available(), queue.inFlight], [412, 0]);
  assertEquals(queue.pop()?.head, 100);
});

test("RxWriter uses no more than 256 buffers in a turn", () => {
  const rig = new RxRig(512);
  const stream = rig.connect(VIRTIO_VSOCK_TYPE_STREAM);
  rig.post(45, 512);
  assertEquals(stream.send(new Uint8Array(1_000)), 256);
  assertEquals([stream.send(new Uint8Array(1_000)), rig.rx.hasRoom], [WOULD_BLOCK, false]);
  rig.flush();
  assertEquals([stream.send(new Uint8Array(1_000)), rig.rx.spent], [256, true]);
  const message = rig.connect(VIRTIO_VSOCK_TYPE_SEQPACKET);
  rig.flush();
  rig.post(45, 512);
  assertEquals(message.send(new Uint8Array(300)), 300);
  rig.flush();
  assertEquals(rig.rx.waiting, 1);
  rig.flush();
  rig.flush();
  for (const flow of [stream, message]) flow.check();
});
