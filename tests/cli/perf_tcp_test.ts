/** `vsockit perf --transport tcp`, both ends in this process and one of them alone. */
import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals, assertMatch } from "@std/assert";
import type { PerfResult, ReceivedResult } from "../../src/cli/perf/result.ts";
import { openTcp } from "../../src/kernel/tcp_unix.ts";
import "../helpers/brief_warm_ups.ts";
import { vsockit } from "./captured.ts";

const TCP = ["perf", "--transport", "tcp"] as const;
const SKIP = openTcp("127.0.0.1").capabilities.mapRx
  ? false
  : "this kernel does not map TCP: needs Linux 5.7 and 4 KiB pages";
/** Other ones than those of processes that run beside this one. */
let port = 21_000 + process.pid % 1_000 * 10;

/** Runs it with `--json`; fails unless it ends well. */
async function perf<T>(...args: readonly string[]): Promise<readonly T[]> {
  const { code, out, err } = await vsockit([...TCP, "--json", ...args]);
  assertEquals([code, err], [0, ""]);
  return out.trimEnd().split("\n").map((line): T => JSON.parse(line));
}

for (const letter of ["n", "y", "a"]) {
  const skip = letter !== "n" && SKIP;
  test(
    `perf --transport tcp -z ${letter} --verify agrees`,
    { skip, timeout: 300_000 },
    async () => {
      const at = String(port++);
      const [result] = await perf<PerfResult>("-z", letter, "-m", "8", "--verify", "--port", at);
      assertEquals([result?.transport, result?.bytes], ["tcp", 8 << 20]);
      assertMatch(result?.sha256 ?? "", /^[0-9a-f]{64}$/);
      if (letter === "y") assert(result!.mapped_bytes! > 4 << 20, `${result!.mapped_bytes} mapped`);
    },
  );
}

test("perf --transport tcp -z u is refused with the reason", async () => {
  const { code, err } = await vsockit([...TCP, "-z", "u"]);
  assertEquals(code, 2);
  assertMatch(err, /Cannot use -z u with tcp: the kernel writes no poll_value for TCP/);
});

test("perf --transport tcp --sweep has three modes, and says where zero-copy wins", {
  skip: SKIP,
  timeout: 600_000,
}, async () => {
  const args = ["--sweep", "-m", "1", "--port", String(port++)];
  const { code, out, err } = await vsockit([...TCP, ...args]);
  assertEquals([code, err], [0, ""]);
  assertMatch(out, /^ +4K +16K +64K +128K +256K +512K\n/);
  const rows = out.matchAll(/^(\w+) +A\/B s +([\d./]+ *){6}$/gm);
  assertEquals(Array.from(rows, ([, mode]) => mode), ["C", "ZC", "AU"]);
  assertMatch(out, /\nZero-copy (wins from \d+K on|does not win)[^\n]*\n$/);
});

test("perf --transport tcp -c takes a hostname", { timeout: 300_000 }, async () => {
  const at = ["--port", String(port++)];
  const transmitter = perf("-s", "-m", "4", ...at);
  for (;;) {
    const { code, out, err } = await vsockit([...TCP, "--json", "-c", "localhost", ...at]);
    if (code !== 0) { // until the other one listens
      assertMatch(err, /ECONNREFUSED/);
      continue;
    }
    const result: ReceivedResult = JSON.parse(out);
    assertEquals(result.bytes, 4 << 20);
    break;
  }
  await transmitter;
});
