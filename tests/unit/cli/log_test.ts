/**
 * The logs of commands that serve: whatever somebody else does, they are short, and never block.
 */
import { closeSync, openSync } from "node:fs";
import { test } from "node:test";
import { assertEquals, assertMatch } from "@std/assert";
import { type Entry, textLog } from "../../../src/cli/device/log.ts";
import { jsonLog } from "../../../src/cli/output/log.ts";
import { printer } from "../../../src/cli/output/printer.ts";
import { textLog as proxyLog } from "../../../src/cli/proxy/log.ts";
import { Repeats } from "../../../src/cli/output/repeats.ts";
import type { Terminal } from "../../../src/cli/output/terminal.ts";

const REFUSAL: Entry = { event: "refuse", cid: 3, port: 9, from: "guest", reason: "no" };

/** A terminal that has room or not, or is a disk without any, and the lines it was given. */
function reader(): { terminal: Terminal; lines: string[]; room: boolean; disk: boolean } {
  const take = (text: string): void => {
    if (read.disk) read.lines.push(...text.split("\n").slice(0, -1));
  };
  const read = {
    ...{ lines: [] as string[], room: true, disk: true },
    terminal: {
      ...{ out: take, err: take, ready: (): boolean => read.room },
      refused: (): boolean => !read.disk,
      ...{ interactive: false, color: false, columns: 80 },
    },
  };
  return read;
}

test("jsonLog() loses lines that nobody reads, and tells how many", () => {
  const read = reader();
  const log = jsonLog(read.terminal);
  log({ event: "one" });
  read.room = false;
  for (let count = 0; count < 1_000; count++) log({ event: "lost one" });
  assertEquals(read.lines.length, 1);
  read.room = true;
  log({ event: "two" });
  log({ event: "three" });
  const entries = read.lines.map((line) => JSON.parse(line));
  assertEquals(entries.map(({ event }) => event), ["one", "lost", "two", "three"]);
  assertEquals(entries[1].count, 1_000);
});

test("jsonLog() counts the lines that a full disk has refused", () => {
  const read = reader();
  const log = jsonLog(read.terminal);
  read.disk = false;
  for (let count = 0; count < 3; count++) log({ event: "lost one" });
  read.disk = true;
  log({ event: "two" });
  const entries = read.lines.map((line) => JSON.parse(line));
  assertEquals(entries.map(({ event, count }) => [event, count]), [["lost", 3], [
    "two",
    undefined,
  ]]);
});

test("printer() tells of what a full disk refuses, at once and by an event", () => {
  const fd = openSync("/dev/full", "w");
  try {
    const failures: unknown[] = [];
    const emit = (_event: unknown, error: unknown): boolean => failures.push(error) > 0;
    const full = printer({ isTTY: false as true, write: () => true, emit }, fd);
    full.print("line\n");
    assertEquals([full.refused, failures.length], [true, 1]);
  } finally {
    closeSync(fd);
  }
});

test("textLog() of device and of proxy lose lines that nobody reads", () => {
  for (const open of [textLog, (terminal: Terminal) => proxyLog(terminal, true)]) {
    const read = reader();
    const log = open(read.terminal);
    read.room = false;
    for (const cut of [1, 2]) log({ event: "stop", cut });
    read.room = true;
    log({ event: "stop", cut: 3 });
    assertEquals(read.lines, [
      "lines lost, since nobody read them: 2",
      "stopped: 3 connections cut",
    ]);
  }
});

test("textLog() of proxy names the CID that is any", () => {
  const read = reader();
  const log = proxyLog(read.terminal, false);
  for (const address of ["4294967295:80", "14294967295:80", "/4294967295:1"]) {
    log({ event: "listen", address });
  }
  assertEquals(
    read.lines,
    ["any:80", "14294967295:80", "/4294967295:1"].map((at) => `listening on ${at}`),
  );
});

test("textLog() says of how many refusals one is the last", () => {
  const read = reader();
  textLog(read.terminal)({ ...REFUSAL, count: 7 });
  proxyLog(read.terminal, false)({ event: "refuse", id: 9, peer: "p", target: "t", count: 8 });
  assertMatch(read.lines[0]!, /^guest 3 to host port 9 refused, the last of 7 in a second: no$/);
  assertMatch(read.lines[1]!, /^#9 p refused, the last of 8 in a second: its target is t$/);
});

test("Repeats tells the first of a key at once, and the others once a second", async () => {
  const told: unknown[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  const repeats = new Repeats<{ n: number }>((entry) => {
    if (told.push(entry) === 3) resolve();
  });
  using _held = holdLoop();
  for (let n = 0; n < 1_000; n++) repeats.tell("a", { n });
  repeats.tell("b", { n: 7 });
  assertEquals(told, [{ n: 0 }, { n: 7 }]);
  await promise;
  assertEquals(told[2], { n: 999, count: 999 });
  repeats.tell("a", { n: -1 });
  repeats.tell("b", { n: -2 });
  assertEquals(told.slice(3), [{ n: -2 }], "a has not ended yet");
  repeats[Symbol.dispose]();
  assertEquals(told.slice(4), [{ n: -1 }]);
  repeats.tell("a", { n: 1 });
  assertEquals(told.slice(5), [{ n: 1 }]);
  repeats[Symbol.dispose]();
});

/** Its timers hold no event loop. */
function holdLoop(): Disposable {
  const timer = setInterval(() => {}, 1_000);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
