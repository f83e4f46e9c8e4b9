import { test } from "node:test";
import { assert, assertEquals, assertThrows } from "@std/assert";
import { FIONREAD, SIOCOUTQ } from "../../../ffi/abi/sockios.ts";
import { INADDR_LOOPBACK, IPPROTO_TCP, SockaddrIn } from "../../../ffi/abi/in.ts";
import * as c from "../../../ffi/abi/socket.ts";
import { TCP_MAXSEG } from "../../../ffi/abi/tcp.ts";
import { decodeTimeval, encodeTimeval } from "../../../ffi/abi/time.ts";
import { encodeSockaddrUn } from "../../../ffi/abi/un.ts";
import * as vm from "../../../ffi/abi/vm_sockets.ts";
import { PollFds, POLLIN, POLLOUT } from "../../../ffi/abi/poll.ts";
import { decodeControl, encodeControl } from "../../../ffi/cmsg.ts";
import { SysError, WOULD_BLOCK } from "../../../ffi/errno.ts";
import * as libc from "../../../ffi/libc.ts";
import { MappedRegion } from "../../../ffi/memory.ts";
import { Message } from "../../../ffi/message.ts";
import { assertSysError, CLOSED } from "../../helpers/sys_error.ts";

const NONBLOCK = c.SOCK_NONBLOCK | c.SOCK_CLOEXEC;

/** Two connected AF_UNIX sockets; closed at the end of their block. */
class Pair implements Disposable {
  readonly near: number;
  readonly far: number;
  constructor(type: number = c.SOCK_STREAM) {
    [this.near, this.far] = libc.socketpair(c.AF_UNIX, type | NONBLOCK);
  }
  [Symbol.dispose](): void {
    libc.close(this.near);
    libc.close(this.far);
  }
}

/** A socket; closed at the end of its block. */
class Fd implements Disposable {
  readonly fd: number;
  constructor(fd: number) {
    this.fd = fd;
  }
  [Symbol.dispose](): void {
    libc.close(this.fd);
  }
}

function int(fd: number, level: number, name: number): number {
  const value = new Int32Array(1);
  assertEquals(libc.getsockopt(fd, level, name, value), 4);
  return value[0] ?? NaN;
}

test("send() and recv() move bytes, say WOULD_BLOCK for EAGAIN, and 0 at the end", () => {
  using pair = new Pair();
  const buffer = new Uint8Array(8);
  assertEquals(libc.recv(pair.far, buffer, 0), WOULD_BLOCK);
  assertEquals(libc.send(pair.near, Uint8Array.of(1, 2, 3), c.MSG_NOSIGNAL), 3);
  assertEquals(libc.recv(pair.far, buffer, c.MSG_PEEK), 3);
  assertEquals(libc.recv(pair.far, buffer.subarray(1, 3), 0), 2);
  assertEquals([...buffer], [1, 1, 2, 0, 0, 0, 0, 0]);
  libc.shutdown(pair.near, c.SHUT_WR);
  assertEquals(libc.recv(pair.far, buffer, 0), 1);
  assertEquals(libc.recv(pair.far, buffer, 0), 0);
});

test("send() fills the queue, then says WOULD_BLOCK", () => {
  using pair = new Pair();
  const chunk = new Uint8Array(16_384);
  let sent = 0;
  for (let taken = 0; taken !== WOULD_BLOCK; sent += taken) {
    taken = libc.send(pair.near, chunk, c.MSG_NOSIGNAL);
    if (taken === WOULD_BLOCK) break;
  }
  assert(sent > chunk.length);
});

test("send() fails with EPIPE after the peer's end, recv() with ENOTCONN before the start", () => {
  using pair = new Pair();
  libc.shutdown(pair.far, c.SHUT_RD);
  assertSysError("send", "EPIPE", () => libc.send(pair.near, new Uint8Array(1), c.MSG_NOSIGNAL));
  using alone = new Fd(libc.socket(c.AF_INET, c.SOCK_STREAM));
  assertSysError("recv", "ENOTCONN", () => libc.recv(alone.fd, new Uint8Array(1), 0));
  assertSysError("shutdown", "ENOTCONN", () => libc.shutdown(alone.fd, c.SHUT_RDWR));
  assertSysError("getpeername", "ENOTCONN", () => libc.getpeername(alone.fd, new Uint8Array(16)));
});

