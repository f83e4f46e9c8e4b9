import process from "node:process";
import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { Progress } from "../../../src/cli/perf/progress.ts";
import { processTerminal, type Terminal } from "../../../src/cli/output/terminal.ts";

function draw(of: Partial<Terminal>, done: number): string {
  let drawn = "";
  const terminal: Terminal = {
    out: (): void => {},
    err: (text: string): void => void (drawn += text),
    interactive: true,
    color: false,
    columns: 80,
    ...of,
  };
  new Progress(terminal).draw("copy", done);
  return drawn;
}

test("Progress draws a bar over the same line of a terminal", () => {
  assertEquals(draw({}, 0.5), `\r\x1b[Kcopy [${"#".repeat(20)}${".".repeat(20)}] 50%`);
  assertEquals(draw({ columns: 22 }, 1), `\r\x1b[Kcopy [${"#".repeat(10)}]100%`);
});

test("Progress has no colour where the terminal wants none", () => {
  assertEquals(draw({ color: true }, 0.5).includes("\x1b[32m"), true);
  assertEquals(draw({ color: false }, 0.5).includes("\x1b[32m"), false);
});

test("Progress draws nothing where there is no terminal, or no room", () => {
  assertEquals(draw({ interactive: false }, 0.5), "");
  assertEquals(draw({ columns: 10 }, 0.5), "");
});

test("processTerminal() tells the width that the terminal has now", () => {
  const terminal = processTerminal();
  const before = Object.getOwnPropertyDescriptor(process.stderr, "columns");
  try {
    for (const columns of [33, 120]) {
      Object.defineProperty(process.stderr, "columns", { value: columns, configurable: true });
      assertEquals(terminal.columns, columns);
    }
  } finally {
    if (before === undefined) Reflect.deleteProperty(process.stderr, "columns");
    else Object.defineProperty(process.stderr, "columns", before);
  }
});
