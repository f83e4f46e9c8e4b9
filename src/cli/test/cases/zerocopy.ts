/**
 * MSG_ZEROCOPY: data goes from the sender's own pages, and the error queue says when.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { randomFillSync } from "node:crypto";
import { POLLERR, POLLIN, POLLOUT } from "../../../../ffi/abi/poll.ts";
import { MSG_NOSIGNAL, MSG_ZEROCOPY, SOL_VSOCK } from "../../../../ffi/abi/socket.ts";
import { VSOCK_RECVERR } from "../../../../ffi/abi/vm_sockets.ts";
import { sendmsg } from "../../../../ffi/libc.ts";
import { MappedRegion } from "../../../../ffi/memory.ts";
import { Message } from "../../../../ffi/message.ts";
import { type Socket, type SocketType, WOULD_BLOCK } from "../../../socket.ts";
import { setOption, ZERO_COPY_SEND } from "../../../sockopt.ts";
import type { TestCase } from "../case.ts";
import { expect, expectErrno } from "../check.ts";
import { type ErrorRecord, takeErrorRecord } from "../../../send/error_queue.ts";
import { TIMEOUT_MS } from "../control.ts";
import type { End } from "../end.ts";
import { djb2 } from "../hash.ts";
import { brokenMemory } from "../memory.ts";

const RAW = "it sends with MSG_ZEROCOPY";
const PAGE = 4096;
/** How long the error queue of a send that must leave nothing there is watched. */
const QUIET_MS = 100;

/** One buffer of a send. */
interface Vec {
  readonly length: number;
  /** Bytes behind the start of a page. @default {0} */
  readonly offset?: number;
  /** Not mapped: the send fails. */
  readonly broken?: boolean;
}

/** One send. */
interface Shape {
  /** In place of the success of the others. */
  readonly error?: "ENOMEM";
  /** `SO_ZEROCOPY`; without it MSG_ZEROCOPY has no effect. @default {true} */
  readonly enabled?: boolean;
  /** What the error queue says. @default {false} */
  readonly copied?: boolean;
  /** Longer than any message may be. */
  readonly streamOnly?: boolean;
  readonly vecs: readonly Vec[];
}

const SHAPES: readonly Shape[] = [
  { vecs: [{ length: PAGE }, { length: PAGE }, { length: 200 }] },
  { vecs: [{ length: PAGE }, { length: 2 * PAGE }, { length: 3 * PAGE }] },
  { vecs: [{ length: 16 * PAGE }, { length: 16 * PAGE }, { length: 16 * PAGE }] },
  { vecs: [{ length: PAGE }, { length: 100, offset: 1 }, { length: PAGE }] },
  { vecs: [{ length: PAGE }, { length: PAGE, broken: true }, { length: PAGE }], error: "ENOMEM" },
  { vecs: [{ length: PAGE }], enabled: false },
  { vecs: [{ length: 100 * PAGE }], copied: true, streamOnly: true },
];

function shapesFor(type: SocketType): readonly Shape[] {
  return type === "stream" ? SHAPES : SHAPES.filter(({ streamOnly }) => !streamOnly);
}

/** Buffers of their own pages, filled with random bytes. `stack` unmaps them. */
function allocate(vecs: readonly Vec[], stack: DisposableStack): Uint8Array<ArrayBuffer>[] {
  return vecs.map(({ length, offset = 0, broken = false }) => {
    if (broken) {
      const { region, bytes } = brokenMemory(length / PAGE, 0);
      stack.use(region);
      return bytes;
    }
    const bytes = stack.use(new MappedRegion(offset + length)).lend(offset, length);
    return randomFillSync(bytes);
  });
}

/** What is left of `buffers` behind the first `sent` bytes. */
function rest(
  buffers: readonly Uint8Array<ArrayBuffer>[],
  sent: number,
): Uint8Array<ArrayBuffer>[] {
  let skip = sent;
  return buffers.flatMap((buffer) => {
    const taken = Math.min(skip, buffer.length);
    skip -= taken;
    return taken === buffer.length ? [] : [buffer.subarray(taken)];
  });
}

/** Takes one record from the error queue, as it is to be; `undefined` for none. */
function takeCompletion(fd: number): ErrorRecord | undefined {
  const record = takeErrorRecord(fd);
  if (record === undefined) return undefined;
  expect("cmsg_level", record.level, SOL_VSOCK);
  expect("cmsg_type", record.type, VSOCK_RECVERR);
  expect("zero-copy by ee_origin", String(record.zeroCopy), "true");
  expect("ee_errno", record.errno, 0);
  return record;
}

