/**
 * Waits for messages that an io_uring goes on with. A stream of AF_UNIX stands in for SEQPACKET of
 * AF_VSOCK: with MSG_WAITALL, an io_uring goes on with its sends too where room ends.
 */
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { assert, assertEquals } from "@std/assert";
import { POLLOUT, POLLRDHUP } from "../../../ffi/abi/poll.ts";
import {
  AF_UNIX,
  MSG_DONTWAIT,
  MSG_WAITALL,
  SOCK_NONBLOCK,
  SOCK_STREAM,
} from "../../../ffi/abi/socket.ts";
import { WOULD_BLOCK } from "../../../ffi/errno.ts";
import { close, recv, socketpair } from "../../../ffi/libc.ts";
import type { UnixAddress } from "../../../src/address.ts";
import { UNIX } from "../../../src/kernel/family_unix.ts";
import { KernelSocket } from "../../../src/kernel/socket.ts";
import { uring } from "../../../src/kernel/uring.ts";

const skip = uring() === null && "no io_uring";
const LIMIT = { skip, timeout: 60_000 };
/** More than both ends take. */
const LARGE = new Uint8Array(400_000);
const ROOM = POLLOUT | POLLRDHUP;

interface Pair extends Disposable {
  readonly socket: KernelSocket<UnixAddress>;
  readonly peer: number;
}

function open(): Pair {
  const [fd, peer] = socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK);
  const socket = new KernelSocket(fd, "seqpacket", { ...UNIX, cutsMessages: true });
  return {
    socket,
    peer,
    [Symbol.dispose](): void {
      socket.close();
      close(peer);
    },
  };
}

/** Reads until all of a large message has come, while nothing else runs here. */
function readLarge(peer: number): void {
  const buffer = new Uint8Array(1 << 20);
  const end = performance.now() + 30_000;
  for (let have = 0; have < LARGE.length;) {
    assert(performance.now() < end, `${have} bytes have come`);
    have += Math.max(0, recv(peer, buffer, MSG_DONTWAIT));
  }
}

/** Who takes the completion of `socket`, of whatever else there is in this thread. */
const TAKERS: Readonly<Record<string, (socket: KernelSocket<UnixAddress>) => void>> = {
  "nobody else": () => {},
  "its own poll()": (socket) => void socket.poll(POLLOUT),
  "the send() of another socket": () => {
    using other = open();
    assertEquals(other.socket.send(new Uint8Array(10), 0), 10);
  },
};
for (const [taker, take] of Object.entries(TAKERS)) {
  test(`KernelSocket.wait() ends with its message where ${taker} reaps`, LIMIT, async () => {
    using pair = open();
    const { socket, peer } = pair;
    assertEquals(socket.send(LARGE, MSG_WAITALL), WOULD_BLOCK);
    const waits = [socket.wait(ROOM), socket.wait(ROOM)];
    await sleep(100); // until another thread watches
    readLarge(peer);
    take(socket);
    for (const revents of await Promise.all(waits)) assertEquals(revents & POLLOUT, POLLOUT);
    assertEquals(socket.send(LARGE, MSG_WAITALL), LARGE.length);
  });
}

test("KernelSocket.wait() ends by its signal while a message is under way", LIMIT, async () => {
  using pair = open();
  const { socket, peer } = pair;
  assertEquals(socket.send(LARGE, MSG_WAITALL), WOULD_BLOCK);
  for (const signal of [AbortSignal.abort("enough"), AbortSignal.timeout(20)]) {
    const reason = await socket.wait(ROOM, signal).catch((reason: unknown) => reason);
    assertEquals(reason, signal.reason);
  }
  const wait = socket.wait(ROOM);
  readLarge(peer);
  assertEquals(await wait & POLLOUT, POLLOUT);
});
