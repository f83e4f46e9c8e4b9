import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { StackNode } from "../../../src/stack/node.ts";

/** A node whose sleeps take no time. */
class Sleeper extends StackNode {
  readonly slept: number[] = [];

  override block(ready: () => number, timeoutMs: number): number {
    return this.blockBy((ms) => void this.slept.push(ms), ready, timeoutMs);
  }
}

test("StackNode.block() does not sleep where a deadline passes while it looks", () => {
  let time = 0;
  const clock = { now: () => time, after: () => () => {} };
  const node = new Sleeper({ cids: [2], firstPort: 1_024, clock });
  const ran: number[] = [];
  node.stack.after(10, () => ran.push(time));
  const look = (): number => {
    time += 15; // a guest has sent much
    return ran.length;
  };
  assertEquals([node.block(look, 100), node.slept, ran], [1, [0], [15]]);
});
