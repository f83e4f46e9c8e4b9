import { test } from "node:test";
import process from "node:process";
import { assert, assertEquals, assertThrows } from "@std/assert";
import { F_GETFD, F_GETFL, FD_CLOEXEC, O_NONBLOCK } from "../../../ffi/abi/fcntl.ts";
import { POLLIN } from "../../../ffi/abi/poll.ts";
import { AF_UNIX, SOCK_SEQPACKET, SOCK_STREAM } from "../../../ffi/abi/socket.ts";
import {
  AF_VSOCK,
  SockaddrVm,
  VMADDR_CID_ANY,
  VMADDR_PORT_ANY,
} from "../../../ffi/abi/vm_sockets.ts";
import { bind, close, fcntl, listen, pipe2, socket, socketpair } from "../../../ffi/libc.ts";
import { Conn } from "../../../src/conn.ts";
import { VsockError } from "../../../src/error.ts";
import {
  adoptConn,
  adoptListener,
  adoptSocket,
  listenFds,
  takeOver,
} from "../../../src/kernel/adopt.ts";
import { CLOSED } from "../../helpers/sys_error.ts";
import { NO_VSOCK as skip } from "./helpers.ts";

/** A blocking, inheritable listener, as a parent process leaves one. */
function inherited(type: number): number {
  const fd = socket(AF_VSOCK, type);
  bind(fd, new SockaddrVm(VMADDR_CID_ANY, VMADDR_PORT_ANY).bytes);
  listen(fd, 1);
  return fd;
}

function refuses(code: string, call: () => unknown): void {
  assertEquals(assertThrows(call, VsockError).code, code);
}

/** Calls `f` with variables set, and puts back what was there. */
function withEnv(variables: Readonly<Record<string, string>>, f: () => void): void {
  const before = Object.keys(variables).map((name) => [name, process.env[name]] as const);
  Object.assign(process.env, variables);
  try {
    f();
  } finally {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  }
}

test("adoptListener() takes a listener over: type, address, flags, close", { skip }, () => {
  for (const [number, type] of [[SOCK_STREAM, "stream"], [SOCK_SEQPACKET, "seqpacket"]] as const) {
    const fd = inherited(number);
    const listener = adoptListener(fd);
    assertEquals([listener.type, listener.addr.cid], [type, VMADDR_CID_ANY]);
    assert(listener.addr.port > 1023);
    assertEquals(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
    assertEquals(fcntl(fd, F_GETFD), FD_CLOEXEC);
    assertEquals(listener.socket.poll(POLLIN), 0);
    listener.close();
    refuses("EBADF", () => adoptListener(fd));
  }
});

test(
  "adoptListener() and adoptConn() refuse what is something else, and leave it",
  { skip },
  () => {
    const listening = inherited(SOCK_STREAM);
    const fresh = socket(AF_VSOCK, SOCK_STREAM);
    assertThrows(() => adoptConn(listening), TypeError, "a listener");
    assertThrows(() => adoptListener(fresh), TypeError, "does not listen");
    refuses("ENOTCONN", () => adoptConn(fresh));
    for (const fd of [listening, fresh]) {
      assertEquals([fcntl(fd, F_GETFL) & O_NONBLOCK, fcntl(fd, F_GETFD)], [0, 0]);
      close(fd);
    }
  },
);

test("adoptSocket() refuses other families, files, closed and wrong numbers", { skip }, () => {
  const unix = socketpair(AF_UNIX, SOCK_STREAM);
  const pipe = pipe2(0);
  assertThrows(() => adoptSocket(unix[0]), TypeError, "AF_VSOCK");
  refuses("ENOTSOCK", () => adoptSocket(pipe[0]));
  refuses("EBADF", () => adoptSocket(CLOSED));
  for (const fd of [-1, 1.5, NaN]) assertThrows(() => adoptSocket(fd), RangeError);
  for (const fd of [...unix, ...pipe]) close(fd);
});

test("adoptSocket() refuses a descriptor that a socket here has already", { skip }, () => {
  const fd = socket(AF_VSOCK, SOCK_STREAM);
  const adopted = adoptSocket(fd);
  assertEquals(adopted.fd, fd);
  assertThrows(() => adoptSocket(fd), RangeError, "must not belong");
  adopted.close();
  refuses("EBADF", () => adoptSocket(fd));
});

test("adoptConn() leaves a socket whose peer has reset it in between", { skip }, () => {
  const fd = socket(AF_VSOCK, SOCK_STREAM);
  const found = { type: "stream", listens: false } as const;
  refuses("ENOTCONN", () => takeOver(fd, found, (reset) => new Conn(reset)));
  assertEquals([fcntl(fd, F_GETFL) & O_NONBLOCK, fcntl(fd, F_GETFD)], [0, 0]);
  adoptSocket(fd).close();
});

test("adoptConn() says that a descriptor is not open", () => {
  const { code, hint } = assertThrows(() => adoptConn(CLOSED), VsockError);
  assertEquals([code, hint], ["EBADF", `this process has no fd ${CLOSED} open`]);
});

test("listenFds() gives what LISTEN_FDS has, for the process that it is for", () => {
  const LISTEN_PID = String(process.pid);
  withEnv({ LISTEN_PID, LISTEN_FDS: "2", LISTEN_FDNAMES: "one" }, () => {
    assertEquals(listenFds(), [{ fd: 3, name: "one" }, { fd: 4, name: "unknown" }]);
  });
  withEnv({ LISTEN_PID: "1", LISTEN_FDS: "2" }, () => assertEquals(listenFds(), []));
  for (const LISTEN_FDS of ["", "x", "-1", "1.5"]) {
    withEnv({ LISTEN_PID, LISTEN_FDS }, () => assertEquals(listenFds(), []));
  }
});
