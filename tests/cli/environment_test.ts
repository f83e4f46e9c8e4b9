/** The command under Deno's permissions, where the environment may not be read. */
import { spawnSync } from "node:child_process";
import process from "node:process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { CAPABILITIES } from "../../src/probe.ts";
import { RUNTIME } from "../helpers/runtime.ts";

const OPTIONS = {
  timeout: 120_000,
  skip: RUNTIME === "deno" ? false : `no permissions on ${RUNTIME}: run it on Deno`,
};
const MAIN = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));

function vsockit(permission: string, ...args: readonly string[]): [number, string] {
  const all = ["run", "--no-check", "--no-prompt", permission, MAIN, ...args];
  const { status, stdout, stderr } = spawnSync(process.execPath, all, {
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
