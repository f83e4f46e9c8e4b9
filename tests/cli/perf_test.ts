import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { assertEquals, assertMatch } from "@std/assert";
import type { PerfResult } from "../../src/cli/perf/result.ts";
import "../helpers/brief_warm_ups.ts";
import { vsockit } from "./captured.ts";

const MODES = [["n", "copy"], ["y", "zerocopy"], ["u", "user-poll"], ["a", "auto"]] as const;

/** Runs `vsockit perf --json` with `args`; fails unless it ends well. */
async function perfJson(...args: readonly string[]): Promise<readonly PerfResult[]> {
  const { code, out, err } = await vsockit(["perf", "--json", ...args]);
  assertEquals([code, err], [0, ""]);
  return out.trimEnd().split("\n").map((line) => JSON.parse(line));
}

for (const [letter, mode] of MODES) {
  test(`perf -z ${letter} gives numbers that add up`, { timeout: 120_000 }, async () => {
    const args = ["-z", letter, "-m", "4", "-b", "32K", "-r", "16K", "-v", "1M"];
    const [result, ...more] = await perfJson(...args, "--tx-buffer", "1M");
    assertEquals(more.length, 0);
    if (result === undefined) throw new Error("no line of JSON");
    const { tx_seconds, send_seconds, rx_seconds, rx_cpu_seconds, dequeue_seconds } = result;
    const { wakeups, clock_ns, runtime, mapped_bytes } = result;
    assertEquals(result, {
      mode,
      transport: "loopback",
      runtime,
      type: "stream",
      bytes: 4_194_304,
      ...(mapped_bytes !== undefined && { mapped_bytes }),
      buffer_bytes: 32_768,
      rcvlowat_bytes: 16_384,
      credit_bytes: 1_048_576,
      tx_buffer_bytes: 1_048_576,
      tx_seconds,
      send_seconds,
      rx_seconds,
      rx_cpu_seconds,
      dequeue_seconds,
      wakeups,
      ns_per_wakeup: Math.round(dequeue_seconds * 1e9 / wakeups),
      rx_gbit_per_s: 4_194_304 * 8 / 1e9 / rx_seconds,
      clock_ns,
    });
    assertEquals(mapped_bytes === undefined, letter === "n");
    if (letter === "y" || letter === "u") assertEquals(mapped_bytes, 4_194_304);
    assertMatch(runtime, /^(deno|bun|node) \d+\.\d+\.\d+$/);
    assertEquals(send_seconds > 0 && send_seconds <= tx_seconds, true);
    assertEquals(tx_seconds > 0 && dequeue_seconds > 0 && dequeue_seconds <= rx_seconds, true);
    // Each takes SO_RCVLOWAT at least, but for the last one, and the buffer at most.
    assertEquals(wakeups >= 128 && wakeups <= 256, true);
  });

  test(`perf -z ${letter} --verify agrees on a hash`, { timeout: 120_000 }, async () => {
    const [result] = await perfJson("-z", letter, "-m", "3", "-b", "20000", "--verify");
    assertMatch(result?.sha256 ?? "", /^[0-9a-f]{64}$/);
  });

  test(`perf -z ${letter} --file sends that file`, { timeout: 120_000 }, async () => {
    const directory = mkdtempSync(join(tmpdir(), "vsockit-"));
    try {
      const bytes = Uint8Array.from({ length: 300_001 }, (_, index) => index * index >> 3);
      const path = join(directory, "file");
      writeFileSync(path, bytes);
      const [result] = await perfJson("-z", letter, "--file", path, "--verify", "--tx-buffer=7K");
      assertEquals(result?.bytes, bytes.length);
      assertEquals(result?.sha256, createHash("sha256").update(bytes).digest("hex"));
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  test(`perf -z ${letter} --seqpacket sends messages`, { timeout: 120_000 }, async () => {
    const args = ["-z", letter, "-m", "2", "-b", "100K", "--seqpacket", "--verify"];
    const [result] = await perfJson(...args);
    assertEquals(result?.type, "seqpacket");
    // 20 messages of 100 KiB and one of 48: the receiver may find two of them, and copies one.
    const wakeups = result?.wakeups ?? 0;
    assertEquals(mode === "copy" ? wakeups === 21 : wakeups > 0 && wakeups <= 42, true);
  });
}

test("perf can wait for more than a link usually holds", { timeout: 120_000 }, async () => {
  const [result] = await perfJson("-z", "y", "-m", "32", "-b", "16M", "-r", "16M", "-v", "16M");
  assertEquals(result?.wakeups, 2);
});

test("perf --sweep has six sizes in four modes", { timeout: 300_000 }, async () => {
  const results = await perfJson("--sweep", "-m", "1");
  const sizes = [4096, 16_384, 65_536, 131_072, 262_144, 524_288];
  assertEquals(
    results.map(({ buffer_bytes, rcvlowat_bytes, mode, bytes }) =>
      [buffer_bytes, rcvlowat_bytes, mode, bytes] as const
    ),
    sizes.flatMap((size) => MODES.map(([, mode]) => [size, size, mode, 1_048_576] as const)),
  );
});

test(
  "perf prints a report, and a progress bar on a terminal only",
  { timeout: 120_000 },
  async () => {
    const plain = await vsockit(["perf", "-m", "1"]);
    assertEquals([plain.code, plain.err], [0, ""]);
    assertMatch(plain.out, /^D per wake-up, C \/ wake-ups +\d+ ns$/m);
    const shown = await vsockit(["perf", "-m", "1"], true);
    assertEquals(shown.code, 0);
    assertEquals(shown.err.endsWith("\r\x1b[K"), true);
    assertEquals(shown.out.includes("\x1b"), false);
  },
);

test("perf --svg says before the sweep that it cannot write there", async () => {
  const { code, out, err } = await vsockit(["perf", "--sweep", "--svg", "/nowhere/sweep.svg"]);
  assertEquals([code, out], [1, ""]);
  assertMatch(err, /^vsockit perf: .*ENOENT|no such file/i);
});

test("perf --svg leaves the picture that is there where the sweep fails", async () => {
  const folder = mkdtempSync(join(tmpdir(), "vsockit-"));
  const path = join(folder, "sweep.svg");
  try {
    writeFileSync(path, "an older one");
    const nobody = ["--transport", "tcp", "--peer", "127.0.0.1", "--port", "1"];
    const { code, err } = await vsockit(["perf", "--sweep", "--svg", path, ...nobody]);
    assertEquals(code, 1);
    assertMatch(err, /ECONNREFUSED/);
    assertEquals(readFileSync(path, "utf8"), "an older one");
  } finally {
    rmSync(folder, { recursive: true });
  }
});
