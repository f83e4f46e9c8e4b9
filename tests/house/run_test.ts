/** What `deno task test` itself does with files, output and reports. */
import { writeFileSync } from "node:fs";
import { relative } from "node:path";
import { test } from "node:test";
import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { choose } from "../run/choice.ts";
import { onRuntimes } from "../run/commands.ts";
import { executeAll } from "../run/execute.ts";
import { Outputs } from "../run/output.ts";
import type { Run } from "../run/plan.ts";
import { parseReport } from "../run/report.ts";
import { TempFolder } from "../helpers/temp_folder.ts";
import { ROOT } from "./toolchain.ts";

test("choose() takes each file once, however often it is named, and no folder", () => {
  const files = ["tests/unit/a_test.ts", "./tests/unit/b_test.ts", "tests/unit/a_test.ts"];
  assertEquals(choose(files).files, ["tests/unit/a_test.ts", "tests/unit/b_test.ts"]);
  assertThrows(() => choose(["tests/guest"]), RangeError, "current value is tests/guest");
  assertThrows(() => choose(["--support"]), TypeError, "--support must have a FILE");
});

test("Outputs shows each run's output whole, in the order of their beginnings", () => {
  let seen = "";
  const sink = { write: (data: Uint8Array | string): void => void (seen += data) };
  const outputs = new Outputs();
  const [a, b, c] = [outputs.begin(), outputs.begin(), outputs.begin()];
  b.write("b1 ", sink);
  a.write("a1 ", sink);
  assertEquals(seen, "a1 ");
  c.write("c1 ", sink);
  c.end();
  a.write("a2 ", sink);
  a.end();
  assertEquals(seen, "a1 a2 b1 ");
  b.write("b2 ", sink);
  b.end();
  assertEquals(seen, "a1 a2 b1 b2 c1 ");
  const d = outputs.begin();
  d.write("d1 ", sink);
  assertEquals(seen, "a1 a2 b1 b2 c1 d1 ");
  outputs.begin().write("e1", sink);
  outputs.showAll();
  assertEquals(seen, "a1 a2 b1 b2 c1 d1 e1");
});

/** Processes that leave a report of `tests`, and go on as `script`. */
function runs(
  name: string,
  ...scripts: readonly (readonly [tests: string, script: string])[]
): Run[] {
  return scripts.map(([tests, script], index) => ({
    name,
    file: `${index + 1}`,
    command: (report) => ["sh", "-c", `printf '%s' "$2" > "$1"; ${script}`, "sh", report, tests],
  }));
}

/** Leaves a process that has the output open, and that no signal to the group reaches. */
const AWAY = `: "$(setsid sh -c 'sleep 100 >&2 & echo up')"`;
const [PASSED, FAILED] = ['<testcase name="a"/>', '<testcase name="b"><failure/></testcase>'];

test("executeAll() counts what each process says, and the end of one that says too little", {
  timeout: 60_000,
}, async () => {
  const bootless = [
    ...runs("one", [PASSED + FAILED, "exit 1"], [PASSED, "sleep 1000 & exit 0"]),
    ...runs("left", [PASSED, AWAY]),
    ...runs("two", [PASSED + FAILED, "kill -SEGV $$"], [PASSED, "exit 1"], ["", "exit 0"]),
  ];
  const outcomes = await executeAll({ bootless, booting: runs("three", [PASSED, "exit 0"]) });
  const shown = outcomes.map(({ name, tests }) => [name, tests.map(({ name }) => name)]);
  const faults = ["ended with SIGSEGV", "ended with exit code 1", "ran no tests"];
  const [cut, silent, idle] = faults.map((fault, index) => `two, ${index + 1}: ${fault}`);
  assertEquals(shown, [
    ["one", ["a", "b", "a"]],
    ["left", ["a"]],
    ["two", ["a", "b", cut, "a", silent, idle]],
    ["three", ["a"]],
  ]);
});

