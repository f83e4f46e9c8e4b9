import { test } from "node:test";
import {
  assertEquals,
  assertMatch,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { SysError } from "../../ffi/errno.ts";
import { type Address, formatAddress } from "../../src/address.ts";
import { type Candidate, explainRefusal, selectTransport } from "../../src/auto.ts";
import { connect } from "../../src/connect.ts";
import { VsockError } from "../../src/error.ts";
import { kernelTransports } from "../../src/kernel/reach.ts";
import { createLoopback } from "../../src/loopback/mod.ts";
import type { SocketMaker, Transport } from "../../src/transport.ts";

const [first, second] = [createLoopback(), createLoopback()];

/** A candidate that refuses with `reason`, if there is one. */
function candidate(transport: Transport, reason?: string): Candidate {
  return { whyNot: () => reason, open: () => transport };
}

test("selectTransport() takes the first candidate that has a way", () => {
  const select = (...candidates: Candidate[]): SocketMaker =>
    selectTransport("auto", "connect", { cid: 9, port: 1 }, candidates);
  assertStrictEquals(select(candidate(first), candidate(second)), first);
  assertStrictEquals(select(candidate(first, "no"), candidate(second)), second);
});

test("selectTransport() gives ENODEV with every reason where none has a way", () => {
  const candidates = [candidate(first, "one"), candidate(second, "two")];
  const address = { cid: 9, port: 1 };
  const error = assertThrows(
    () => selectTransport("auto", "connect", address, candidates),
    VsockError,
  );
  assertEquals([error.op, error.code, error.address], ["connect", "ENODEV", address]);
  assertEquals(error.hint, "CID 9: one; two");
});

test("selectTransport() asks nobody else where descriptors have run out", () => {
  const full: Candidate = {
    whyNot() {
      throw new SysError("socket", "EMFILE");
    },
    open: () => first,
  };
  const candidates = [full, candidate(second)];
  const error = assertThrows(
    () => selectTransport("auto", "listen", { cid: 1, port: 1 }, candidates),
    VsockError,
  );
  assertEquals([error.op, error.code], ["socket", "EMFILE"]);
  assertMatch(String(error.hint), /ulimit -n/);
});

test("explainRefusal() says of the loopback of this process that it reaches no other", () => {
  const address = { cid: 1, port: 4242 };
  const shared = selectTransport("loopback", "connect", address);
  const error = new VsockError("connect", "ECONNRESET", { address });
  const told = explainRefusal(error, shared, address);
  if (!(told instanceof VsockError)) throw told;
  assertEquals([told.op, told.code, told.address], ["connect", "ECONNRESET", address]);
  assertMatch(told.hint!, /^nobody in this process listens .* processes are out of reach: \w/);
  assertStrictEquals(explainRefusal(error, first, address), error);
  const other = new VsockError("connect", "ETIMEDOUT", { address });
  assertStrictEquals(explainRefusal(other, shared, address), other);
});

test("selectTransport() asks for the call and the address", () => {
  const asked: unknown[] = [];
  const asks: Candidate = {
    whyNot(op, address) {
      asked.push(op, address);
      return undefined;
    },
    open: () => first,
  };
  selectTransport("auto", "listen", { cid: 5, port: 6 }, [asks]);
  assertEquals(asked, ["listen", { cid: 5, port: 6 }]);
});

const transports = kernelTransports();
const local = typeof transports === "object" && transports.local;

test("connect() to CID 1 says why it reaches no other process", {
  skip: local ? "the kernel has vsock_loopback: run it where it has not" : false,
}, async () => {
  const connecting = connect({ cid: 1, port: 4242 });
  const error = await assertRejects(() => connecting, VsockError, "processes are out of reach: ");
  assertEquals([error.op, error.code], ["connect", "ECONNRESET"]);
  const named = connect({ cid: 1, port: 4242 }, { transport: "loopback" });
  await assertRejects(() => named, VsockError, "nobody listens on this port");
});

test("selectTransport() for CID 1 is the kernel's where it has vsock_loopback", () => {
  for (const op of ["connect", "listen"] as const) {
    const { name } = selectTransport("auto", op, { cid: 1, port: 1 });
    assertEquals(name, local ? "vsock" : "loopback");
  }
});

test("selectTransport() takes a transport as it is, and refuses other names", () => {
  const address = { cid: 9, port: 1 };
  assertStrictEquals(selectTransport(first, "connect", address, []), first);
  assertEquals(selectTransport("loopback", "connect", address, []).name, "loopback");
  assertThrows(() => selectTransport("tcp" as "auto", "connect", address), TypeError, "must be");
});

test("selectTransport() refuses a transport of VM sockets for an address of another family", () => {
  const others: readonly Address[] = [
    { hostname: "127.0.0.1", port: 80 },
    { path: "/x" },
    { path: "/x", port: 80 },
  ];
  for (const address of others) {
    const choice: SocketMaker = first;
    assertThrows(
      () => selectTransport(choice, "connect", address),
      TypeError,
      `must be "auto", or one for ${
        formatAddress(address)
      }, or an object that makes such sockets: ` +
        'current value is "loopback"',
    );
  }
});
