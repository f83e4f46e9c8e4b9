import { test } from "node:test";
import { assertEquals, assertGreater } from "@std/assert";
import { OWN_NAMES } from "../std/names.ts";
import { runSoon } from "./command.ts";
import { installRuntimes, ROOT } from "./toolchain.ts";

const { deno } = installRuntimes();
const LIMIT = { timeout: 60_000 };

test("Doc comments of exports link only to what a reader can import", LIMIT, async () => {
  const shown = await runSoon(ROOT, [deno, "doc", "--json", ...OWN_NAMES.values()]);
  const names = Array.from(shown.matchAll(/"name": "([^"]+)"/g), ([, name]) => name);
  const links = Array.from(shown.matchAll(/\{@link(?:code)? (?:\w+\.)?(\w+)/g), ([, to]) => to);
  assertGreater(links.length, 10);
  assertEquals(links.filter((to) => !names.includes(to)), []);
});
