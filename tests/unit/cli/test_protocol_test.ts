import { connect, createServer, type Socket } from "node:net";
import { test } from "node:test";
import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { SysError } from "../../../ffi/errno.ts";
import type { Mode } from "../../../src/cli/test/case.ts";
import { CASES } from "../../../src/cli/test/cases.ts";
import { connectControl, type Control, ControlListener } from "../../../src/cli/test/control.ts";
import { End } from "../../../src/cli/test/end.ts";
import { djb2 } from "../../../src/cli/test/hash.ts";
import { runTests, type Tally } from "../../../src/cli/test/run.ts";
import { createLoopback } from "../../../src/loopback/mod.ts";
import type { Transport } from "../../../src/transport.ts";

const LIMIT = { timeout: 60_000 };

/** Both ends of a TCP connection: what is tested, and a socket that plays the peer. */
async function controlAndPeer(): Promise<{ control: Control; peer: Socket }> {
  using listener = await ControlListener.open("127.0.0.1", 0);
  const peer = connect(listener.port, "127.0.0.1");
  return { control: await listener.accept(), peer };
}

/** Runs an end that skips everything against a peer that says `lines`; what each of them said. */
async function runAgainst(
  mode: Mode,
  lines: readonly string[],
): Promise<{ tally: Tally; printed: string; said: string[] }> {
  const { control, peer } = await controlAndPeer();
  const transport = createLoopback();
  const end = new End({ mode, transport, control, peer: { cid: 1, port: 1234 } });
  let [printed, said] = ["", ""];
  peer.on("data", (data) => void (said += data));
  const closed = new Promise((resolve) => peer.once("close", resolve));
  peer.write(lines.map((line) => `${line}\n`).join(""));
  try {
    const tally = await runTests(end, () => false, (text) => void (printed += text));
    await control[Symbol.asyncDispose]();
    await closed;
    return { tally, printed, said: said.trimEnd().split("\n") };
  } finally {
    await control[Symbol.asyncDispose]();
    peer.destroy();
  }
}

function times<T>(count: number, value: T): T[] {
  return Array.from({ length: count }, () => value);
}

test("runTests() says SKIP for each test that is not asked for", LIMIT, async () => {
  for (const mode of ["client", "server"] as const) {
    const { tally, said } = await runAgainst(mode, [...times(26, "NEXT"), "COMPLETED"]);
    assertEquals(tally, { passed: 0, skipped: 26 });
    assertEquals(said, [...times(26, "SKIP"), "COMPLETED"]);
  }
});

test(
  "runTests() skips what the kernel has no sockets or no zero-copy sends for",
  LIMIT,
  async () => {
    const { control, peer } = await controlAndPeer();
    const loopback = createLoopback();
    const transport: Transport = {
      name: loopback.name,
      capabilities: loopback.capabilities,
      localCid: loopback.localCid,
      socket(type) {
        if (type === "seqpacket") throw new SysError("socket", "ESOCKTNOSUPPORT");
        const socket = loopback.socket(type);
        socket.setsockopt = (): never => {
          throw new SysError("setsockopt", 524); // as Linux 5.10 has it
        };
        return socket;
      },
    };
    const asked = CASES.flatMap(({ name }, id) => /SEQPACKET|MSG_ZEROCOPY/.test(name) ? [id] : []);
    const address = { cid: 1, port: 1234 };
    const end = new End({ mode: "client", transport, control, peer: address });
    Object.assign(end, { hasFds: true }); // as with the kernel's sockets
    peer.write(`${"NEXT\n".repeat(CASES.length)}COMPLETED\n`);
    let printed = "";
    const tally = await runTests(end, (id) => asked.includes(id), (text) => void (printed += text));
    assertEquals(tally, { passed: 0, skipped: CASES.length });
    assertMatch(printed, /SOCK_SEQPACKET msg bounds\.\.\.skipped: there are no SEQPACKET sockets/);
    assertMatch(printed, /SOCK_STREAM MSG_ZEROCOPY\.\.\.skipped: SO_ZEROCOPY is refused here/);
    await control[Symbol.asyncDispose]();
    peer.destroy();
  },
);

