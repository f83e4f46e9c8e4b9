/**
 * SO_RCVLOWAT, credit and queues: when a socket is ready, and what has left it.
 *
 * @module
 */
import { randomBytes } from "node:crypto";
import { POLLERR, POLLHUP, POLLIN, POLLRDHUP, POLLRDNORM } from "../../../../ffi/abi/poll.ts";
import { MSG_PEEK } from "../../../../ffi/abi/socket.ts";
import { VIRTIO_VSOCK_MAX_PKT_BUF_SIZE } from "../../../../ffi/abi/virtio_vsock.ts";
import { type Socket, type SocketType, WOULD_BLOCK } from "../../../socket.ts";
import { BUFFER_SIZE, RCVLOWAT } from "../../../sockopt.ts";
import type { TestCase } from "../case.ts";
import { expect, expectBytes, setAndCheck } from "../check.ts";
import type { End } from "../end.ts";

const LOWAT = 128;

/** Not ready with a byte, ready with all of them. */
export const pollRcvlowat: TestCase = {
  name: "SOCK_STREAM poll() + SO_RCVLOWAT",
  async client(end) {
    using socket = await end.connect();
    setAndCheck(socket, RCVLOWAT, LOWAT);
    await end.control.expect("SRVSENT");
    const events = POLLIN | POLLRDNORM;
    expect("poll with 1 byte", await end.poll(socket, events, 1_000), 0);
    end.control.send("CLNSENT");
    expect("poll with all bytes", await end.poll(socket, events, 10_000), events);
    expect("recv at once", socket.recv(new Uint8Array(LOWAT), 0), LOWAT);
    end.control.send("POLLDONE");
  },
  async server(end) {
    using socket = await end.accept();
    await end.sendByte(socket);
    end.control.send("SRVSENT");
    await end.control.expect("CLNSENT");
    for (let sent = 1; sent < LOWAT; sent++) await end.sendByte(socket);
    await end.control.expect("POLLDONE");
  },
};

const [HELLO, WORLD] = [new TextEncoder().encode("HELLO"), new TextEncoder().encode("WORLD")];
const TAKEN_FIRST = 2;

/** A packet of which a part was read, and one that is put behind it. */
export const skbMerge: TestCase = {
  name: "SOCK_STREAM virtio skb merge",
  async client(end) {
    using socket = await end.connect();
    await end.send(socket, HELLO);
    end.control.send("SEND0");
    await end.control.expect("REPLY0");
    await end.send(socket, WORLD);
    end.control.send("SEND1");
    await end.control.expect("REPLY1");
  },
  async server(end) {
    using socket = await end.accept();
    await end.control.expect("SEND0");
    const first = await end.receiveAll(socket, TAKEN_FIRST);
    end.control.send("REPLY0");
    await end.control.expect("SEND1");
    const both = [...HELLO, ...WORLD];
    const rest = await end.receiveAll(socket, both.length - TAKEN_FIRST);
    expect("recv of more", socket.recv(new Uint8Array(1), 0), WOULD_BLOCK);
    expectBytes("both packets", Uint8Array.of(...first, ...rest), Uint8Array.from(both));
    end.control.send("REPLY1");
  },
};

const CREDIT = 128 * 1024;

/** One byte more than the peer's buffer: the last goes when the peer tells of credit. */
async function fillBuffer(end: End): Promise<void> {
  using socket = await end.connect();
  await end.receiveByte(socket); // comes after the peer's word about its buffer
  await end.send(socket, new Uint8Array(CREDIT + 1));
}

/** Reads a packet of a full buffer and waits for a byte more than is left. */
async function awaitCredit(end: End, lowatFirst: boolean): Promise<void> {
  const [half, wanted] = [VIRTIO_VSOCK_MAX_PKT_BUF_SIZE, VIRTIO_VSOCK_MAX_PKT_BUF_SIZE + 1];
  using socket = await end.accept();
  setAndCheck(socket, BUFFER_SIZE, CREDIT);
  if (lowatFirst) setAndCheck(socket, RCVLOWAT, wanted);
  await end.sendByte(socket);
  const buffer = new Uint8Array(CREDIT);
  await end.until(socket, "a full buffer", () => peekLength(socket, buffer) === CREDIT);
  expect("recv of a packet", (await end.receiveAll(socket, half)).length, half);
  if (!lowatFirst) setAndCheck(socket, RCVLOWAT, wanted);
  const events = await end.wait(socket, POLLIN | POLLRDNORM | POLLRDHUP);
  expect("poll: POLLERR and POLLHUP", events & (POLLERR | POLLHUP), 0);
  expect("poll: POLLIN", events & POLLIN, POLLIN);
  expect("recv at once", socket.recv(buffer.subarray(0, wanted), 0), wanted);
}

function peekLength(socket: Socket, buffer: Uint8Array): number {
  const length = socket.recv(buffer, MSG_PEEK);
  if (length === 0) throw new Error("recv: the stream ended early");
  return length;
}

/** Raising SO_RCVLOWAT past what is there tells the peer of credit. */
export const creditUpdateOnRcvlowat: TestCase = {
  name: "SOCK_STREAM virtio credit update + SO_RCVLOWAT",
  client: fillBuffer,
  server: (end) => awaitCredit(end, false),
};

/** Reading to below SO_RCVLOWAT tells the peer of credit. */
export const creditUpdateOnLowBytes: TestCase = {
  name: "SOCK_STREAM virtio credit update + low rx_bytes",
  client: fillBuffer,
  server: (end) => awaitCredit(end, true),
};

const UNSENT = 64;

function unsentBytes(name: string, type: SocketType): TestCase {
  return {
    name,
    async client(end) {
      using socket = await end.connect(type);
      await end.send(socket, randomBytes(UNSENT));
      await end.control.expect("RECEIVED");
      await end.until(socket, "SIOCOUTQ", () => socket.outq() === 0);
    },
    async server(end) {
      using socket = await end.accept(type);
      expect("recv", (await end.receiveAll(socket, UNSENT)).length, UNSENT);
      end.control.send("RECEIVED");
    },
  };
}

/** SIOCOUTQ comes down to 0 once the peer has it all. */
export const streamUnsentBytes: TestCase = unsentBytes(
  "SOCK_STREAM ioctl(SIOCOUTQ) 0 unsent bytes",
  "stream",
);

/** The same with a message. */
export const seqpacketUnsentBytes: TestCase = unsentBytes(
  "SOCK_SEQPACKET ioctl(SIOCOUTQ) 0 unsent bytes",
  "seqpacket",
);
