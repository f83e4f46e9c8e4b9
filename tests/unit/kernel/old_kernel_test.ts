/**
 * Linux before 6.6 cannot peek at a message, nor from 6.7 to 7.0 at a part of a packet. Before 6.7
 * AF_VSOCK has no error queue, before 5.7 `struct tcp_zerocopy_receive` its first 16 bytes alone.
 */
import { Buffer } from "node:buffer";
import { test } from "node:test";
import { assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { MSG_ERRQUEUE, MSG_PEEK, SO_ZEROCOPY } from "../../../ffi/abi/socket.ts";
import { TCP_ZEROCOPY_RECEIVE } from "../../../ffi/abi/tcp.ts";
import { type Code, SysError } from "../../../ffi/errno.ts";
import { VsockError } from "../../../src/error.ts";
import { openTcp } from "../../../src/kernel/tcp_unix.ts";
import type { MessageFlags, SocketType } from "../../../src/socket.ts";
import { FaultyLibc } from "../../helpers/faulty_libc.ts";
import { openPair, type Pair, pattern, sha256 } from "../../helpers/pair.ts";
import { openTcpPair } from "../../helpers/tcp_pair.ts";

/** As from Linux 6.2 on, and before. */
const CODES: readonly Code[] = ["EOPNOTSUPP", "ENOMEM"];

/** A pair whose far end refuses to peek, as the kernel does once there is a message. */
async function blindPair(code: Code, type: SocketType = "seqpacket"): Promise<Pair> {
  const pair = await openPair(type);
  const { socket } = pair.far;
  const recv = socket.recv.bind(socket);
  socket.recv = (buffer: Uint8Array, flags: number, out?: MessageFlags): number => {
    const n = recv(buffer, flags, out);
    if ((flags & MSG_PEEK) !== 0 && n > 0) throw new SysError("recv", code);
    return n;
  };
  return pair;
}

for (const code of CODES) {
  test(`receiveMessage() has room for any message where a peek gives ${code}`, async () => {
    using pair = await blindPair(code);
    const { near, far } = pair;
    const waiting = far.receiveMessage();
    for (const length of [3, 60_000, 1]) await near.sendMessage(pattern(length));
    for (const message of [await waiting, await far.receiveMessage()]) {
      assertEquals(message?.data, pattern(message!.length));
      assertEquals(message?.data.buffer.byteLength, message?.length);
    }
    near.close();
    assertEquals((await far.receiveMessage())?.length, 1);
    assertEquals(await far.receiveMessage(), null);
  });

  test(`receiveMessage() takes maxBytes of a message where a peek gives ${code}`, async () => {
    using pair = await blindPair(code);
    await pair.near.sendMessage(pattern(100), { endOfRecord: true });
    const message = await pair.far.receiveMessage({ maxBytes: 7 });
    assertEquals(message, { data: pattern(7), length: 100, truncated: true, endOfRecord: true });
  });

  test(`receiveMessage() with peek says why where a peek gives ${code}`, async () => {
    using pair = await blindPair(code);
    await pair.near.sendMessage(pattern(100));
    const peeking = pair.far.receiveMessage({ peek: true });
    const { message } = await assertRejects(() => peeking, VsockError, code);
    assertStringIncludes(message, "cannot peek at a message");
    assertEquals((await pair.far.receiveMessage())?.length, 100);
  });

  test(`Receiver cuts no message where a peek gives ${code}`, async () => {
    using pair = await blindPair(code);
    await pair.near.sendMessage(pattern(60_000));
    using receiver = pair.far.receiver({ mode: "copy", pages: 1 });
    using batch = await receiver.receive();
    assertEquals(Array.from(batch!, ({ data }) => data.length), [60_000]);
  });
}

test("read() with peek says why where a peek gives EFAULT, and goes on without", async () => {
  using pair = await blindPair("EFAULT", "stream");
  await pair.near.write(pattern(100));
  const peeking = pair.far.read(new Uint8Array(100), { peek: true });
  const { message } = await assertRejects(() => peeking, VsockError, "EFAULT");
  assertStringIncludes(message, "cannot peek where a packet was read in part");
  assertEquals(await pair.far.read(new Uint8Array(100)), 100);
});

test("Conn.write() with zeroCopy asks for no records where it copies", {
  timeout: 60_000,
}, async () => {
  using pair = await openTcpPair();
  const { near, far } = pair;
  using _old = new FaultyLibc((name, [, , third]) => {
    if (name === "setsockopt" && third === SO_ZEROCOPY) return "EOPNOTSUPP";
    if (name !== "recvmsg" || (Number(third) & MSG_ERRQUEUE) === 0) return undefined;
    throw new Error("recvmsg() would give 0, or ENOTCONN, as recv() does at an end");
  });
  assertEquals(await near.write(pattern(9000), { zeroCopy: true }), 9000);
  const reading = near.read(new Uint8Array(1));
  far.close(); // with bytes that it has not read: a reset
  await assertRejects(() => reading, VsockError, "ECONNRESET");
  assertMatch(near.zeroCopy.unsupported ?? "", /EOPNOTSUPP/);
});

/** libc as of Linux before 5.7. */
function libcOf56(): FaultyLibc {
  return new FaultyLibc((name, args) =>
    name === "getsockopt" && args[2] === TCP_ZEROCOPY_RECEIVE ? "EINVAL" : undefined
  );
}

test("openTcp() does not map where the kernel takes no such struct", () => {
  using _old = libcOf56();
  assertEquals(openTcp("::1").capabilities.mapRx, false);
});

for (const mode of ["map", "auto"] as const) {
  test(`Receiver copies over TCP where the kernel takes no such struct: ${mode}`, async () => {
    using pair = await openTcpPair();
    using receiver = pair.far.receiver({ mode });
    using _old = libcOf56();
    const data = pattern(100_000);
    const sent = pair.near.write(data).then(() => pair.near.closeWrite());
    const got: Uint8Array[] = [];
    for await (const batch of receiver) {
      assertEquals(batch.mapped, false);
      for (const packet of batch) got.push(packet.data.slice());
    }
    await sent;
    assertEquals(sha256(Buffer.concat(got)), sha256(data));
  });
}
