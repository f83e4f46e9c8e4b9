import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { assertEquals, assertMatch } from "@std/assert";
import { TempFolder } from "../helpers/temp_folder.ts";
import { type Printed, run } from "./command.ts";
import { compile } from "./compile.ts";

const COMMANDS = ["perf", "test", "cat", "proxy", "device", "ss", "doctor", "completions"];
/** Of this process alone. */
const PORT = String(31_000 + process.pid % 1_000);

test("compile makes one executable that does all, in an empty folder", {
  timeout: 600_000,
}, async (t) => {
  using build = new TempFolder();
  using folder = new TempFolder();
  const executable = build.path("vsockit");
  compile(executable);
  const vsockit = (...args: readonly string[]): Printed =>
    run(folder.path(), [executable, ...args]);

  await t.test("it is one file, and knows its commands", () => {
    assertEquals(readdirSync(build.path()), ["vsockit"]);
    const { stdout } = vsockit("--help");
    const names = Array.from(stdout.matchAll(/^ {2}(\w+) {2,}/gm), ([, name]) => name);
    assertEquals(names, COMMANDS);
    for (const name of names) assertMatch(vsockit(name!, "--help").stdout, /^Usage: vsockit /);
  });
  await t.test("perf", () => {
    const { stdout } = vsockit("perf", "-m", "1", "-z", "u", "--json", "--verify");
    assertEquals(JSON.parse(stdout).bytes, 1 << 20);
  });
  await t.test("perf --sweep --svg", () => {
    const tcp = ["--transport", "tcp", "--port", PORT]; // whose warm-up is short
    vsockit("perf", "--sweep", ...tcp, "-m", "256K", "--svg", "sweep.svg");
    assertEquals(existsSync(folder.path("sweep.svg")), true);
  });
  await t.test("test", () => assertMatch(vsockit("test").stdout, /\n20 passed, 6 skipped\n$/));
  await t.test("doctor", () => {
    const { runtime, ffi } = JSON.parse(vsockit("doctor", "--json").stdout);
    assertMatch(runtime.value, /^bun \d/);
    assertEquals(ffi.ok, true);
  });
  await t.test("ss", () => {
    const { status, stderr } = spawnSync(executable, ["ss"], { encoding: "utf8" });
    if (status !== 0) assertMatch(stderr, /^vsockit ss: .* modprobe vsock(_diag)?\n$/);
  });
  await t.test("cat", () => {
    const listen = '"$0" cat -l -v unix:socket < /dev/null > got 2> said &';
    const wait = "until grep -q listening said; do sleep 0.05; done";
    const send = 'echo hello | "$0" cat unix:socket && wait && cat got';
    const { stdout } = run(folder.path(), ["sh", "-c", `${listen} ${wait}; ${send}`, executable]);
    assertEquals(stdout, "hello\n");
  });
  await t.test("completions", () => {
    assertMatch(vsockit("completions", "bash").stdout, /^complete -F _vsockit vsockit$/m);
  });
});
