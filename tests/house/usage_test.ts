import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { installRuntimes, ROOT } from "./toolchain.ts";

const { deno } = installRuntimes();

/** Tasks that take arguments, and what each says of one that it does not know. */
const TASKS: Readonly<Record<string, RegExp>> = {
  "bench": /^Cannot run the benches: --fast is no option\nusage: /m,
  "bench:tcp": /^Cannot run the benches: --fast is no option\nusage: /m,
  "bench:device": /^Cannot run the benches: --fast is no option\nusage: /m,
  "bench:kernel": /^Cannot run the benches: --fast is no option\nusage: /m,
  "test": /^Cannot test: --fast is no option\nusage: /m,
  "soak": /^Cannot test: --fast is no option\nusage: /m,
  "compile": /^Cannot compile: must be to one FILE: current value is --fast\nusage: /m,
};

function runTask(name: string, ...args: readonly string[]): {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
} {
  // One that took it would run all tests, these too.
  return spawnSync(deno, ["task", name, ...args], {
    cwd: ROOT,
    encoding: "utf8",
    timeout: 120_000,
  });
}

for (const [name, refusal] of Object.entries(TASKS)) {
  test(`deno task ${name} says how to call it, and what is wrong`, { timeout: 300_000 }, () => {
    const help = runTask(name, "--", "--help");
    assertEquals(help.status, 0, help.stderr);
    assertStringIncludes(help.stdout, "usage: deno task ");
    const { status, stderr } = runTask(name, "--fast");
    assertEquals(status, 2, stderr);
    assertMatch(stderr, refusal);
    assertEquals(stderr.includes("    at "), false, stderr);
  });
}