/** Sends all, in as many calls as it takes; what the error queue says of the first of them. */
async function sendAll(
  end: End,
  socket: Socket,
  buffers: readonly Uint8Array<ArrayBuffer>[],
): Promise<ErrorRecord | undefined> {
  const fd = end.fdOf(socket);
  let first: ErrorRecord | undefined;
  for (let left = [...buffers]; left.length > 0;) {
    const sent = sendmsg(fd, new Message(left), MSG_ZEROCOPY | MSG_NOSIGNAL);
    if (sent !== WOULD_BLOCK) {
      left = rest(left, sent);
    } else if (await end.wait(socket, POLLOUT) & POLLERR) {
      const completion = takeCompletion(fd);
      first ??= completion;
    }
  }
  return first;
}

/** Waits for the error queue and checks what it says. */
async function expectCompletion(
  end: End,
  socket: Socket,
  early: ErrorRecord | undefined,
  copied: boolean,
): Promise<void> {
  if (early === undefined) {
    expect("poll after MSG_ZEROCOPY", await end.wait(socket, 0) & POLLERR, POLLERR);
  }
  const completion = early ?? takeCompletion(end.fdOf(socket));
  expect("copied, by the error queue", String(completion?.copied), String(copied));
}

async function sendShape(end: End, type: SocketType, shape: Shape): Promise<void> {
  const { vecs, error, enabled = true, copied = false } = shape;
  using socket = await end.connect(type);
  using memory = new DisposableStack();
  const buffers = allocate(vecs, memory);
  if (enabled) setOption(socket, ZERO_COPY_SEND, true);
  if (error === undefined) {
    const early = await sendAll(end, socket, buffers);
    if (enabled) await expectCompletion(end, socket, early, copied);
    else expect("poll after a plain send", await end.poll(socket, 0, QUIET_MS), 0);
    end.control.send(String(djb2(Buffer.concat(buffers))));
  } else {
    const [fd, message] = [end.fdOf(socket), new Message(buffers)];
    expectErrno("sendmsg of a hole", error, () => sendmsg(fd, message, MSG_ZEROCOPY));
    end.control.send("0");
  }
  end.control.send("DONE");
}

/**
 * What comes, up to `length` bytes. Blocks this thread for it: a client in C gives its pages 100 ms
 * to come back from here.
 */
function receiveNow(socket: Socket, length: number): Uint8Array {
  const buffer = new Uint8Array(length);
  let got = 0;
  while (got < length) {
    const received = socket.recv(buffer.subarray(got), 0);
    if (received === 0) break;
    if (received !== WOULD_BLOCK) got += received;
    else if (socket.waitSync(POLLIN, TIMEOUT_MS) === 0) throw new Error("recv timed out");
  }
  return buffer.subarray(0, got);
}

async function receiveShape(end: End, type: SocketType, shape: Shape): Promise<void> {
  using socket = await end.accept(type);
  const length = shape.vecs.reduce((sum, { length }) => sum + length, 0);
  const received = receiveNow(socket, length);
  const hash = shape.error === undefined ? djb2(received) : 0n;
  expect("hash", hash, await end.control.readHash());
  await end.control.expect("DONE");
}

function zeroCopy(name: string, type: SocketType): TestCase {
  return {
    name,
    raw: { client: RAW },
    async client(end) {
      for (const shape of shapesFor(type)) await sendShape(end, type, shape);
    },
    async server(end) {
      for (const shape of shapesFor(type)) await receiveShape(end, type, shape);
    },
  };
}

/** Aligned and not, from a hole, not enabled, longer than the credit. */
export const streamZeroCopy: TestCase = zeroCopy("SOCK_STREAM MSG_ZEROCOPY", "stream");

/** The same with messages. */
export const seqpacketZeroCopy: TestCase = zeroCopy("SOCK_SEQPACKET MSG_ZEROCOPY", "seqpacket");

/** An error queue with nothing in it. */
export const emptyErrorQueue: TestCase = {
  name: "SOCK_STREAM MSG_ZEROCOPY empty MSG_ERRQUEUE",
  raw: { client: "it reads the error queue" },
  async client(end) {
    using socket = await end.connect();
    if (takeCompletion(end.fdOf(socket)) !== undefined) {
      throw new Error("The error queue has a record");
    }
    end.control.send("DONE");
  },
  async server(end) {
    using _socket = await end.accept();
    await end.control.expect("DONE");
  },
};
