/** Kernel sockets that are connected, over TCP on this machine. */
import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { F_SETFL } from "../../../ffi/abi/fcntl.ts";
import { POLLERR } from "../../../ffi/abi/poll.ts";
import { MSG_ZEROCOPY, SO_ZEROCOPY, SOL_SOCKET } from "../../../ffi/abi/socket.ts";
import { fcntl, send } from "../../../ffi/libc.ts";
import type { TcpAddress } from "../../../src/address.ts";
import type { KernelSocket } from "../../../src/kernel/socket.ts";
import { takeErrorRecord } from "../../../src/send/error_queue.ts";
import { WOULD_BLOCK } from "../../../src/socket.ts";
import { openTcpPair } from "../../helpers/tcp_pair.ts";
import { until } from "../../helpers/until.ts";

const LIMIT = { timeout: 60_000 };

test("KernelSocket waits for nothing, though somebody clears O_NONBLOCK", LIMIT, async () => {
  using pair = await openTcpPair();
  const socket = pair.near.socket as KernelSocket<TcpAddress>;
  fcntl(socket.fd, F_SETFL, 0); // as a child process may, that has inherited it
  const p = new Uint8Array(1 << 20);
  assertEquals(socket.recv(p, 0), WOULD_BLOCK);
  assertEquals(socket.recv(p, 0, { flags: 0 }), WOULD_BLOCK);
  while (socket.send(p, 0) !== WOULD_BLOCK);
});

test("KernelSocket.send() leaves MSG_ZEROCOPY to `zeroCopy`, which counts", LIMIT, async () => {
  using pair = await openTcpPair();
  const socket = pair.near.socket as KernelSocket<TcpAddress>;
  const { fd } = socket;
  socket.setsockopt(SOL_SOCKET, SO_ZEROCOPY, new Uint8Array(Int32Array.of(1).buffer));
  const data = new Uint8Array(9_000);
  assertEquals(socket.send(data, MSG_ZEROCOPY), data.length);
  assertEquals(send(fd, data, MSG_ZEROCOPY), data.length);
  await until(() => socket.poll(0) === POLLERR);
  assertEquals([takeErrorRecord(fd)?.last, takeErrorRecord(fd)], [0, undefined]);
});
