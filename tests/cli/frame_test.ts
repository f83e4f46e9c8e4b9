import { test } from "node:test";
import { assertEquals, assertMatch } from "@std/assert";
import { FLAGS } from "../../src/cli/perf/options.ts";
import { vsockit } from "./captured.ts";

test("main() prints the list of commands for --help, -h and help", async () => {
  for (const word of ["--help", "-h", "help"]) {
    const { code, out, err } = await vsockit([word]);
    assertEquals([code, err], [0, ""]);
    assertMatch(out, /^Usage: vsockit COMMAND/);
    assertMatch(out, /^ {2}perf +measure/m);
  }
});

test("main() ends with 2 where no command is named, and prints the list as an error", async () => {
  const { code, out, err } = await vsockit([]);
  assertEquals([code, out], [2, ""]);
  assertMatch(err, /^Usage: vsockit COMMAND/);
});

test("main() ends with 2 for a command that it does not know", async () => {
  const { code, out, err } = await vsockit(["perv"]);
  assertEquals([code, out], [2, ""]);
  assertEquals(err, "vsockit: Unknown command: perv\nvsockit --help lists the commands\n");
  const { err: option } = await vsockit(["--verison"]);
  assertEquals(option, "vsockit: Unknown option: --verison\nvsockit --help lists the commands\n");
});

test("main() explains a command by --help, wherever it stands", async () => {
  const { code, out, err } = await vsockit(["perf", "-z", "y", "--help"]);
  assertEquals([code, err], [0, ""]);
  for (const { name } of FLAGS) assertMatch(out, new RegExp(`--${name}\\b`));
  for (const letter of "cmbrvsz") assertMatch(out, new RegExp(`^ {2}-${letter}, `, "m"));
  assertMatch(out, /Exit codes: 0 done, 1 failed.*, 2 wrong usage/);
  assertEquals(out.split("\n").filter(({ length }) => length > 80), []);
});

test("main() ends with 2 for a wrong option, names it and starts nothing", async () => {
  const { code, out, err } = await vsockit(["perf", "-m", "0"]);
  assertEquals([code, out], [2, ""]);
  assertEquals(
    err,
    "vsockit perf: Cannot use --megabytes: must be a whole number, alone or with K, M or G behind " +
      "it, of 1 to 9007199254740991 bytes: current value is 0\nvsockit perf --help lists the options\n",
  );
});

test("main() explains each command, in lines that fit a terminal", async () => {
  const { out: list } = await vsockit(["--help"]);
  const names = Array.from(list.matchAll(/^ {2}(\w+) {2,}\w/gm), ([, name = ""]) => name);
  assertEquals(names, ["perf", "test", "cat", "proxy", "device", "ss", "doctor", "completions"]);
  for (const name of names) {
    const { code, out, err } = await vsockit([name, "--help"]);
    assertEquals([code, err], [0, ""]);
    assertMatch(out, new RegExp(`^Usage: vsockit ${name} `));
    assertMatch(out, /^Exit codes: 0 \w+, /m);
    assertEquals(out.split("\n").filter(({ length }) => length > 80), []);
  }
});
