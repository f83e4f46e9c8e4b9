/** `vsockit perf --serve` and `--peer`, over TCP: with a device the other end is a guest. */
import { existsSync } from "node:fs";
import { constants } from "node:os";
import process from "node:process";
import { after, before, test } from "node:test";
import { assert, assertEquals, assertMatch } from "@std/assert";
import { connect } from "../../src/connect.ts";
import { openTcp } from "../../src/kernel/tcp_unix.ts";
import { listen } from "../../src/listen.ts";
import type { PerfResult } from "../../src/cli/perf/result.ts";
import { TempFolder } from "../helpers/temp_folder.ts";
import "../helpers/brief_warm_ups.ts";
import { until } from "../helpers/until.ts";
import { vsockit } from "./captured.ts";
import { Running } from "./process.ts";
import { reach } from "./reach.ts";

const SKIP = openTcp("127.0.0.1").capabilities.mapRx
  ? false
  : "this kernel does not map TCP: needs Linux 5.7 and 4 KiB pages";
/**
 * Below those that connect(2) binds to: one that tries until somebody listens could meet itself.
 */
const PORT = 11_000 + process.pid % 5_000 * 2;
const PEER = ["perf", "--transport", "tcp", "--peer", "localhost", "--port", `${PORT}`, "--json"];
const ADDRESS = { hostname: "127.0.0.1", port: PORT };

let serving: Running | undefined;

before(async () => {
  serving = new Running("perf", "--serve", "--transport", "tcp", "--port", `${PORT}`);
  using _ = await reach(ADDRESS);
});

after(async () => {
  serving?.child.kill("SIGKILL");
  await serving?.ended;
});

async function perf(...args: readonly string[]): Promise<readonly PerfResult[]> {
  const { code, out, err } = await vsockit([...PEER, ...args]);
  assertEquals([code, err], [0, ""]);
  return out.trimEnd().split("\n").map((line): PerfResult => JSON.parse(line));
}

for (const direction of [[], ["--reverse"]]) {
  for (const letter of ["n", "y"]) {
    const name = ["perf --peer", ...direction, `-z ${letter}`].join(" ");
    const skip = letter === "y" && SKIP;
    test(`${name} has both ends agree`, { skip, timeout: 120_000 }, async () => {
      const [result] = await perf("-m", "8", "--verify", "-z", letter, ...direction);
      assertEquals([result?.transport, result?.bytes], ["tcp", 8 << 20]);
      assert(result!.tx_seconds > 0 && result!.rx_seconds > 0 && result!.rx_cpu_seconds > 0);
      assertMatch(result?.sha256 ?? "", /^[0-9a-f]{64}$/);
    });
  }
}

test("perf --peer --sweep asks for one measurement after the other", {
  skip: SKIP,
  timeout: 180_000,
}, async () => {
  const results = await perf("--sweep", "-m", "1", "--reverse");
  assertEquals(results.slice(0, 3).map(({ mode }) => mode), ["copy", "zerocopy", "auto"]);
});

test("perf --serve refuses what is no request, and serves the next", async () => {
  for (const line of ["{}\n", "no JSON\n", '{"role":"receiver","plan":{"mode":"copy"}}\n']) {
    using conn = await connect(ADDRESS);
    await conn.write(new TextEncoder().encode(line));
    const buffer = new Uint8Array(4_096);
    const got = await conn.read(buffer);
    if (got !== null) assertMatch(new TextDecoder().decode(buffer.subarray(0, got)), /"error":/);
  }
  {
    using conn = await connect(ADDRESS);
    const line = new Uint8Array(64 * 1024).fill(65); // without an end
    await conn.write(line).catch(() => {});
    assertEquals(await conn.read(new Uint8Array(16)).catch(() => null), null);
  }
  const [result] = await perf("-m", "1");
  assertEquals(result?.bytes, 1 << 20);
});

test("perf --peer says so where somebody else serves", { timeout: 60_000 }, async () => {
  const lines = [
    "HTTP/1.1 400 Bad Request\r\n",
    "null\n",
    '{"role":"receiver"}\n',
    '{"result":1}\n',
  ];
  for (const line of lines) {
    using listener = listen({ hostname: "127.0.0.1", port: 0 });
    const answering = listener.accept().then(async (conn) => {
      await conn.write(new TextEncoder().encode(line));
      await conn.closeWrite();
      return conn;
    });
    const port = String(listener.addr.port);
    const { code, err } = await vsockit([...PEER, "--port", port]);
    (await answering).close();
    assertEquals(code, 1);
    assertMatch(err, /^vsockit perf: the other end is no vsockit perf: it sent ".*"\n$/);
  }
});

test("perf --serve goes on where somebody has connected and asks nothing", {
  timeout: 120_000,
}, async () => {
  using _idle = await connect(ADDRESS);
  const [result] = await perf("-m", "1");
  assertEquals(result?.bytes, 1 << 20);
});

test("perf --device removes its path where a signal ends it", { timeout: 60_000 }, async () => {
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    using folder = new TempFolder();
    const path = folder.path("vhost");
    using perf = new Running("perf", "--device", path, "--peer", "3");
    await until(() => existsSync(path), () => perf.err);
    process.kill(perf.child.pid!, signal);
    assertEquals([await perf.ended, perf.err], [128 + constants.signals[signal], ""]);
    assertEquals(existsSync(path), false);
  }
});
