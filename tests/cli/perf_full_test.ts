/** `vsockit perf --serve` where descriptors run out for a while. */
import process from "node:process";
import { test } from "node:test";
import { assertMatch } from "@std/assert";
import type { TcpAddress } from "../../src/address.ts";
import type { Conn } from "../../src/conn.ts";
import { limit, nextDescriptor, untilSettled } from "./descriptors.ts";
import { Running } from "./process.ts";
import { reach } from "./reach.ts";

const PLENTY = 256;
/** See perf_remote_test.ts; that is even. */
const PORT = 11_001 + process.pid % 5_000 * 2;
const ADDRESS = { hostname: "127.0.0.1", port: PORT };

/** What is said of a request that is none. */
async function refusal(conn: Conn<TcpAddress>): Promise<string> {
  await conn.write(new TextEncoder().encode("{}\n"));
  const buffer = new Uint8Array(4_096);
  return new TextDecoder().decode(buffer.subarray(0, await conn.read(buffer) ?? 0));
}

test("perf --serve tells of a passing failure of accept(), and goes on", {
  timeout: 60_000,
}, async () => {
  using serving = new Running("perf", "--serve", "--transport", "tcp", "--port", `${PORT}`);
  await untilSettled(serving, async () => {
    using first = await reach(ADDRESS);
    assertMatch(await refusal(first), /"error":/);
  });
  limit(serving, nextDescriptor(serving));
  using second = await reach(ADDRESS);
  await serving.says(/^vsockit perf: Cannot accept .*: EMFILE.*\n/);
  limit(serving, PLENTY);
  assertMatch(await refusal(second), /"error":/);
});
