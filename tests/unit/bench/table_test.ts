import { test } from "node:test";
import { assertEquals } from "@std/assert";
import type { Row } from "../../../bench/bench.ts";
import { formatLine, formatNumber, formatTable } from "../../../bench/table.ts";

const RATIO: Row = {
  name: "copy",
  what: "copy",
  ours: 12.345,
  peer: 2,
  peerIs: "AF_UNIX",
  ratio: 6.1725,
  unit: "GB/s",
  target: { atLeast: 4 },
  met: true,
  oursRounds: [12.345],
  note: "buffer size 4 MiB",
};
const ALONE: Row = {
  name: "memory",
  what: "RSS growth",
  ours: 70,
  unit: "MiB",
  target: { atMost: 64 },
  met: false,
  oursRounds: [70],
};

test("formatTable() shows values with units, ratio, target and verdict, then each note once", () => {
  const runtimes = ["deno 2.9.6", "bun 1.4.5"];
  const [first, ...rest] = formatTable(
    runtimes.map((runtime) => ({ runtime, rows: [RATIO, ALONE], missing: [] })),
  )
    .trim().split("\n\n");
  assertEquals(
    first,
    [
      "deno 2.9.6",
      "what             ours  peer                 ratio  target          met",
      "copy        12.3 GB/s  2.00 GB/s (AF_UNIX)  6.17x  at least 4x     yes",
      "RSS growth   70.0 MiB  -                        -  at most 64 MiB  NO",
    ].join("\n"),
  );
  assertEquals(rest[0]?.startsWith("bun 1.4.5\n"), true);
  assertEquals(rest[1], "copy: buffer size 4 MiB");
});

test("formatTable() leaves target and verdict open where there is none", () => {
  const { target: _, met: __, note: ___, ...row } = RATIO;
  const report = { runtime: "node 26", rows: [row], missing: [] };
  const line = formatTable([report]).trimEnd().split("\n").at(-1);
  assertEquals(line, "copy  12.3 GB/s  2.00 GB/s (AF_UNIX)  6.17x  -       -");
});

test("formatTable() says below a table what could not be measured", () => {
  const reports = [
    { runtime: "bun 1.4.5", rows: [ALONE], missing: ["copy", "ffi"] },
    { runtime: "node 26", rows: [ALONE], missing: [] },
  ];
  const ends = formatTable(reports).trim().split("\n\n").map((table) => table.split("\n").at(-1));
  assertEquals(ends[0], "NOT measured: copy, ffi");
  assertEquals(ends[1]?.startsWith("RSS growth "), true);
});

test("formatLine() has the ratio, or the value, and says so where that is not enough", () => {
  assertEquals([RATIO, ALONE].map(formatLine), ["copy 6.17x", "memory 70.0 MiB, NOT met"]);
});

test("formatNumber() keeps three digits, and all of those before the point", () => {
  const numbers = [0.004, 1.005, 9.876, 98.76, 595113.4].map(formatNumber);
  assertEquals(numbers, ["0.00", "1.00", "9.88", "98.8", "595113"]);
});
