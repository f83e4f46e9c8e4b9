import { test } from "node:test";
import { assertEquals, assertThrows } from "@std/assert";
import { VMADDR_CID_ANY, VMADDR_PORT_ANY } from "../../ffi/abi/vm_sockets.ts";
import { SysError } from "../../ffi/errno.ts";
import { VsockError } from "../../src/error.ts";
import { listen, type ListenOptions } from "../../src/listen.ts";
import { createLoopback } from "../../src/loopback/mod.ts";
import type { Socket } from "../../src/socket.ts";
import { fakeSocket, fakeTransport } from "../helpers/fake_socket.ts";

function refuse(op: string, code: "EADDRINUSE" | "EINVAL"): () => never {
  return () => {
    throw new SysError(op, code);
  };
}

test("listen() lets the socket choose a port", () => {
  const transport = createLoopback();
  using one = listen({ cid: VMADDR_CID_ANY, port: VMADDR_PORT_ANY }, { transport });
  using two = listen({ cid: 1, port: VMADDR_PORT_ANY }, { transport, type: "seqpacket" });
  assertEquals(one.addr.cid, VMADDR_CID_ANY);
  assertEquals([one.addr.port > 1023, two.addr.port > 1023], [true, true]);
  assertEquals([one.type, two.type], ["stream", "seqpacket"]);
});

test("listen() refuses a port that is taken", () => {
  const transport = createLoopback();
  using _first = listen({ cid: 1, port: 4000 }, { transport });
  const error = assertThrows(() => listen({ cid: 1, port: 4000 }, { transport }), VsockError);
  assertEquals([error.op, error.code], ["bind", "EADDRINUSE"]);
  assertEquals(error.address, { cid: 1, port: 4000 });
});

test("listen() by the name of the loopback means one for all the process", () => {
  using _first = listen({ cid: 1, port: 4001 }, { transport: "loopback" });
  const again = (): unknown => listen({ cid: 1, port: 4001 }, { transport: "loopback" });
  assertEquals(assertThrows(again, VsockError).code, "EADDRINUSE");
});

test("listen() closes what it opened when a step fails", () => {
  const steps: readonly Partial<Socket>[] = [
    { bind: refuse("bind", "EADDRINUSE") },
    { listen: refuse("listen", "EINVAL") },
    { setsockopt: refuse("setsockopt", "EINVAL") },
    { localAddress: refuse("getsockname", "EINVAL") },
  ];
  for (const step of steps) {
    const socket = fakeSocket({ setsockopt: () => {}, ...step });
    const options = { transport: fakeTransport(socket), options: { rcvlowat: 1 } };
    assertThrows(() => listen({ cid: 1, port: 4000 }, options), VsockError);
    assertEquals(socket.closed, true);
  }
});

test("listen() refuses wrong arguments before all else", () => {
  const transport = fakeTransport();
  const ranges: readonly [number, number, ListenOptions][] = [
    [-1, 1024, {}],
    [2 ** 32, 1024, {}],
    [1, NaN, {}],
    [1, 1.5, {}],
    [1, 1024, { backlog: -1 }],
    [1, 1024, { backlog: 2 ** 31 }],
    [1, 1024, { options: { bufferSize: -1 } }],
  ];
  for (const [cid, port, options] of ranges) {
    assertThrows(() => listen({ cid, port }, { transport, ...options }), RangeError);
  }
  const types: readonly object[] = [
    { type: "dgram" },
    { backlog: "1" },
    { transport: "tcp" },
    { transport: {} },
    { options: 5 },
  ];
  for (const options of types) {
    assertThrows(() => listen({ cid: 1, port: 1024 }, { transport, ...options }), TypeError);
  }
  const nowhere = { port: 80 } as never;
  assertThrows(() => listen(nowhere, { transport }), TypeError, "must have a cid");
  const address = { cid: 1, port: 1024 };
  assertThrows(() => listen(address, null as never), TypeError, "Cannot use options");
  assertThrows(() => listen(null as never), TypeError, "Cannot use address");
});

test("listen() says that no transport has the CID", () => {
  const error = assertThrows(() => listen({ cid: 77, port: 1024 }), VsockError);
  assertEquals([error.op, error.code], ["listen", "ENODEV"]);
  assertEquals(error.hint?.includes("CID 77"), true);
});

test("listen() takes no names over TCP, and says what to take instead", () => {
  for (const where of [{ hostname: "localhost", port: 0 }, "tcp:localhost:80"] as const) {
    const error = assertThrows(() => listen(where as string), RangeError);
    assertEquals(
      error.message,
      "Cannot use hostname: must be an IP address, 127.0.0.1 or ::1 for this machine alone, " +
        "0.0.0.0 or :: for all: current value is localhost",
    );
  }
});
