/** connect() and listen() over TCP of this machine: names, options, hints. */
import { isIP } from "node:net";
import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { connect, listen, VsockError } from "../../mod.ts";

const HOST = "127.0.0.1";

test("connect() takes a name, whose addresses it tries in turn", { timeout: 60_000 }, async () => {
  using listener = listen({ hostname: HOST, port: 0 });
  const { port } = listener.addr;
  using near = await connect({ hostname: "localhost", port }, { timeoutMs: 30_000 });
  using far = await listener.accept();
  assertEquals(near.remoteAddr, { transport: "tcp", hostname: HOST, port });
  assertEquals(far.remoteAddr, near.localAddr);
});

type Lookup = (name: string, options: { readonly family?: number }) => Promise<unknown>;

/** Has names looked up by `found` until it is disposed. */
function lookUpBy(found: Lookup): Disposable {
  const dns = process.getBuiltinModule("node:dns/promises") as unknown as Record<string, unknown>;
  const { lookup } = dns;
  dns["lookup"] = found;
  return { [Symbol.dispose]: () => void (dns["lookup"] = lookup) };
}

/** Has every name stand for `addresses` until it is disposed. */
function resolveAllTo(...addresses: readonly string[]): Disposable {
  return lookUpBy((_, { family }) =>
    Promise.resolve(
      addresses.map((address) => ({ address, family: isIP(address) }))
        .filter((found) => !family || found.family === family),
    )
  );
}

test("connect() says whether a name has no address, or nobody can tell for now", async () => {
  for (const [code, hint] of [["ENOTFOUND", "has no address"], ["EAI_AGAIN", "that may pass"]]) {
    using _names = lookUpBy(() => Promise.reject(Object.assign(new Error(), { code })));
    const error = await assertRejects(() => connect({ hostname: "a.test", port: 1 }), VsockError);
    assertEquals([error.code, error.hint?.endsWith(hint!)], ["EADDRNOTAVAIL", true], error.hint);
  }
});

test("connect() tries the next address of a name where one does not answer", {
  timeout: 60_000,
}, async () => {
  using listener = listen({ hostname: HOST, port: 0 });
  const { port } = listener.addr;
  const silent = { hostname: "127.0.0.2", port };
  using _full = listen(silent, { backlog: 0 });
  using _queued = await connect(silent);
  using _names = resolveAllTo(silent.hostname, HOST);
  using near = await connect({ hostname: "two.test", port }, { timeoutMs: 4_000 });
  assertEquals(near.remoteAddr.hostname, HOST);
});

test("connect() tries the addresses of the family of localAddress alone", {
  timeout: 60_000,
}, async () => {
  using listener = listen({ hostname: HOST, port: 0 });
  const { port } = listener.addr;
  using _names = resolveAllTo("::1", HOST);
  const localAddress = { hostname: "127.0.0.3", port: 0 };
  using near = await connect({ hostname: "two.test", port }, { localAddress });
  assertEquals(near.localAddr.hostname, localAddress.hostname);
  assertEquals(near.remoteAddr.hostname, HOST);
});

test("connect() refuses a localAddress of the other IP version, or by name", async () => {
  for (const [hostname, own, version] of [["::1", HOST, 6], [HOST, "::1", 4]] as const) {
    const localAddress = { hostname: own, port: 0 };
    const rule = `Cannot use localAddress: must be one of IPv${version}`;
    await assertRejects(() => connect({ hostname, port: 1 }, { localAddress }), TypeError, rule);
  }
  const localAddress = { hostname: "localhost", port: 0 };
  const refused = (): Promise<unknown> =>
    connect({ hostname: "two.test", port: 1 }, { localAddress });
  await assertRejects(refused, RangeError, "Cannot use hostname: must be an IP address");
});

/** Has `members` as accessors of its class, of which a spread gets none. */
function behindAccessors<T extends object>(members: T): T {
  const prototype = {};
  for (const [name, value] of Object.entries(members)) {
    Object.defineProperty(prototype, name, { get: () => value });
  }
  return Object.create(prototype);
}

test("connect() and listen() read options and addresses that are accessors", {
  timeout: 60_000,
}, async () => {
  const options = behindAccessors({ keepAlive: true });
  using listener = listen(
    behindAccessors({ hostname: HOST, port: 0 }),
    behindAccessors({ options }),
  );
  assertEquals([listener.options.keepAlive, listener.options.reuseAddress], [true, true]);
  const { port } = listener.addr;
  const localAddress = behindAccessors({ hostname: "127.0.0.3", port: 0 });
  using near = await connect(
    behindAccessors({ hostname: "localhost", port }),
    behindAccessors({ options, localAddress, timeoutMs: 30_000 }),
  );
  assertEquals(near.localAddr.hostname, localAddress.hostname);
  assertEquals([near.remoteAddr.port, near.options.keepAlive], [port, true]);
});

test("connect() and listen() set the options of TCP", { timeout: 60_000 }, async () => {
  const options = { noDelay: true, keepAlive: true, maxSegment: 1000, receiveBufferSize: 20_000 };
  using listener = listen({ hostname: HOST, port: 0 }, { options });
  assertEquals(listener.options.reuseAddress, true);
  using near = await connect(listener.addr, { options });
  using far = await listener.accept();
  for (const conn of [near, far]) {
    assertEquals([conn.options.noDelay, conn.options.keepAlive], [true, true]);
    assertEquals(conn.options.receiveBufferSize, 40_000);
    assert(conn.options.maxSegment <= 1000, String(conn.options.maxSegment));
  }
});

test("listen() keeps its default of an option that is undefined", { timeout: 60_000 }, () => {
  const options = { reuseAddress: undefined };
  using listener = listen({ hostname: HOST, port: 0 }, { options });
  assertEquals(listener.options.reuseAddress, true);
});

test("connect() over TCP says what a person can do", { timeout: 60_000 }, async () => {
  const listener = listen({ hostname: HOST, port: 0 });
  const { port } = listener.addr;
  const taken = assertThrows(() => listen({ hostname: HOST, port }), VsockError);
  assertEquals([taken.code, taken.hint], [
    "EADDRINUSE",
    "another socket has this port; 0 lets bind choose",
  ]);
  listener.close();
  const refused = await assertRejects(() => connect({ hostname: HOST, port }), VsockError);
  assertEquals(refused.code, "ECONNREFUSED");
  assertMatch(refused.message, /nobody listens on this port/);
});

test("connect() refuses options of VM sockets over TCP before all else", async () => {
  await assertRejects(
    () => connect({ hostname: HOST, port: 1 }, { options: { bufferSize: 1 } }),
    TypeError,
    "Cannot set bufferSize: must be on a socket of vsock",
  );
});

test("connect() and listen() take the name of any interface behind a link-local address", async () => {
  const address = { hostname: "fe80::1%no_such", port: 1 };
  const refused = await assertRejects(() => connect(address), VsockError);
  assertEquals([refused.op, refused.code], ["connect", "ENODEV"]);
  assertEquals(refused.hint, "this machine has no interface of the name behind %");
  assertEquals(assertThrows(() => listen(address), VsockError).code, "ENODEV");
});
