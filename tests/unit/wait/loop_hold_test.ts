import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { LoopHold } from "../../../src/wait/loop_hold.ts";
import { runChild } from "../../helpers/child.ts";

const CHILD = new URL("./loop_hold_child.ts", import.meta.url);

test("LoopHold keeps the process alive until the last release()", { timeout: 60_000 }, async () => {
  assertEquals(await runChild(CHILD, ["held"]), "the last one releases\n");
});

test("LoopHold lets the process end after the last release()", { timeout: 60_000 }, async () => {
  assertEquals(await runChild(CHILD, ["released"]), "");
});

test("LoopHold holds again after it was disposed", { timeout: 60_000 }, async () => {
  assertEquals(await runChild(CHILD, ["held again"]), "the last one releases\n");
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