test("runTests() of a client goes by the server's list where that is shorter", LIMIT, async () => {
  const { tally, printed, said } = await runAgainst("client", [...times(20, "NEXT"), "COMPLETED"]);
  assertEquals(tally, { passed: 0, skipped: 26 });
  assertEquals(said, [...times(20, "SKIP"), "COMPLETED"]);
  assertMatch(printed, /^20 - .*\.\.\.skipped: the peer does not have it$/m);
});

test("runTests() of a client skips what only the server has", LIMIT, async () => {
  const { tally, printed, said } = await runAgainst("client", [...times(41, "NEXT"), "COMPLETED"]);
  assertEquals(tally, { passed: 0, skipped: 41 });
  assertEquals(said, [...times(41, "SKIP"), "COMPLETED"]);
  assertMatch(printed, /^40 - a test of the peer's\.\.\.skipped: not in this list$/m);
});

test("runTests() of a server goes on while a client skips what only that has", LIMIT, async () => {
  const lines = [...times(26, "NEXT"), ...times(15, "SKIP"), "COMPLETED"];
  const { tally, said } = await runAgainst("server", lines);
  assertEquals(tally, { passed: 0, skipped: 41 });
  assertEquals(said, [...times(26, "SKIP"), ...times(16, "COMPLETED")]);
});

test("runTests() of a server fails where the lists differ and nobody skips", LIMIT, async () => {
  for (const lines of [times(27, "NEXT"), [...times(20, "NEXT"), "COMPLETED"]]) {
    await assertRejects(
      () => runAgainst("server", lines),
      Error,
      "The peer has another list of tests: let it be the server",
    );
  }
});

test("runTests() fails for a word that is not of the protocol", LIMIT, async () => {
  await assertRejects(
    () => runAgainst("client", ["NEXT", "next"]),
    Error,
    'Expected "NEXT" on the control socket, got "next"',
  );
});

test("Control reads lines however they are cut", LIMIT, async () => {
  const { control, peer } = await controlAndPeer();
  await using _control = control;
  peer.setNoDelay(true);
  for (const text of ["LIS", "TENING\nBIND", "\n18446744073709551615\n"]) {
    await new Promise<void>((resolve) => peer.write(text, () => resolve()));
  }
  await control.expect("LISTENING");
  assertEquals(await control.read(), "BIND");
  assertEquals(await control.readHash(), 0xffff_ffff_ffff_ffffn);
  peer.destroy();
});

test("Control fails for what it does not expect, and at the end", LIMIT, async () => {
  const { control, peer } = await controlAndPeer();
  peer.end("DONE\n-1\nLAST\n");
  const unexpected = 'Expected "BIND" on the control socket, got "DONE"';
  await assertRejects(() => control.expect("BIND"), Error, unexpected);
  await assertRejects(() => control.readHash(), Error, "Expected a number on the control socket");
  assertEquals(await control.read(), "LAST");
  await assertRejects(() => control.read(), Error, "Unexpected EOF on the control socket");
  await control[Symbol.asyncDispose]();
});

test("Control ends with a peer whose line does not end", LIMIT, async () => {
  const { control, peer } = await controlAndPeer();
  peer.on("error", () => {});
  peer.write("x".repeat(1_000));
  await assertRejects(() => control.read(), Error, "The peer's line is endless");
  await control[Symbol.asyncDispose]();
  peer.destroy();
});

test("connectControl() names the address where nobody listens", LIMIT, async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  await assertRejects(
    () => connectControl("127.0.0.1", port),
    Error,
    `Cannot connect the control socket to 127.0.0.1:${port}: `,
  );
});

test("djb2() is that of C, in 64 bits", () => {
  let [wanted, state] = [5381n, 1];
  const data = Uint8Array.from({ length: 5_000 }, () => (state = state * 75 % 65_537) & 0xff);
  for (const byte of data) wanted = BigInt.asUintN(64, wanted * 33n + BigInt(byte));
  assertEquals(djb2(data), wanted);
  assertEquals(djb2(new Uint8Array(0)), 5381n);
});

test("CASES have the names that C prints, in its order", () => {
  const types = CASES.map(({ name }) => name.startsWith("SOCK_STREAM ") ? "S" : "Q").join("");
  assertEquals(types, "SSSSSSQQQQSQSQSQSSSQSSSSSQ");
  assertEquals(new Set(CASES).size, 26);
});
