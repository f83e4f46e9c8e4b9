/** Kernel sockets where no guest is needed: nothing here connects or sends. */
import { test } from "node:test";
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { F_GETFD, F_GETFL, FD_CLOEXEC, O_NONBLOCK } from "../../../ffi/abi/fcntl.ts";
import { PROT_READ } from "../../../ffi/abi/mman.ts";
import { POLLIN, POLLNVAL, POLLOUT } from "../../../ffi/abi/poll.ts";
import { SO_RCVLOWAT, SO_TYPE, SOL_SOCKET } from "../../../ffi/abi/socket.ts";
import { AF_VSOCK, SO_VM_SOCKETS_BUFFER_SIZE } from "../../../ffi/abi/vm_sockets.ts";
import { VMADDR_CID_ANY, VMADDR_PORT_ANY } from "../../../ffi/abi/vm_sockets.ts";
import { close, fcntl, pipe2, read, write } from "../../../ffi/libc.ts";
import { whyNoPages } from "../../../src/kernel/pages.ts";
import { SLICE_MS } from "../../../src/kernel/poll.ts";
import type { KernelSocket } from "../../../src/kernel/socket.ts";
import { openTcp } from "../../../src/kernel/tcp_unix.ts";
import { KernelTransport } from "../../../src/kernel/transport.ts";
import { FaultyLibc } from "../../helpers/faulty_libc.ts";
import { assertSysError } from "../../helpers/sys_error.ts";
import { NO_VSOCK as skip } from "./helpers.ts";

const ANY = { cid: VMADDR_CID_ANY, port: VMADDR_PORT_ANY };
const transport = skip ? undefined : new KernelTransport();

function open(type: "stream" | "seqpacket" = "stream"): KernelSocket {
  return transport!.socket(type);
}

test("KernelTransport tells what this kernel can do", { skip }, () => {
  const { name, capabilities, localCid } = transport!;
  assertEquals(name, "vsock");
  assert(capabilities.waitSync);
  assert(Number.isInteger(localCid) && localCid >= 0 && localCid <= VMADDR_CID_ANY);
  assertThrows(() => transport!.socket("dgram" as "stream"), TypeError, "must be");
});

