/** Guests that connect where nobody listens: whoever is told may accept. */
import { after, before, test } from "node:test";
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  VIRTIO_VSOCK_OP_REQUEST,
  VIRTIO_VSOCK_OP_RESPONSE,
  VIRTIO_VSOCK_OP_RST,
  VIRTIO_VSOCK_OP_RW,
  VIRTIO_VSOCK_TYPE_SEQPACKET,
} from "../../ffi/abi/virtio_vsock.ts";
import type { VsockAddress } from "../../src/address.ts";
import type { Conn } from "../../src/conn.ts";
import { connect } from "../../src/connect.ts";
import { listen } from "../../src/listen.ts";
import {
  createVsockDevice,
  type VsockDevice,
  type VsockDeviceOptions,
} from "../../src/vhost_user/device.ts";
import { Uncaught } from "../helpers/uncaught.ts";
import { until } from "../helpers/until.ts";
import { leavesNothing } from "./footprint.ts";
import { freshPath, GUEST_CID } from "./lab.ts";
import { Machine } from "./machine.ts";
import { RawGuest } from "./raw_guest.ts";

const LIMIT = { timeout: 60_000 };
const ABORTED = "ECONNABORTED";
const socketPath = freshPath();
let device: VsockDevice;
/** What is done about a connect. */
let act: NonNullable<VsockDeviceOptions["onConnect"]> = () => {};
/** What is done about a fault. */
let fault = (error: Error): void => {
  throw error;
};

before(() => {
  device = createVsockDevice({
    socketPath,
    guestCid: GUEST_CID,
    onConnect: (...told) => act(...told),
    onFault: (error) => fault(error),
  });
});

after(() => device.close());

test("onConnect() accepts at once, without a listener", LIMIT, async () => {
  using machine = await Machine.start({ socketPath });
  const conns: Conn<VsockAddress>[] = [];
  const told: unknown[] = [];
  act = (port, type, { cid }, accept) => {
    told.push([port, type, cid]);
    conns.push(accept());
  };
  const { transport } = machine;
  const dial = (type: "stream" | "seqpacket"): Promise<Conn<VsockAddress>> =>
    connect({ cid: 2, port: 80 }, { transport, type });
  const fars = await Promise.all([dial("stream"), dial("stream"), dial("seqpacket")]);
  assertEquals(told, [
    [80, "stream", GUEST_CID],
    [80, "stream", GUEST_CID],
    [80, "seqpacket", GUEST_CID],
  ]);
  assertEquals(conns.map(({ remoteAddr }) => remoteAddr.cid), [42, 42, 42]);
  assertEquals(conns.map(({ localAddr }) => localAddr), fars.map(({ remoteAddr }) => remoteAddr));
  await conns[1]!.write(new Uint8Array(7));
  assertEquals(await fars[1].read(new Uint8Array(9)), 7);
  await fars[2].sendMessage(new Uint8Array(5));
  assertEquals((await conns[2]!.receiveMessage())?.data.length, 5);
  for (const conn of [...conns, ...fars]) conn.close();
  using listener = listen({ cid: 2, port: 80 }, { transport: device });
  using _far = await dial("stream");
  using _near = await listener.accept();
  assertEquals(told.length, 3, "who listens is not told");
  assertEquals(machine.guest.faults, []);
});

test("onConnect() accepts once, and not after it has returned", LIMIT, async () => {
  using machine = await Machine.start({ socketPath });
  const dial = (): Promise<Conn<VsockAddress>> =>
    connect({ cid: 2, port: 81 }, { transport: machine.transport });
  let late: () => Conn<VsockAddress> = () => {
    throw new Error("nobody has connected");
  };
  act = (_port, _type, _guest, accept) => void (late = accept);
  await assertRejects(dial, Error, "ECONNRESET");
  assertThrows(late, Error, ABORTED);
  act = (_port, _type, _guest, accept) => {
    accept().close();
    assertThrows(accept, Error, ABORTED);
  };
  using far = await dial();
  assertEquals(await far.read(new Uint8Array(1)), null);
});

test("onConnect() accepts what the tap has seen once", LIMIT, async () => {
  using held = new DisposableStack();
  const ops: number[] = [];
  using device = createVsockDevice({
    ...{ socketPath: freshPath(), guestCid: GUEST_CID },
    tap: ({ op }) => void ops.push(op),
    onConnect: (_port, _type, _guest, accept) => void held.use(accept()),
  });
  using machine = await Machine.start(device.guest);
  using _far = await connect({ cid: 2, port: 80 }, { transport: machine.transport });
  assertEquals(ops, [VIRTIO_VSOCK_OP_REQUEST, VIRTIO_VSOCK_OP_RESPONSE]);
});

