import { test } from "node:test";
import { assertEquals, assertThrows } from "@std/assert";
import { describeFlags, type Flag, flag, optionsOf } from "../../../src/cli/args/flags.ts";
import { parseFlags, parseLine, splitLetters } from "../../../src/cli/args/line.ts";
import { UsageError } from "../../../src/cli/args/values.ts";

const FLAGS: readonly Flag[] = [
  flag("-b, --buffer SIZE", "how much"),
  flag("--file PATH", "from where\nand more"),
  flag("-s, --server", "listen"),
  flag("-v, --verbose", "say more"),
  flag("--json", "as JSON"),
  flag("--skip ID", "leave out", { many: true }),
];

function parse(...args: string[]): Record<string, string | readonly string[] | true> {
  return Object.fromEntries(parseFlags(FLAGS, args));
}

test("flag() takes name, letter and value from how it is written", () => {
  const { name, short, value, path, choices } = flag("-g, --guest-cid CID:SOCKET[:UDS]", "");
  assertEquals([name, short, value], ["guest-cid", "g", "CID:SOCKET[:UDS]"]);
  assertEquals([path, choices], [false, undefined]);
  assertEquals(FLAGS.map(({ path }) => path), [false, true, false, false, false, false]);
  assertEquals(flag("--mode client|server", "").choices, ["client", "server"]);
});

test("parseFlags() takes a value in each of the usual forms", () => {
  for (
    const args of [["-b", "4K"], ["-b4K"], ["-b=4K"], ["--buffer", "4K"], ["--buffer=4K"]]
  ) {
    assertEquals(parse(...args), { buffer: "4K" });
  }
});

test("parseFlags() gives flags without a value as true, and nothing for those left out", () => {
  assertEquals(parse("-s", "--json"), { server: true, json: true });
  assertEquals(parse(), {});
});

test("parseFlags() takes letters that are joined, a value behind the last", () => {
  assertEquals(parse("-sv"), { server: true, verbose: true });
  for (const args of [["-svb4K"], ["-vsb", "4K"], ["-vsb=4K"]]) {
    assertEquals(parse(...args), { server: true, verbose: true, buffer: "4K" });
  }
  assertEquals(parse("-bsv"), { buffer: "sv" });
  assertThrows(() => parse("-sx"), UsageError, "Unknown option: -x");
});

test("parseFlags() refuses every option that is not in the list, whatever it is called", () => {
  for (const option of ["--_", "--_=x", "--__proto__", "--no-server", "--server.x", "---", "-5"]) {
    assertThrows(() => parse(option), UsageError, `Unknown option: ${option}`);
  }
});

test("splitLetters() leaves alone what is joined to nothing, and what is no flag", () => {
  const alone = ["-s", "-b4K", "--server", "-", "-5", "-xs", "-s=1", "sv"];
  assertEquals(splitLetters(FLAGS, alone), alone);
  assertEquals(splitLetters(FLAGS, ["-vsh", "--", "-sv"]), ["-v", "-s", "-h", "--", "-sv"]);
});

test("parseFlags() keeps values as they are written", () => {
  assertEquals(parse("-b", "-5"), { buffer: "-5" });
  assertEquals(parse("-b-5"), { buffer: "-5" });
  assertEquals(parse("--buffer=0x10"), { buffer: "0x10" });
  assertEquals(parse("--buffer="), { buffer: "" });
  assertEquals(parse("--file", "a=b c"), { file: "a=b c" });
  assertEquals(parse("--file=true"), { file: "true" });
});

test("parseFlags() lets the last one count", () => {
  assertEquals(parse("-b", "1", "--buffer=2"), { buffer: "2" });
});

test("parseFlags() lists the values of a flag that may be given several times", () => {
  assertEquals(parse("--skip", "1", "--json", "--skip=2,3"), { skip: ["1", "2,3"], json: true });
  assertEquals(parse("--skip="), { skip: [""] });
});

test("parseFlags() refuses flags that are not in the list", () => {
  for (
    const arg of [
      "--bufer",
      "-x",
      "--no-json",
      "--json.a=1",
      "--__proto__=1",
      "-5",
      "--constructor",
    ]
  ) {
    assertThrows(() => parse(arg), UsageError, "nknown option");
  }
});

test("parseFlags() refuses operands, before and behind --", () => {
  assertThrows(() => parse("4K"), UsageError, "Unexpected operand: 4K");
  assertThrows(() => parse("-"), UsageError, "Unexpected operand: -");
  assertThrows(() => parse("--", "4K"), UsageError, "Unexpected operand: 4K");
});

test("parseFlags() refuses a flag whose value is missing", () => {
  for (const args of [["-b"], ["--buffer"], ["-b", "--json"], ["--file", "-s"]]) {
    assertThrows(() => parse(...args), UsageError, "must have a value");
  }
});

test("parseFlags() refuses a value for a flag that takes none", () => {
  assertThrows(() => parse("--json=yes"), UsageError, "must have no value");
  assertThrows(() => parse("-s=1"), UsageError, "must have no value");
  assertThrows(() => parse("-s1"), UsageError, "must have no value");
  assertThrows(() => parse("-s-v"), UsageError, "must have no value");
});

test("parseLine() takes operands as they are written, in order", () => {
  const { given, operands } = parseLine(FLAGS, ["7", "-s", "2:10", "--", "-b", "--json"]);
  assertEquals([...given], [["server", true]]);
  assertEquals(operands, ["7", "2:10", "-b", "--json"]);
});

test("optionsOf() gives the short form before the long one", () => {
  assertEquals(FLAGS.slice(0, 2).map(optionsOf), [["-b", "--buffer"], ["--file"]]);
});

test("describeFlags() aligns the help of every flag", () => {
  assertEquals(
    describeFlags(FLAGS),
    "  -b, --buffer SIZE  how much\n" +
      "      --file PATH    from where\n" +
      "                     and more\n" +
      "  -s, --server       listen\n" +
      "  -v, --verbose      say more\n" +
      "      --json         as JSON\n" +
      "      --skip ID      leave out\n" +
      "  -h, --help         print this\n",
  );
});