test("Every socket call on a closed descriptor fails with EBADF", () => {
  const bytes = new Uint8Array(16);
  const calls: Readonly<Record<string, () => unknown>> = {
    bind: () => libc.bind(CLOSED, bytes),
    listen: () => libc.listen(CLOSED, 1),
    accept4: () => libc.accept4(CLOSED, 0),
    connect: () => libc.connect(CLOSED, bytes),
    shutdown: () => libc.shutdown(CLOSED, 0),
    getsockname: () => libc.getsockname(CLOSED, bytes),
    getpeername: () => libc.getpeername(CLOSED, bytes),
    getsockopt: () => libc.getsockopt(CLOSED, 1, 1, bytes),
    setsockopt: () => libc.setsockopt(CLOSED, 1, 1, bytes),
    send: () => libc.send(CLOSED, bytes, 0),
    recv: () => libc.recv(CLOSED, bytes, 0),
    sendmsg: () => libc.sendmsg(CLOSED, new Message([bytes]), 0),
    recvmsg: () => libc.recvmsg(CLOSED, new Message([bytes]), 0),
  };
  for (const [op, call] of Object.entries(calls)) assertSysError(op, "EBADF", call);
});

test("socket() and socketpair() fail with what the kernel says", () => {
  assertSysError("socket", "EAFNOSUPPORT", () => libc.socket(0x7fff, c.SOCK_STREAM));
  assertSysError("socket", "EPROTONOSUPPORT", () => libc.socket(c.AF_UNIX, c.SOCK_STREAM, 9));
  assertSysError("socketpair", "EOPNOTSUPP", () => libc.socketpair(c.AF_INET, c.SOCK_STREAM));
});

test("getsockopt() and setsockopt() carry ints and structs", () => {
  using pair = new Pair();
  assertEquals(int(pair.near, c.SOL_SOCKET, c.SO_TYPE), c.SOCK_STREAM);
  libc.setsockopt(pair.near, c.SOL_SOCKET, c.SO_SNDBUF, Int32Array.of(65_536));
  assertEquals(int(pair.near, c.SOL_SOCKET, c.SO_SNDBUF), 2 * 65_536);
  libc.setsockopt(pair.near, c.SOL_SOCKET, c.SO_RCVTIMEO, encodeTimeval(1_250));
  const timeval = new Uint8Array(32);
  assertEquals(libc.getsockopt(pair.near, c.SOL_SOCKET, c.SO_RCVTIMEO, timeval), 16);
  const rounded = decodeTimeval(timeval); // up to a tick of the kernel
  assert(rounded >= 1_250 && rounded < 1_270);
  assertSysError("getsockopt", "ENOPROTOOPT", () => int(pair.near, c.SOL_SOCKET, 9_999));
  const short = new Uint8Array(1);
  assertSysError(
    "setsockopt",
    "EINVAL",
    () => libc.setsockopt(pair.near, c.SOL_SOCKET, c.SO_SNDBUF, short),
  );
});

test("connect() and accept4() meet over TCP, EINPROGRESS and EAGAIN being no errors", () => {
  using listener = new Fd(libc.socket(c.AF_INET, c.SOCK_STREAM | NONBLOCK));
  libc.bind(listener.fd, new SockaddrIn(INADDR_LOOPBACK, 0).bytes);
  libc.listen(listener.fd, 1);
  const address = new SockaddrIn(0, 0);
  assertEquals(libc.getsockname(listener.fd, address.bytes), 16);
  assertEquals(address.address, INADDR_LOOPBACK);
  assert(address.port > 0);
  assertEquals(libc.accept4(listener.fd, NONBLOCK), WOULD_BLOCK);

  using client = new Fd(libc.socket(c.AF_INET, c.SOCK_STREAM | NONBLOCK));
  libc.setsockopt(client.fd, IPPROTO_TCP, TCP_MAXSEG, Int32Array.of(1_000));
  assertEquals(libc.connect(client.fd, address.bytes), false);
  const ready = new PollFds(2);
  ready.set(0, client.fd, POLLOUT);
  ready.set(1, listener.fd, POLLIN);
  while (ready.revents(0) === 0 || ready.revents(1) === 0) libc.poll(ready, 10_000);
  assertEquals(int(client.fd, c.SOL_SOCKET, c.SO_ERROR), 0);

  const peer = new SockaddrIn(0, 0);
  using server = new Fd(libc.accept4(listener.fd, NONBLOCK, peer.bytes));
  const own = new SockaddrIn(0, 0);
  libc.getsockname(client.fd, own.bytes);
  assertEquals([peer.address, peer.port], [INADDR_LOOPBACK, own.port]);
  assertEquals(libc.getpeername(server.fd, own.bytes), 16);
  assertEquals(own.port, peer.port);
  assertEquals(libc.connect(client.fd, address.bytes), true);
  assertSysError("connect", "EISCONN", () => libc.connect(client.fd, address.bytes));
});

