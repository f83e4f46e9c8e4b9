import { execFile } from "node:child_process";
import process from "node:process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { assertEquals } from "@std/assert";
import { LoopHold } from "../../src/loop_hold.ts";

const CHILD = fileURLToPath(new URL("./loop_hold_child.ts", import.meta.url));
const RUN = process.versions["deno"] === undefined ? [] : ["run", "-A", "--no-check"];

/** What the child prints before it ends of its own accord. */
function runChild(name: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const args = [...RUN, CHILD, name];
    execFile(process.execPath, args, (error, stdout) => error ? reject(error) : resolve(stdout));
  });
}

test("LoopHold keeps the process alive until the last release()", { timeout: 60_000 }, async () => {
  assertEquals(await runChild("held"), "the last one releases\n");
});

test("LoopHold lets the process end after the last release()", { timeout: 60_000 }, async () => {
  assertEquals(await runChild("released"), "");
});

test("LoopHold holds again after it was disposed", { timeout: 60_000 }, async () => {
  assertEquals(await runChild("held again"), "the last one releases\n");
});

test("LoopHold.holders counts those who wait", () => {
  using hold = new LoopHold();
  hold.acquire();
  hold.acquire();
  assertEquals(hold.holders, 2);
  hold.release();
  assertEquals(hold.holders, 1);
  hold.release();
  assertEquals(hold.holders, 0);
});
