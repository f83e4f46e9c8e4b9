import { existsSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import type { HybridAddress } from "../../../src/address.ts";
import type { Conn } from "../../../src/conn.ts";
import { connect, type ConnectOptions } from "../../../src/connect.ts";
import { VsockError } from "../../../src/error.ts";
import { LINE_MAX } from "../../../src/hybrid/line.ts";
import { createVmm, type HybridFaults } from "../../../src/hybrid/vmm.ts";
import { openHybrid } from "../../../src/hybrid/transport.ts";
import { listen } from "../../../src/listen.ts";
import type { WaitOptions } from "../../../src/wait/waiting.ts";
import { runChild } from "../../helpers/child.ts";
import { failOnce } from "../../helpers/faulty_libc.ts";
import { TempFolder } from "../../helpers/temp_folder.ts";

const WAIT = { timeout: 60_000 };
const ANY = 4294967295;
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

async function readText(conn: Pick<Conn, "read">, length: number): Promise<string> {
  let text = "";
  const p = new Uint8Array(length);
  while (text.length < length) {
    const n = await conn.read(p.subarray(0, length - text.length));
    if (n === null) break;
    text += new TextDecoder().decode(p.subarray(0, n));
  }
  return text;
}

/** Connects to port 1024 of a VM whose VMM has `faults`. */
async function connectTo(
  faults: HybridFaults,
  use: (conn: Conn<HybridAddress>, guest: Conn) => Promise<void>,
  options: ConnectOptions<HybridAddress> = {},
): Promise<void> {
  using folder = new TempFolder();
  const path = folder.path("vm.sock");
  using vmm = createVmm(path, { faults });
  using agent = listen({ cid: 3, port: 1024 }, { transport: vmm.guest });
  using conn = await connect({ path, port: 1024 }, options);
  using guest = await agent.accept();
  await use(conn, guest);
}

async function refusal(
  faults: HybridFaults,
  options: ConnectOptions<HybridAddress> = {},
): Promise<VsockError> {
  const never = (): Promise<void> => Promise.reject(new Error("connected"));
  return await assertRejects(() => connectTo(faults, never, options), VsockError);
}

test(
  "connect() reaches a port behind a path, and both ends know where they are",
  WAIT,
  () =>
    connectTo({}, async (conn, guest) => {
      await conn.write(bytes("ping"));
      assertEquals(await readText(guest, 4), "ping");
      await guest.write(bytes("pong"));
      assertEquals(await readText(conn, 4), "pong");
      assertEquals([conn.remoteAddr.transport, conn.remoteAddr.port], ["hybrid", 1024]);
      assertEquals(guest.remoteAddr, { transport: "vsock", cid: 2, port: conn.localAddr.port });
      assertEquals(guest.localAddr, { transport: "vsock", cid: 3, port: 1024 });
    }),
);

test(
  "connect() and listen() read a path and a port that are getters of a class",
  WAIT,
  async () => {
    using folder = new TempFolder();
    class Here implements HybridAddress {
      get path(): string {
        return folder.path("vm.sock");
      }
      get port(): number {
        return 1024;
      }
    }
    const [{ path, port }, here] = [new Here(), new Here()];
    using vmm = createVmm(path);
    using agent = listen({ cid: 3, port }, { transport: vmm.guest });
    using _near = await connect(here);
    (await agent.accept()).close();
    using listener = listen(here);
    using guest = await connect({ cid: 2, port }, { transport: vmm.guest });
    using conn = await listener.accept();
    assertEquals([conn.localAddr.path, conn.localAddr.port], [path, port]);
    assertEquals(guest.remoteAddr.port, port);
  },
);

test(
  "Socket.close() while connecting is a clean end to the VM, though the OK has come unread",
  WAIT,
  async () => {
    using folder = new TempFolder();
    const path = folder.path("vm.sock");
    using vmm = createVmm(path);
    using agent = listen({ cid: 3, port: 1024 }, { transport: vmm.guest });
    using socket = openHybrid(path).socket("stream");
    socket.connect({ cid: 3, port: 1024 });
    using guest = await agent.accept();
    socket.close();
    assertEquals(await guest.read(new Uint8Array(1)), null);
  },
);

test(
  "connect() takes an OK that comes late and in pieces",
  WAIT,
  () =>
    connectTo({ delayMs: 20, splitBytes: 1 }, async (conn, guest) => {
      await guest.write(bytes("first"));
      assertEquals(await readText(conn, 5), "first");
    }),
);

test(
  "connect() leaves what follows OK in the same write to the first read",
  WAIT,
  () =>
    connectTo({ text: "OK 1024\nHELLO" }, async (conn, guest) => {
      await guest.write(bytes(" AND MORE"));
      assertEquals(await readText(conn, 14), "HELLO AND MORE");
    }),
);

test("connect() does not compare the number after OK, which may be missing", WAIT, async () => {
  const named: readonly [string, number][] = [["OK 7\n", 7], ["OK\n", ANY], ["OK 0\r\n", 0]];
  for (const [text, port] of named) {
    await connectTo({ text }, (conn) => {
      assertEquals(conn.localAddr.port, port);
      return Promise.resolve();
    });
  }
});

test("connect() without ack trusts a VMM that says nothing", WAIT, async () => {
  using folder = new TempFolder();
  const path = folder.path("vm.sock");
  using vmm = createVmm(path, { faults: { answer: "none" } });
  using agent = listen({ cid: 3, port: 1024 }, { transport: vmm.guest });
  const transport = openHybrid(path, { ack: false });
  using conn = await connect({ cid: 3, port: 1024 }, { transport });
  using guest = await agent.accept();
  await guest.write(bytes("banner"));
  assertEquals(await readText(conn, 6), "banner");
});

test("connect() says why a VMM refused", WAIT, async () => {
  const closed = await refusal({ answer: "close" });
  assertEquals([closed.op, closed.code], ["connect", "ECONNRESET"]);
  assert(closed.hint?.includes("closed before OK: nobody in the VM listens on port 1024"));
  const wrong = await refusal({ text: "NO 5\n" });
  assertEquals(wrong.code, "EPROTO");
  assert(wrong.hint?.includes('answered "NO 5\\n" in place of OK'), wrong.hint);
  const endless = await refusal({ text: "O".repeat(5_000) });
  assertEquals(endless.code, "EPROTO");
  const big = await refusal({ text: "OK 4294967296\n" });
  assertEquals(big.code, "EPROTO");
});

test("connect() gives up on a VMM that does not answer, by timeoutMs or signal", WAIT, async () => {
  const late = await refusal({ answer: "silence" }, { timeoutMs: 50 });
  assertEquals(late.code, "ETIMEDOUT");
  const options = { connectTimeoutMs: 40 };
  const own = await refusal({ answer: "silence" }, { options });
  assertEquals(own.code, "ETIMEDOUT");
  assert(own.hint?.includes("did not answer for port 1024"), own.hint);
  const [controller, reason] = [new AbortController(), new Error("enough")];
  const waiting = connectTo({ answer: "silence" }, () => Promise.resolve(), controller);
  controller.abort(reason);
  assertEquals(await assertRejects(() => waiting), reason);
});

test("connect() to a path where there is no VMM says so", WAIT, async () => {
  using folder = new TempFolder();
  const path = folder.path("vm.sock");
  const missing = await assertRejects(() => connect({ path, port: 1 }), VsockError);
  assertEquals([missing.code, missing.hint], ["ENOENT", `there is no ${path}: is the VM up`]);
  createVmm(path).close();
  const gone = await assertRejects(() => connect(`hvsock://${path}:1`), VsockError);
  assertEquals(gone.code, "ENOENT");
});

test("connect() waits where the queue of AF_UNIX is full, within timeoutMs", WAIT, async () => {
  using folder = new TempFolder();
  const path = folder.path("full.sock");
  using listener = listen({ path }, { backlog: 0 });
  using _first = await connect({ path });
  const timeoutMs = 30;
  const late = await assertRejects(() => connect({ path }, { timeoutMs }), VsockError);
  assertEquals(late.code, "ETIMEDOUT");
  const hybrid = await assertRejects(() => connect({ path, port: 9 }, { timeoutMs }), VsockError);
  assertEquals(hybrid.code, "ETIMEDOUT");
  const waiting = connect({ path });
  (await listener.accept()).close();
  (await waiting).close();
});

test("listen() is reached from the VM at path_PORT", WAIT, async () => {
  using folder = new TempFolder();
  const path = folder.path("vm.sock");
  using vmm = createVmm(path, { cid: 9 });
  using listener = listen({ path, port: 5000 });
  using guest = await connect({ cid: 2, port: 5000 }, { transport: vmm.guest });
  using conn = await listener.accept();
  await guest.write(bytes("up"));
  assertEquals(await readText(conn, 2), "up");
  assertEquals(listener.addr, { transport: "hybrid", path, port: 5000 });
  assertEquals(conn.remoteAddr, { transport: "hybrid", path, port: ANY });
  using raw = await connect({ path: `${path}_5000` });
  (await listener.accept()).close();
  assertEquals(await raw.read(new Uint8Array(1)), null);
});

test("openHybrid() speaks HyperKit's dialect", WAIT, async () => {
  using folder = new TempFolder();
  using hyperkit = listen({ path: folder.path("connect") });
  const transport = openHybrid(folder.path(""), { dialect: "hyperkit", cid: 0x1f });
  using conn = await connect({ cid: 0x1f, port: 0xabc }, { transport });
  await conn.write(bytes("payload"));
  using far = await hyperkit.accept();
  assertEquals(await readText(far, 25), "0000001f.00000abc\npayload");
  using listener = listen({ cid: 2, port: 80 }, { transport });
  using dialled = await connect({ path: folder.path("00000002.00000050") });
  using served = await listener.accept();
  await dialled.write(bytes("x"));
  assertEquals(await readText(served, 1), "x");
});

test("openHybrid() speaks libkrun's dialect, a bare socket for each port", WAIT, async () => {
  using folder = new TempFolder();
  const transport = openHybrid(folder.path("port-{port}.sock"), { dialect: "libkrun" });
  using krun = listen({ path: folder.path("port-7.sock") });
  using conn = await connect({ cid: 3, port: 7 }, { transport });
  using far = await krun.accept();
  await conn.write(bytes("bare"));
  assertEquals(await readText(far, 4), "bare");
  using listener = listen({ cid: 2, port: 8 }, { transport });
  using dialled = await connect({ path: folder.path("port-8.sock") });
  (await listener.accept()).close();
  assertEquals(await dialled.read(new Uint8Array(1)), null);
});

test("connect() says which CID a transport of one VM has", async () => {
  using folder = new TempFolder();
  const path = folder.path("vm.sock");
  const hint = async (options: ConnectOptions): Promise<unknown> =>
    (await assertRejects(() => connect({ cid: 4, port: 1 }, options), VsockError, "ENODEV")).hint;
  assertEquals(await hint({ transport: openHybrid(path) }), "this transport's VM is CID 3");
  using vmm = createVmm(path);
  assertEquals(await hint({ transport: vmm.guest }), "a guest reaches the host alone, CID 2");
});

test("listen() says which path stands for a port, where that cannot be had", () => {
  using folder = new TempFolder();
  const hint = (path: string): string | undefined => {
    const transport = openHybrid(path);
    return assertThrows(() => listen({ cid: 2, port: 9 }, { transport }), VsockError).hint;
  };
  const none = folder.path("none/vm.sock");
  assertEquals(hint(none), `there is no such folder: its path is ${none}_9`);
  writeFileSync(folder.path("vm.sock_9"), "");
  assertMatch(hint(folder.path("vm.sock"))!, /^somebody listens there, or.*: its path is .*_9$/);
});

test("createVmm() does not keep the process alive, and its guest's waits do", WAIT, async () => {
  using folder = new TempFolder();
  assertEquals(
    await runChild(new URL("./hybrid_child.ts", import.meta.url), [folder.path("vm.sock")]),
    "1\nETIMEDOUT\n",
  );
});

/**
 * What a VMM with `faults` says first to a host that says more than it asks for; `null` at the end.
 */
async function firstAnswer(faults: HybridFaults, options?: WaitOptions): Promise<string | null> {
  using folder = new TempFolder();
  const path = folder.path("vm.sock");
  using vmm = createVmm(path, { faults });
  using _agent = listen({ cid: 3, port: 1024 }, { transport: vmm.guest });
  using conn = await connect({ path });
  await conn.write(bytes("CONNECT 1024\nand more"));
  const p = new Uint8Array(100);
  const n = await conn.read(p, options);
  return n === null ? null : new TextDecoder().decode(p.subarray(0, n));
}

test("createVmm() says all of a text at once, whatever it is of", WAIT, async () => {
  assertEquals(await firstAnswer({ text: "ÄÖÜ\n" }), "ÄÖÜ\n");
});

test("createVmm() with silence keeps the connection of a host that says more", WAIT, async () => {
  const wait = firstAnswer({ answer: "silence" }, { timeoutMs: 50 });
  assertEquals((await assertRejects(() => wait, VsockError)).code, "ETIMEDOUT");
});

test("createVmm() closes the connection of a host that says no line", WAIT, async () => {
  using folder = new TempFolder();
  const path = folder.path("vm.sock");
  using _vmm = createVmm(path);
  using conn = await connect({ path });
  await conn.write(new Uint8Array(LINE_MAX));
  assertEquals(await conn.read(new Uint8Array(1)), null);
});

test("createVmm() says what is wrong with its path", () => {
  using folder = new TempFolder();
  const hint = (path: string): unknown => assertThrows(() => createVmm(path), VsockError).hint;
  writeFileSync(folder.path("file"), "");
  assertMatch(String(hint(folder.path("file"))), /^somebody listens there, or it is no socket/);
  assertEquals(hint(folder.path("none/vm.sock")), "there is no such folder");
});

test("openHybrid() and createVmm() refuse wrong arguments before all else", () => {
  assertThrows(() => openHybrid("x", { dialect: "qemu" as "libkrun" }), TypeError, "qemu");
  assertThrows(() => openHybrid("x", { dialect: "toString" as "libkrun" }), TypeError, "toString");
  assertThrows(() => openHybrid("", {}), TypeError, "Cannot use path");
  assertThrows(() => openHybrid("x", { cid: -1 }), RangeError, "Cannot use cid");
  assertThrows(() => openHybrid("x", { mode: 0o1000 }), RangeError, "Cannot use mode");
  for (const timeoutMs of [0, NaN, 2 ** 31, Infinity]) { // no timer takes the latter two
    assertThrows(() => openHybrid("x", { timeoutMs }), RangeError, "Cannot use timeoutMs");
  }
  assertThrows(() => createVmm("a\0b"), RangeError, "Cannot use path");
  for (const faults of [{ splitBytes: 0 }, { splitBytes: 1.5 }, { delayMs: -1 }]) {
    assertThrows(() => createVmm("x", { faults }), RangeError, "Cannot use");
  }
  const refuses = (faults: object, says: string): void =>
    void assertThrows(() => createVmm("x", { faults }), TypeError, says);
  refuses(
    { delay: 5 },
    "no members but answer, text, delayMs, splitBytes: current value has delay",
  );
  refuses({ answer: "closed" }, "Cannot use answer: must be of ok, none, close, silence");
  const transport = openHybrid("/nowhere");
  const error = assertThrows(() => listen({ cid: 2, port: 1 }, { transport, type: "seqpacket" }));
  assertEquals((error as VsockError).code, "ESOCKTNOSUPPORT");
});

test(
  "closeRead() wakes a peer that waits for room, with EPIPE",
  WAIT,
  () =>
    connectTo({}, async (conn, guest) => {
      const writing = guest.write(new Uint8Array(4_000_000));
      await conn.read(new Uint8Array(1));
      await conn.closeRead();
      const error = await assertRejects(() => writing, VsockError);
      assertEquals(error.code, "EPIPE");
      await conn.write(bytes("still here"));
      assertEquals(await readText(guest, 10), "still here");
    }),
);

test("createVmm() leaves no path behind where it cannot listen there", () => {
  using folder = new TempFolder();
  const path = folder.path("vm.sock");
  {
    using _refused = failOnce("listen", "EADDRINUSE");
    assertThrows(() => createVmm(path), VsockError, "EADDRINUSE");
  }
  assertEquals(existsSync(path), false);
});

test("connect() to a VM does not blame the VMM where this machine lacks memory", WAIT, async () => {
  using folder = new TempFolder();
  const path = folder.path("vm.sock");
  using _vmm = createVmm(path);
  using _full = failOnce("send", "ENOBUFS");
  const { code, hint } = await assertRejects(() => connect({ path, port: 1024 }), VsockError);
  assertEquals([code, hint], ["ENOBUFS", `send fails on the way to the VMM at ${path}`]);
});
