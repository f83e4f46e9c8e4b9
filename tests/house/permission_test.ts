import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { runSoon } from "./command.ts";
import { installRuntimes, ROOT } from "./toolchain.ts";

const { deno } = installRuntimes();
const MAIN = [deno, "run", "--no-prompt", "--allow-read", "src/cli/main.ts"];

test("vsockit perf wants no libc for the loopback", { timeout: 120_000 }, async () => {
  const shown = await runSoon(ROOT, [...MAIN, "perf", "-m", "1", "--verify", "--json"]);
  assertEquals(JSON.parse(shown).bytes, 1 << 20);
});