test("executeAll() gives all processes one place for what Node compiles", {
  timeout: 60_000,
}, async () => {
  const script = `printf '<testcase name="%s"/>' "$NODE_COMPILE_CACHE" > "$1"`;
  const bootless = runs("one", ["", script], ["", script]);
  const [outcome] = await executeAll({ bootless, booting: [] });
  const [first, second] = outcome!.tests.map(({ name }) => name);
  assertStringIncludes(first!, "vsockit-test-");
  assertEquals(first, second);
});

test("onRuntimes() tells of each test in which file it is, where all share a process", {
  timeout: 60_000,
}, async () => {
  const files = ["judge", "table"].map((name) => `tests/unit/bench/${name}_test.ts`);
  const commands = onRuntimes(["deno", "bun", "node"]);
  const bootless = Array.from(commands, ([name, command]) => ({ name, command: command(files) }));
  const outcomes = await executeAll({ bootless, booting: [] });
  for (const { name, tests } of outcomes) {
    const found = new Set(tests.map(({ file, end }) => `${file} ${end}`));
    assertEquals([name, ...found], [name, ...files.map((file) => `${file} passed`)]);
  }
  assertEquals(outcomes.length, 3);
});

test("onRuntimes() has a file fail that cannot be loaded, and runs those behind it", {
  timeout: 60_000,
}, async () => {
  using folder = new TempFolder();
  const file = (name: string, more = ""): string => {
    const path = folder.path(`${name}_test.ts`);
    writeFileSync(path, `import { test } from "node:test";\ntest("${name}", () => {});\n${more}`);
    return relative(ROOT, path);
  };
  const files = [file("first"), file("broken", 'throw new Error("at load");'), file("last")];
  const commands = onRuntimes(["deno", "bun", "node"]);
  const bootless = Array.from(commands, ([name, command]) => ({ name, command: command(files) }));
  for (const { name, tests } of await executeAll({ bootless, booting: [] })) {
    const passed = tests.filter(({ end }) => end === "passed").map((found) => found.name);
    assertEquals([name, ...passed].filter((word) => word !== "broken"), [name, "first", "last"]);
    assertEquals([name, tests.some(({ end }) => end === "failed")], [name, true]);
  }
});

test("onRuntimes() has a process end whose test goes on after its time", {
  timeout: 60_000,
}, async () => {
  using folder = new TempFolder();
  const path = folder.path("poll_test.ts");
  const lines = [
    'import { test } from "node:test";',
    'test("polls", { timeout: 100 }, async () => {',
    "  for (;;) await new Promise((resolve) => setTimeout(resolve, 1));",
    "});",
    'test("next", () => {});',
    "const { setTimeout: after } = globalThis;",
    "globalThis.setTimeout = (f, ms) => after(f, Math.min(ms, 2_000));", // the runner has it, too
  ];
  writeFileSync(path, lines.join("\n"));
  const commands = onRuntimes(["deno", "bun", "node"]);
  const files = [relative(ROOT, path)];
  const bootless = Array.from(commands, ([name, command]) => ({ name, command: command(files) }));
  for (const { name, tests } of await executeAll({ bootless, booting: [] })) {
    const ends = tests.map((found) => `${found.name} ${found.end}`);
    assertEquals([name, ...ends], [name, "polls failed", "next passed"]);
  }
});

test("parseReport() reads what Deno, Bun and Node say of a test", () => {
  const deno = `<testcase name="a &lt; b" classname="./tests/unit/a_test.ts" time="0.1" line="3">
    <failure message="no">why</failure></testcase>`;
  const bun = `<testcase name="it&apos;s" classname="" file="tests/unit/b_test.ts" line="3" />`;
  const node = `<testcase name="c -> d" classname="test" file="/top/tests/unit/c_test.ts">
    <skipped type="skipped" message="none"/></testcase>`;
  assertEquals(parseReport(`<testsuites>${deno}${bun}${node}</testsuites>`), [
    { name: "a < b", file: "tests/unit/a_test.ts", end: "failed" },
    { name: "it's", file: "tests/unit/b_test.ts", end: "passed" },
    { name: "c -> d", file: "tests/unit/c_test.ts", end: "skipped" },
  ]);
});
