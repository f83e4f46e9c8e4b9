import { test } from "node:test";
import { assertEquals, assertRejects } from "@std/assert";
import { POLLIN, POLLOUT } from "../../../ffi/abi/poll.ts";
import {
  VIRTIO_VSOCK_OP_CREDIT_UPDATE,
  VIRTIO_VSOCK_TYPE_STREAM,
} from "../../../ffi/abi/virtio_vsock.ts";
import { createLoopback } from "../../../src/loopback/mod.ts";
import { WOULD_BLOCK } from "../../../src/socket.ts";
import { tellsCreditLate } from "../../../src/stack/node.ts";
import { VsockSock } from "../../../src/virtio/sock.ts";
import { VsockError } from "../../../src/error.ts";
import { openPair, pattern } from "../../helpers/pair.ts";

/** A stream pair of sockets whose far end is kept from merging, and the credit updates seen. */
async function pair() {
  const updates: number[] = [];
  const transport = createLoopback({
    tap: ({ op, fwdCnt }) => {
      if (op === VIRTIO_VSOCK_OP_CREDIT_UPDATE) updates.push(fwdCnt);
    },
  });
  const listener = transport.socket("stream");
  listener.bind({ cid: 1, port: 1024 });
  listener.listen(0);
  const near = transport.socket("stream");
  near.connect({ cid: 1, port: 1024 });
  await near.wait(POLLOUT);
  const far = listener.accept()!;
  listener.close();
  return { near, far, updates };
}

test("recv() updates credit as a Linux receiver does: 60 packets, 16 KiB reads", async () => {
  const { near, far, updates } = await pair();
  for (let i = 0; i < 60; i++) assertEquals(near.send(new Uint8Array(3_732), 0), 3_732);
  await Promise.resolve();
  const buffer = new Uint8Array(16_384);
  while (far.recv(buffer, 0) > 0);
  await Promise.resolve();
  assertEquals(updates, [212_724, 223_920]);
  near.close();
  far.close();
});

test("send() stops where the credit ends, and goes on where an update says so", async () => {
  const { near, far, updates } = await pair();
  assertEquals(near.send(new Uint8Array(300_000), 0), 262_144);
  assertEquals(near.send(new Uint8Array(1), 0), WOULD_BLOCK);
  assertEquals(near.poll(POLLOUT), 0);
  assertEquals(near.outq(), 262_144);
  await Promise.resolve();
  assertEquals(near.outq(), 0);
  // 64 KiB drained is not told yet: the peer is believed to have room for a packet of that size.
  const buffer = new Uint8Array(65_536);
  far.recv(buffer, 0);
  far.recv(buffer, 0);
  far.recv(buffer, 0);
  await Promise.resolve();
  assertEquals([updates.length, near.send(new Uint8Array(1), 0)], [0, WOULD_BLOCK]);
  far.recv(buffer, 0);
  await Promise.resolve();
  assertEquals([updates, near.poll(POLLOUT)], [[262_144], POLLOUT]);
  near.close();
  far.close();
});

test("tellsCreditLate() tells of half a window, and where the window has shrunk below that", () => {
  const sock = new VsockSock(VIRTIO_VSOCK_TYPE_STREAM);
  const { credit } = sock;
  credit.learn(262_144, 0);
  const told = [131_072, 1].map((bytes) => {
    credit.queued(bytes);
    credit.drained(bytes);
    return tellsCreditLate(sock);
  });
  credit.learn(100_000, 0);
  assertEquals([...told, tellsCreditLate(sock)], [false, true, true]);
});

test("wait() ends where SO_RCVLOWAT is set to what has come already", async () => {
  using conns = await openPair();
  const { near, far } = conns;
  far.options.rcvlowat = 10;
  await near.write(pattern(5));
  const waits = far.socket.wait(POLLIN, AbortSignal.timeout(30_000));
  far.options.rcvlowat = 5;
  assertEquals(await waits, POLLIN);
});

test("poll() is OUT after a shorter message was sent than the one that found no room", async () => {
  using conns = await openPair("seqpacket");
  const { socket } = conns.near;
  assertEquals(socket.send(pattern(200_000), 0), 200_000);
  assertEquals([socket.send(pattern(100_000), 0), socket.poll(POLLOUT)], [WOULD_BLOCK, 0]);
  assertEquals([socket.send(pattern(1_000), 0), socket.poll(POLLOUT)], [1_000, POLLOUT]);
});

test("sendMessage() that waits is EMSGSIZE once the peer's buffer is too small for it", async () => {
  using conns = await openPair("seqpacket");
  const { near, far } = conns;
  await near.sendMessage(pattern(200_000));
  const waits = near.sendMessage(pattern(200_000), { timeoutMs: 30_000 });
  far.options.bufferSize = 65_536;
  await far.receiveMessage();
  assertEquals((await assertRejects(() => waits, VsockError)).code, "EMSGSIZE");
});

test("write() goes on where its own buffer was what it waited for", async () => {
  using conns = await openPair();
  const { near } = conns;
  near.options.bufferSize = 65_536;
  const waits = near.write(pattern(100_000), { timeoutMs: 30_000 });
  near.options.bufferSize = 262_144;
  assertEquals(await waits, 100_000);
});