test("connect() to nobody is a SysError", () => {
  using client = new Fd(libc.socket(c.AF_UNIX, c.SOCK_STREAM));
  const nobody = encodeSockaddrUn(`\0vsockit nobody ${Math.random()}`);
  assertSysError("connect", "ECONNREFUSED", () => libc.connect(client.fd, nobody));
  assertSysError("connect", "ENOENT", () => libc.connect(client.fd, encodeSockaddrUn("/no/such")));
});

test("bind() makes an abstract AF_UNIX name its own, once", () => {
  const name = encodeSockaddrUn(`\0vsockit ${Math.random()}`);
  using first = new Fd(libc.socket(c.AF_UNIX, c.SOCK_STREAM));
  using second = new Fd(libc.socket(c.AF_UNIX, c.SOCK_STREAM));
  libc.bind(first.fd, name);
  assertSysError("bind", "EADDRINUSE", () => libc.bind(second.fd, name));
  const read = new Uint8Array(110);
  assertEquals(libc.getsockname(first.fd, read), name.length);
  assertEquals([...read.subarray(0, name.length)], [...name]);
});

test("AF_VSOCK sockets have the options, addresses and errors of vsock(7)", (t) => {
  let fd: number;
  try {
    fd = libc.socket(vm.AF_VSOCK, c.SOCK_STREAM | NONBLOCK);
  } catch (error) {
    if (!(error instanceof SysError && error.code === "EAFNOSUPPORT")) throw error;
    return t.skip("no AF_VSOCK in this kernel: modprobe vsock");
  }
  using socket = new Fd(fd);
  const size = new BigUint64Array(1);
  const option = vm.SO_VM_SOCKETS_BUFFER_SIZE;
  assertEquals(libc.getsockopt(socket.fd, vm.AF_VSOCK, option, size), 8);
  assertEquals(size[0], 262_144n);
  libc.setsockopt(socket.fd, vm.AF_VSOCK, option, BigUint64Array.of(131_072n));
  libc.getsockopt(socket.fd, vm.AF_VSOCK, option, size);
  assertEquals(size[0], 131_072n);
  const short = new Uint8Array(4);
  const get = (): number => libc.getsockopt(socket.fd, vm.AF_VSOCK, option, short);
  assertSysError("getsockopt", "EINVAL", get);
  assertSysError("listen", "EINVAL", () => libc.listen(socket.fd, 1));

  libc.bind(socket.fd, new vm.SockaddrVm(vm.VMADDR_CID_ANY, vm.VMADDR_PORT_ANY).bytes);
  const bound = new vm.SockaddrVm(0, 0);
  assertEquals(libc.getsockname(socket.fd, bound.bytes), 16);
  assertEquals([bound.family, bound.cid, bound.flags], [vm.AF_VSOCK, vm.VMADDR_CID_ANY, 0]);
  assert(bound.port > 1_023);
  libc.listen(socket.fd, 1);
  assertEquals(libc.accept4(socket.fd, NONBLOCK), WOULD_BLOCK);
  assertSysError("ioctl", "EOPNOTSUPP", () => libc.ioctl(socket.fd, SIOCOUTQ, new Int32Array(1)));

  using second = new Fd(libc.socket(vm.AF_VSOCK, c.SOCK_SEQPACKET | NONBLOCK));
  assertSysError("bind", "EADDRINUSE", () => libc.bind(second.fd, bound.bytes));
  const nowhere = new vm.SockaddrVm(77, 5_000);
  assertSysError("bind", "EADDRNOTAVAIL", () => libc.bind(second.fd, nowhere.bytes));
  assertSysError("mmap", "ENODEV", () => new MappedRegion(8_192, { fd: socket.fd, prot: 1 }));
});

