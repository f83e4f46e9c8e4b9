/** The command under Deno's permissions, where the environment may not be read. */
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { CAPABILITIES } from "../../src/probe.ts";
import { childCommand } from "../helpers/child.ts";
import { NO_PERMISSIONS } from "../helpers/runtime.ts";
import { MAIN } from "./process.ts";

const OPTIONS = { timeout: 120_000, skip: NO_PERMISSIONS };

function vsockit(permission: string, ...args: readonly string[]): [number, string] {
  const [file = "", ...before] = childCommand(MAIN, [permission]);
  const { status, stdout, stderr } = spawnSync(file, [...before, ...args], {
    encoding: "utf8",
    timeout: 60_000,
  });
  return [status ?? -1, stdout + stderr];
}

/** No permission at all: a Deno that is started by Deno without a word of them gets every one. */
const NONE = "--deny-env";

for (const [permission, ffi] of [[NONE, "no "], ["--allow-ffi", "yes"]] as const) {
  test(`doctor prints its table with ${permission} alone`, OPTIONS, () => {
    const [code, printed] = vsockit(permission, "doctor");
    const names = Array.from(printed.matchAll(/^(?:yes|no ) {2}(\w+) /gm), ([, name]) => name);
    assertEquals([code, names], [0, [...CAPABILITIES.keys()]]);
    assertStringIncludes(printed, `\n${ffi}  ffi  `);
  });
}

test("ss, perf and test fail with one line without a permission", OPTIONS, () => {
  const role = ["--mode", "server", "--control-port", "1", "--peer-cid", "1"];
  const lines = [
    ...[[NONE, "ss"], [NONE, "perf", "-m", "4"], [NONE, "test"]],
    ["--allow-net=127.0.0.1:0", "test"],
    ["--allow-ffi", "test", ...role],
    ["--allow-ffi", "test", ...role, "--control-host", "::1"],
  ] as const;
  for (const [permission, ...args] of lines) {
    const [code, printed] = vsockit(permission, ...args);
    assertEquals(code, 1);
    assertMatch(printed, new RegExp(`^vsockit ${args[0]}: .*--allow-\\w+.*\n$`));
  }
});