test("KernelSocket is non-blocking, closed on exec, and of its type", { skip }, () => {
  for (const [type, number] of [["stream", 1], ["seqpacket", 5]] as const) {
    using socket = open(type);
    const value = new Int32Array(1);
    assertEquals(socket.getsockopt(SOL_SOCKET, SO_TYPE, new Uint8Array(value.buffer)), 4);
    assertEquals([socket.type, value[0]], [type, number]);
    assertEquals(fcntl(socket.fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
    assertEquals(fcntl(socket.fd, F_GETFD), FD_CLOEXEC);
  }
});

test("KernelSocket.inheritable clears and sets FD_CLOEXEC", { skip }, () => {
  using socket = open();
  assertEquals(socket.inheritable, false);
  socket.inheritable = true;
  assertEquals([socket.inheritable, fcntl(socket.fd, F_GETFD)], [true, 0]);
  socket.inheritable = false;
  assertEquals(socket.inheritable, false);
});

test("KernelSocket binds, listens and accepts nobody", { skip }, async () => {
  using socket = open();
  assertEquals(socket.localAddress(), ANY);
  assertSysError("listen", "EINVAL", () => socket.listen(1));
  socket.bind(ANY);
  const { cid, port } = socket.localAddress();
  assert(cid === VMADDR_CID_ANY && port > 1023);
  using other = open("seqpacket");
  assertSysError("bind", "EADDRINUSE", () => other.bind({ cid, port }));
  socket.listen(4);
  assertEquals(socket.accept(), undefined);
  assertEquals([socket.poll(POLLIN), socket.waitSync(POLLIN, 120)], [0, 0]);
  const aborted = AbortSignal.abort(new Error("enough"));
  await assertRejects(() => socket.wait(POLLIN, aborted), Error, "enough");
});

test("KernelSocket has the options of AF_VSOCK, and refuses as the kernel does", { skip }, () => {
  using socket = open();
  const size = BigUint64Array.of(4096n);
  const bytes = new Uint8Array(size.buffer);
  socket.setsockopt(AF_VSOCK, SO_VM_SOCKETS_BUFFER_SIZE, bytes);
  size[0] = 0n;
  assertEquals(socket.getsockopt(AF_VSOCK, SO_VM_SOCKETS_BUFFER_SIZE, bytes), 8);
  assertEquals(size[0], 4096n);
  assertEquals([socket.takeError(), socket.poll(POLLOUT)], [0, POLLOUT]);
  assertSysError("setsockopt", "EINVAL", () => socket.setsockopt(AF_VSOCK, 0, bytes.slice(4)));
  assertSysError("getsockopt", "ENOPROTOOPT", () => socket.getsockopt(AF_VSOCK, 99, bytes));
  const low = new Uint8Array(Int32Array.of(-1).buffer);
  assertSysError("setsockopt", "EINVAL", () => socket.setsockopt(SOL_SOCKET, SO_RCVLOWAT, low));
  assertSysError("ioctl", "EOPNOTSUPP", () => socket.outq());
  assertSysError("getpeername", "ENOTCONN", () => socket.remoteAddress());
  assertSysError("recv", "ENOTCONN", () => socket.recv(new Uint8Array(1), 0));
  assertSysError("shutdown", "ENOTCONN", () => socket.shutdown(1));
});

test("KernelSocket.mmap() gives what the kernel says, and EINVAL for no bytes", { skip }, () => {
  using socket = open();
  const unsupported = transport!.capabilities.mapRx || whyNoPages() !== undefined;
  const code = unsupported ? "EOPNOTSUPP" : "ENODEV";
  assertSysError("mmap", code, () => socket.mmap(8192, PROT_READ));
  assertSysError("mmap", "EINVAL", () => socket.mmap(0, PROT_READ));
});

test("KernelSocket after close() is EBADF, whoever has its number then", { skip }, async () => {
  const socket = open();
  const { fd } = socket;
  socket.close();
  // The lowest free number: a pipe gets the one that the socket had.
  const [reader, writer] = pipe2(0);
  assert(reader === fd || writer === fd, `${reader} and ${writer}, not ${fd}`);
  const one = new Uint8Array(1);
  const calls: Readonly<Record<string, () => unknown>> = {
    bind: () => socket.bind(ANY),
    listen: () => socket.listen(1),
    accept: () => socket.accept(),
    send: () => socket.send(one, 0),
    recv: () => socket.recv(one, 0, { flags: 0 }),
    shutdown: () => socket.shutdown(2),
    getsockopt: () => socket.takeError(),
    setsockopt: () => socket.setsockopt(1, 1, one),
    ioctl: () => socket.outq(),
    getsockname: () => socket.localAddress(),
    getpeername: () => socket.remoteAddress(),
    mmap: () => socket.mmap(8192, PROT_READ),
    fcntl: () => socket.fd,
  };
  for (const [op, call] of Object.entries(calls)) assertSysError(op, "EBADF", call);
  assertEquals([socket.closed, socket.poll(POLLIN)], [true, POLLNVAL]);
  assertEquals([await socket.wait(POLLIN), socket.waitSync(POLLIN, 0)], [POLLNVAL, POLLNVAL]);
  socket.close();
  write(writer, one);
  assertEquals(read(reader, one), 1);
  close(reader);
  close(writer);
});

test("KernelSocket.close() ends a wait with POLLNVAL", { skip }, async () => {
  const socket = open();
  socket.bind(ANY);
  socket.listen(1);
  const waits = [socket.wait(POLLIN), socket.wait(POLLIN | POLLOUT)];
  socket.close();
  assertEquals((await Promise.all(waits)).map((events) => events & POLLNVAL), [POLLNVAL, POLLNVAL]);
});

test("KernelSocket.waitSync() blocks for a slice at a time, so that its thread can be ended", () => {
  using socket = openTcp("127.0.0.1").socket("stream");
  socket.bind({ hostname: "127.0.0.1", port: 0 });
  socket.listen(1);
  const slices: number[] = [];
  using _libc = new FaultyLibc((name, args) => {
    if (name === "poll") slices.push(Number(args[2]));
    return undefined;
  });
  assertEquals(socket.waitSync(POLLIN, 2 * SLICE_MS + 1), 0);
  assert(slices.length > 2 && Math.max(...slices) <= SLICE_MS, `${slices}`);
});