test("sendmsg() gathers and recvmsg() scatters", () => {
  using pair = new Pair(c.SOCK_SEQPACKET);
  const out = new Message([Uint8Array.of(1, 2), new Uint8Array(0), Uint16Array.of(0x0403)]);
  assertEquals(libc.sendmsg(pair.near, out, c.MSG_NOSIGNAL | c.MSG_EOR), 4);
  const [first, second] = [new Uint8Array(3), new Uint8Array(3)];
  const into = new Message([first, second]);
  assertEquals(libc.recvmsg(pair.far, into, 0), 4);
  assertEquals([...first, ...second], [1, 2, 3, 4, 0, 0]);
  assertEquals(into.flags & c.MSG_TRUNC, 0);
  assertEquals(libc.recvmsg(pair.far, into, 0), WOULD_BLOCK);
});

test("sendmsg() and recvmsg() take shared memory", () => {
  using pair = new Pair(c.SOCK_SEQPACKET);
  const [from, into] = [new SharedArrayBuffer(6), new SharedArrayBuffer(6)]
    .map((buffer) => new Uint8Array(buffer));
  from!.set([1, 2, 3, 4, 5, 6]);
  assertEquals(libc.sendmsg(pair.near, new Message([from!.subarray(2, 5)]), 0), 3);
  assertEquals(libc.recvmsg(pair.far, new Message([into!.subarray(1)]), 0), 3);
  assertEquals([...into!], [0, 3, 4, 5, 0, 0]);
});

test("recvmsg() tells that a message was cut short, into a buffer put in later", () => {
  using pair = new Pair(c.SOCK_SEQPACKET);
  const into = new Message([new Uint8Array(0)]);
  into.buffers[0] = new Uint8Array(2);
  libc.send(pair.near, Uint8Array.of(9, 8, 7), c.MSG_NOSIGNAL);
  assertEquals(libc.recvmsg(pair.far, into, 0), 2);
  assertEquals([into.flags & c.MSG_TRUNC, into.buffers[0]], [c.MSG_TRUNC, Uint8Array.of(9, 8)]);
});

test("recvmsg() into a buffer that was detached reads no bytes", () => {
  using pair = new Pair(c.SOCK_SEQPACKET);
  const gone = new Uint8Array(100);
  const into = new Message([gone]);
  gone.buffer.transfer();
  libc.send(pair.near, new Uint8Array(50), c.MSG_NOSIGNAL);
  assertEquals(libc.recvmsg(pair.far, into, 0), 0);
});

test("sendmsg() and recvmsg() pass a descriptor and a name", () => {
  using pair = new Pair(c.SOCK_DGRAM);
  libc.bind(pair.near, encodeSockaddrUn(`\0vsockit sender ${Math.random()}`));
  const [reader, writer] = libc.pipe2(0);
  const fds = new Uint8Array(Int32Array.of(writer).buffer);
  const rights = { level: c.SOL_SOCKET, type: c.SCM_RIGHTS, data: fds };
  const out = new Message([Uint8Array.of(1)], { control: encodeControl([rights]) });
  assertEquals(libc.sendmsg(pair.near, out, c.MSG_NOSIGNAL), 1);
  libc.close(writer);

  const [name, control] = [new Uint8Array(110), new Uint8Array(64)];
  const into = new Message([new Uint8Array(1)], { name, control });
  assertEquals(libc.recvmsg(pair.far, into, 0), 1);
  assert(into.nameLength > 2);
  const [got] = decodeControl(control.subarray(0, into.controlLength));
  assertEquals([got?.level, got?.type, got?.data.length], [c.SOL_SOCKET, c.SCM_RIGHTS, 4]);
  const passed = new Int32Array(got?.data.slice().buffer ?? new ArrayBuffer(4))[0] ?? -1;
  libc.write(passed, Uint8Array.of(5));
  libc.close(passed);
  const readable = new Int32Array(1);
  libc.ioctl(reader, FIONREAD, readable);
  assertEquals(readable[0], 1);
  libc.close(reader);
});

