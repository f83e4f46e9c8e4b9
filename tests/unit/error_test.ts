import { test } from "node:test";
import {
  assert,
  assertEquals,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { type Code, SysError } from "../../ffi/errno.ts";
import type { Address } from "../../src/address.ts";
import { attempt, type Op, toVsockError, VsockError } from "../../src/error.ts";

test("VsockError says call, address, code and cure", () => {
  const error = new VsockError("connect", "ECONNRESET", { address: { cid: 3, port: 1024 } });
  assertEquals(error.name, "VsockError");
  assertEquals(error.op, "connect");
  assertEquals(error.code, "ECONNRESET");
  assertEquals(error.errno, 104);
  assertEquals(error.address, { cid: 3, port: 1024 });
  assertEquals(error.hint, "nobody listens on this port, or the queue of the listener is full");
  assertEquals(
    error.message,
    `Cannot connect 3:1024: ECONNRESET (errno 104): ${error.hint}`,
  );
  assertEquals("cause" in error, false);
});

test("VsockError has no hint where there is no usual cure", () => {
  const error = new VsockError("getsockopt", 92);
  assertEquals(error.code, "ENOPROTOOPT");
  assertEquals(error.hint, undefined);
  assertEquals(error.message, "Cannot getsockopt: ENOPROTOOPT (errno 92)");
});

test("VsockError says EOPNOTSUPP for the ENOTSUPP that older kernels let out", () => {
  for (const error of [new VsockError("setsockopt", 524), new SysError("setsockopt", 524)]) {
    assertEquals([error.code, error.errno], ["EOPNOTSUPP", 95]);
  }
});

test("VsockError says what each family lacks where there is no socket of it", () => {
  const hint = (code: Code, address: Address): string | undefined =>
    new VsockError("socket", code, { address }).hint;
  const [vsock, tcp, unix] = [{ cid: 1, port: 1 }, { hostname: "::1", port: 1 }, { path: "/x" }];
  assertEquals(hint("EAFNOSUPPORT", vsock), "the kernel has no AF_VSOCK: modprobe vsock");
  assertEquals(hint("EAFNOSUPPORT", tcp), "the kernel has no IPv6: take an IPv4 address");
  assertEquals(hint("EAFNOSUPPORT", unix), undefined);
  assertEquals(hint("EMFILE", tcp), hint("EMFILE", unix));
});

test("VsockError says what a reset of an open connection means in each family", () => {
  const hint = (address: Address): string =>
    new VsockError("recv", "ECONNRESET", { address }).hint ?? "";
  assertStringIncludes(hint({ cid: 3, port: 1 }), "the thread of the peer is gone");
  assertStringIncludes(hint({ hostname: "::1", port: 1 }), "with bytes unread, or its machine");
  assertEquals(hint({ path: "/x" }), "the peer closed with bytes unread");
});

test("VsockError tells by name what leaves the choice to bind", () => {
  const hint = (code: Code): string | undefined =>
    new VsockError("bind", code, { address: { cid: 1, port: 1024 } }).hint;
  assertStringIncludes(hint("EADDRINUSE") ?? "", "VMADDR_PORT_ANY");
  assertStringIncludes(hint("EADDRNOTAVAIL") ?? "", "VMADDR_CID_ANY");
});

test("VsockError names an errno that has no name by its number", () => {
  assertEquals(new VsockError("recv", 4095).code, "E4095");
});

test("toVsockError() keeps the SysError as the cause", () => {
  const cause = new SysError("recvmsg", "ENOBUFS");
  const error = toVsockError("recv", cause, { cid: 1, port: 2 });
  if (!(error instanceof VsockError)) throw error;
  assertEquals([error.op, error.code, error.errno], ["recv", "ENOBUFS", 105]);
  assertStrictEquals(error.cause, cause);
});

test("toVsockError() gives back what no socket has thrown", () => {
  const reason = new Error("stop");
  assertStrictEquals(toVsockError("recv", reason), reason);
  const done = new VsockError("recv", "EBADF");
  assertStrictEquals(toVsockError("send", done), done);
});

test("attempt() gives the result, or throws a VsockError", () => {
  assertEquals(attempt("bind", undefined, () => 7), 7);
  const refuse = (): never => {
    throw new SysError("bind", "EADDRINUSE");
  };
  const error = assertThrows(() => attempt("bind", { cid: 1, port: 9 }, refuse), VsockError);
  assertEquals(error.code, "EADDRINUSE");
  assertEquals(error.address, { cid: 1, port: 9 });
});

test("toVsockError() says what the call beneath wants, where that is another matter", () => {
  const hint = (op: Op, beneath: string, code: Code, address: Address): string => {
    const error = toVsockError(op, new SysError(beneath, code), address);
    assert(error instanceof VsockError);
    assertEquals([error.op, error.code], [op, code]);
    return error.hint ?? "";
  };
  const [unix, vsock] = [{ path: "/x" }, { cid: 1, port: 1 }];
  assertStringIncludes(hint("accept", "pthread_create", "EAGAIN", unix), "raise ulimit -u");
  assertStringIncludes(hint("listen", "socket", "EACCES", unix), "a sandbox forbids such sockets");
  assertStringIncludes(hint("listen", "bind", "EACCES", unix), "this user may not write");
  assertStringIncludes(hint("socket", "socket", "EACCES", unix), "a sandbox forbids such sockets");
  assertStringIncludes(hint("socket", "socket", "EACCES", vsock), "a sandbox forbids AF_VSOCK");
});
