/**
 * SEQPACKET: bounds, MSG_EOR, MSG_TRUNC, a wait that ends, a message that is too long.
 *
 * @module
 */
import { randomInt } from "node:crypto";
import { MSG_EOR, MSG_TRUNC, SO_RCVTIMEO, SOL_SOCKET } from "../../../../ffi/abi/socket.ts";
import { F_GETFL, F_SETFL, O_NONBLOCK } from "../../../../ffi/abi/fcntl.ts";
import { POLLIN } from "../../../../ffi/abi/poll.ts";
import { encodeTimeval } from "../../../../ffi/abi/time.ts";
import { fcntl, recv } from "../../../../ffi/libc.ts";
import { BUFFER_MAX_SIZE, BUFFER_SIZE, getOption } from "../../../sockopt.ts";
import { type MessageFlags, type Socket, WOULD_BLOCK } from "../../../socket.ts";
import type { TestCase } from "../case.ts";
import { expect, expectBytes, expectErrno, setAndCheck } from "../check.ts";
import type { End } from "../end.ts";
import { addHash, djb2 } from "../hash.ts";

const PAGE = 4096;
const BUFFER = 2 * 1024 * 1024;
const MAX_MESSAGE = 4 * PAGE;
const MESSAGES = BUFFER / MAX_MESSAGE;

function setBuffer(socket: Socket): void {
  setAndCheck(socket, BUFFER_MAX_SIZE, BUFFER);
  setAndCheck(socket, BUFFER_SIZE, BUFFER);
}

/** Small ones and big ones by turns, each of one byte all over. */
function makeMessage(index: number): Uint8Array {
  const length = index % 2 === 0 ? randomInt(1, PAGE + 1) : randomInt(PAGE, MAX_MESSAGE);
  return new Uint8Array(length).fill(randomInt(256));
}

/** Sends messages; the sum of their hashes, and 1 for each MSG_EOR. */
async function sendMessages(end: End, socket: Socket): Promise<bigint> {
  let sum = 0n;
  for (let index = 0; index < MESSAGES; index++) {
    const message = makeMessage(index);
    const endsRecord = index === MESSAGES / 2 || randomInt(2) === 1;
    if (endsRecord) sum = addHash(sum, 1n);
    await end.send(socket, message, endsRecord ? MSG_EOR : 0);
    sum = addHash(sum, djb2(message));
  }
  return sum;
}

/** The same sum over what arrives, up to the end: a broken bound is another sum. */
async function receiveMessages(end: End, socket: Socket): Promise<bigint> {
  const buffer = new Uint8Array(MAX_MESSAGE);
  const out: MessageFlags = { flags: 0 };
  for (let sum = 0n;;) {
    const length = await end.receive(socket, buffer, 0, out);
    if (length === 0) return sum;
    if (out.flags & MSG_EOR) sum = addHash(sum, 1n);
    sum = addHash(sum, djb2(buffer.subarray(0, length)));
  }
}

/** Many messages, read only after the last one was sent. */
export const messageBounds: TestCase = {
  name: "SOCK_SEQPACKET msg bounds",
  async client(end) {
    using socket = await end.connect("seqpacket");
    setBuffer(socket);
    await end.control.expect("SRVREADY");
    const sum = await sendMessages(end, socket);
    end.control.send("SENDDONE");
    end.control.send(String(sum));
  },
  async server(end) {
    using socket = await end.accept("seqpacket");
    setBuffer(socket);
    end.control.send("SRVREADY");
    await end.control.expect("SENDDONE");
    const sum = await receiveMessages(end, socket);
    expect("sum of hashes", sum, await end.control.readHash());
  },
};

const TRUNCATED = 32;

/** A message longer than the buffer. */
export const messageTrunc: TestCase = {
  name: "SOCK_SEQPACKET MSG_TRUNC flag",
  async client(end) {
    using socket = await end.connect("seqpacket");
    await end.send(socket, new Uint8Array(TRUNCATED));
    end.control.send("SENDDONE");
  },
  async server(end) {
    using socket = await end.accept("seqpacket");
    await end.control.expect("SENDDONE");
    const out: MessageFlags = { flags: 0 };
    const length = await end.receive(socket, new Uint8Array(TRUNCATED / 2), MSG_TRUNC, out);
    expect("recv with MSG_TRUNC", length, TRUNCATED);
    expect("MSG_TRUNC in msg_flags", out.flags & MSG_TRUNC, MSG_TRUNC);
  },
};

const RCVTIMEO_MS = 1000;
/** C allows 250 ms more, which a busy machine does not keep; a timer may be early by a tick. */
const [EARLIEST_MS, LATEST_MS] = [RCVTIMEO_MS - 50, RCVTIMEO_MS + 2_000];

/**
 * Waits for want of data as long as SO_RCVTIMEO says: in a recv(2) that blocks this thread, where
 * there is a descriptor; else in a poll, since the sockets of a loopback never block.
 */
async function receiveNothing(end: End, socket: Socket): Promise<void> {
  if (!end.hasFds) {
    expect("poll of nothing", await end.poll(socket, POLLIN, RCVTIMEO_MS), 0);
    expect("recv of nothing", socket.recv(new Uint8Array(1), 0), WOULD_BLOCK);
    return;
  }
  const fd = end.fdOf(socket);
  const flags = fcntl(fd, F_GETFL);
  fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
  expect("recv of nothing", recv(fd, new Uint8Array(1), 0), WOULD_BLOCK);
  fcntl(fd, F_SETFL, flags);
}

/** A receive that ends for want of data. */
export const timeout: TestCase = {
  name: "SOCK_SEQPACKET timeout",
  async client(end) {
    using socket = await end.connect("seqpacket");
    const timeval = encodeTimeval(RCVTIMEO_MS);
    socket.setsockopt(SOL_SOCKET, SO_RCVTIMEO, timeval);
    const kept = timeval.map((byte) => ~byte);
    expect("SO_RCVTIMEO, length", socket.getsockopt(SOL_SOCKET, SO_RCVTIMEO, kept), kept.length);
    expectBytes("SO_RCVTIMEO", kept, timeval);
    const start = performance.now();
    await receiveNothing(end, socket);
    const took = performance.now() - start;
    if (took < EARLIEST_MS || took > LATEST_MS) {
      throw new Error(`recv of nothing: expected ${RCVTIMEO_MS} ms, took ${took}`);
    }
    end.control.send("WAITDONE");
  },
  async server(end) {
    using _socket = await end.accept("seqpacket");
    await end.control.expect("WAITDONE");
  },
};

/** A message of one byte more than the buffer. */
export const bigMessage: TestCase = {
  name: "SOCK_SEQPACKET big message",
  async client(end) {
    using socket = await end.connect("seqpacket");
    const message = new Uint8Array(getOption(socket, BUFFER_SIZE) + 1);
    expectErrno("send of a big message", "EMSGSIZE", () => socket.send(message, 0));
    end.control.send("CLISENT");
  },
  async server(end) {
    using _socket = await end.accept("seqpacket");
    await end.control.expect("CLISENT");
  },
};