test("recvmsg() fills in the name, no further than there is room, and says how long it is", () => {
  using pair = new Pair(c.SOCK_DGRAM);
  const sender = encodeSockaddrUn(`\0vsockit sender ${Math.random()}`);
  libc.bind(pair.near, sender);
  const whole = new Uint8Array(110);
  for (const room of [4, whole.length]) {
    libc.send(pair.near, Uint8Array.of(1), c.MSG_NOSIGNAL);
    const into = new Message([new Uint8Array(1)], { name: whole.subarray(0, room) });
    assertEquals(libc.recvmsg(pair.far, into, 0), 1);
    assertEquals(into.nameLength, sender.length);
    const filled = whole.subarray(0, sender.length);
    assertEquals(filled, sender.map((byte, at) => at < room ? byte : 0));
  }
});

test("sendmsg() refuses a buffer that is none", () => {
  using pair = new Pair();
  const out = new Message([Uint8Array.of(1), "two" as unknown as Uint8Array<ArrayBuffer>]);
  assertThrows(() => libc.sendmsg(pair.near, out, 0), TypeError, "buffers");
  for (const member of ["name", "control"]) {
    const other = new Message([Uint8Array.of(1)], { [member]: "two" });
    assertThrows(() => libc.sendmsg(pair.near, other, 0), TypeError, `Cannot use ${member}`);
  }
  assertEquals(libc.recv(pair.far, new Uint8Array(1), 0), WOULD_BLOCK);
});

test("encodeControl() takes the bytes of any typed array", () => {
  const message = { level: 1, type: 2 };
  const bytes = new Uint8Array(Int32Array.of(300, -1).buffer);
  const wide = { ...message, data: Int32Array.of(300, -1) as unknown as Uint8Array };
  assertEquals(encodeControl([wide]), encodeControl([{ ...message, data: bytes }]));
});

test("encodeControl(), Message and MappedRegion say what they cannot use", () => {
  const data = new Uint8Array(1);
  const wrong: [says: string, call: (value: never) => unknown, ...values: unknown[]][] = [
    ["messages: must be an array", encodeControl, undefined, null, 1, {}],
    ["messages: must be an object", (value) => encodeControl([value]), undefined, null, 1],
    ["level: must be an integer", (level) => encodeControl([{ level, type: 1, data }]), "1", NaN],
    ["type: must be an integer", (type) => encodeControl([{ level: 1, type, data }]), "1", NaN],
    ["data: must be a typed", (data) => encodeControl([{ level: 1, type: 1, data }]), null, [1]],
    ["bytes: must be a typed array", decodeControl, undefined, null, 1, [1]],
    ["buffers: must be an array", (value) => new Message(value), undefined, null, data],
    ["options: must be an object", (value) => new Message([], value), null, 1],
    ["options: must be an object", (value) => new MappedRegion(1, value), null, 1],
  ];
  for (const [says, call, ...values] of wrong) {
    for (const value of values) {
      assertThrows(() => call(value as never), Error, `Cannot use ${says}`, `${value}`);
    }
  }
});

test("decodeControl() undoes encodeControl(), and stops at what is cut off", () => {
  const messages = [[1, 2, 3], [], [4, 5, 6, 7, 8, 9, 10, 11, 12]].map((data, type) => ({
    level: 41,
    type,
    data: Uint8Array.from(data),
  }));
  const bytes = encodeControl(messages);
  assertEquals(bytes.length, 24 + 16 + 32);
  assertEquals(decodeControl(bytes), messages);
  assertEquals(decodeControl(bytes.subarray(0, 40 + 18)).map(({ data }) => data.length), [3, 0, 2]);
  assertEquals(decodeControl(bytes.subarray(0, 40 + 15)).length, 2);
  assertEquals(decodeControl(new Uint8Array(64)), []);
  const endless = Uint8Array.from({ length: 32 }, () => 0xff);
  assertEquals(decodeControl(endless).length, 1);
});
