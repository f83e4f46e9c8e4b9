import { test } from "node:test";
import { assertEquals, assertThrows } from "@std/assert";
import { parseOptions } from "../../../bench/options.ts";

const NAMES = ["copy", "zerocopy", "ffi"];

test("parseOptions() takes everything where nothing is given", () => {
  const { runtimes, only, json } = parseOptions([], () => NAMES);
  assertEquals([runtimes, only, json], [["deno", "bun", "node"], NAMES, undefined]);
});

test("parseOptions() narrows, in the order of the table", () => {
  const args = ["--only", "ffi", "--only", "copy", "--runtime", "bun", "--json", "out.json"];
  const { runtimes, only, json } = parseOptions(args, () => NAMES);
  assertEquals([runtimes, only, json], [["bun"], ["copy", "ffi"], "out.json"]);
});

test("parseOptions() refuses what is neither an option nor a name", () => {
  assertThrows(() => parseOptions(["--fast"], () => NAMES), TypeError, "--fast is no option");
  assertThrows(() => parseOptions(["copy"], () => NAMES), TypeError, "copy is no option");
  assertThrows(
    () => parseOptions(["--only", "tcp"], () => NAMES),
    RangeError,
    "current value is tcp",
  );
  assertThrows(
    () => parseOptions(["--runtime", "qjs"], () => NAMES),
    RangeError,
    "current value is qjs",
  );
});