test("onConnect() that throws refuses one connect, and onFault is told", LIMIT, async () => {
  const throwing = fault;
  const faults: string[] = [];
  fault = ({ message }) => void faults.push(message);
  using machine = await Machine.start({ socketPath });
  const conns: Conn<VsockAddress>[] = [];
  act = (port, _type, _guest, accept) => {
    if (port === 85) throw new Error("onConnect of the program");
    conns.push(accept());
  };
  const { transport } = machine;
  using far = await connect({ cid: 2, port: 84 }, { transport });
  await assertRejects(() => connect({ cid: 2, port: 85 }, { transport }), Error, "ECONNRESET");
  await conns[0]!.write(new Uint8Array(7));
  assertEquals(await far.read(new Uint8Array(9)), 7);
  assertEquals(faults, ["onConnect of the program"]);
  conns[0]!.close();
  fault = throwing;
});

test("onConnect() that throws is uncaught where nobody is told of faults", LIMIT, async () => {
  using uncaught = new Uncaught();
  using device = createVsockDevice({
    ...{ socketPath: freshPath(), guestCid: GUEST_CID },
    onConnect: () => {
      throw new Error("onConnect of the program");
    },
  });
  using machine = await Machine.start(device.guest);
  const refused = connect({ cid: 2, port: 80 }, { transport: machine.transport });
  await assertRejects(() => refused, Error, "ECONNRESET");
  assertEquals(uncaught.messages, ["onConnect of the program"]);
});

test("onConnect() is not told of SEQPACKET that the driver has not agreed to", LIMIT, async () => {
  const told: string[] = [];
  act = (_port, type, _guest, accept) => {
    told.push(type);
    accept().close();
  };
  using guest = await RawGuest.start({ socketPath, seqpacket: false });
  guest.send({ op: VIRTIO_VSOCK_OP_REQUEST, dstPort: 86, type: VIRTIO_VSOCK_TYPE_SEQPACKET });
  assertEquals((await guest.next()).op, VIRTIO_VSOCK_OP_RST);
  guest.send({ op: VIRTIO_VSOCK_OP_REQUEST, dstPort: 86 });
  assertEquals((await guest.next()).op, VIRTIO_VSOCK_OP_RESPONSE);
  assertEquals(told, ["stream"]);
});

test("onConnect() keeps nothing of a guest that is gone by then", LIMIT, async () => {
  await leavesNothing(async () => {
    using machine = await Machine.start({ socketPath });
    const conns: Conn<VsockAddress>[] = [];
    act = (_port, _type, _guest, accept) => void conns.push(accept());
    for (let count = 0; count < 20; count++) {
      const socket = machine.transport.socket("stream");
      socket.connect({ cid: 2, port: 82 });
      socket.close();
    }
    await until(() => conns.length >= 20, () => conns.length);
    for (const conn of conns) assertEquals(await conn.read(new Uint8Array(1)), null);
    for (const conn of conns) conn.close();
  });
});

test("onConnect() is told once of a connection, whatever the guest repeats", LIMIT, async () => {
  using guest = await RawGuest.start({ socketPath });
  const conns: Conn<VsockAddress>[] = [];
  act = (_port, _type, _guest, accept) => void conns.push(accept());
  const request = { op: VIRTIO_VSOCK_OP_REQUEST, dstPort: 83 };
  for (let count = 0; count < 5; count++) guest.send(request);
  await guest.taken();
  assertEquals((await guest.next()).op, VIRTIO_VSOCK_OP_RESPONSE);
  assertEquals(conns.length, 1);
  guest.send({ op: VIRTIO_VSOCK_OP_RW, dstPort: 83 }, new Uint8Array(3));
  assertEquals(await conns[0]!.read(new Uint8Array(9)), 3);
  guest.send({ ...request, srcPort: 1, type: 7 });
  let answer = await guest.next();
  while (answer.dstPort !== 1) answer = await guest.next(); // credit of the other
  assertEquals([answer.op, conns.length], [VIRTIO_VSOCK_OP_RST, 1]);
  assert(device.guest.up);
  conns[0]!.close();
});
