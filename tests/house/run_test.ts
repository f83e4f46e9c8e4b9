/** What `deno task test` itself does with files, output and reports. */
import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { Outputs } from "../run/output.ts";
import { deal } from "../run/plan.ts";
import { parseReport } from "../run/report.ts";

test("deal() gives each file to one hand, neighbours to different ones", () => {
  assertEquals(deal(["a", "b", "c", "d", "e"], 2), [["a", "c", "e"], ["b", "d"]]);
  assertEquals(deal(["a", "b"], 8), [["a"], ["b"]]);
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
  d.write("d1", sink);
  assertEquals(seen, "a1 a2 b1 b2 c1 d1");
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
