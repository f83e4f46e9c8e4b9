import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { Fifo } from "../../src/vhost_user/fifo.ts";

const COUNT = 1_000;

test("Fifo gives all in their order, whatever it has cleared away meanwhile", () => {
  const fifo = new Fifo<number>();
  let [next, last] = [0, 0];
  for (const [pushes, drops] of [[COUNT, 100], [1, COUNT - 200], [COUNT, COUNT + 50]] as const) {
    for (let i = 0; i < pushes; i++) fifo.push(last++);
    for (let i = 0; i < drops; i++) {
      assertEquals([fifo.first, fifo.length], [next, last - next]);
      fifo.drop();
      next++;
    }
  }
  assertEquals(fifo.clear(), Array.from({ length: last - next }, (_, i) => next + i));
  assertEquals([fifo.length, fifo.first, fifo.clear()], [0, undefined, []]);
});
