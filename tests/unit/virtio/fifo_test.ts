import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { Fifo } from "../../../src/virtio/fifo.ts";

const COUNT = 1_000;

test("Fifo holds nothing of what has left it", () => {
  const fifo = new Fifo<number>();
  fifo.push(7);
  fifo.drop();
  assertEquals(fifo.at(-1), undefined);
});

test("Fifo gives all in their order, whatever it has cleared away meanwhile", () => {
  const fifo = new Fifo<number>();
  let [next, last] = [0, 0];
  for (const [pushes, drops] of [[COUNT, 100], [1, COUNT - 200], [COUNT, COUNT + 50]] as const) {
    for (let i = 0; i < pushes; i++) fifo.push(last++);
    for (let i = 0; i < drops; i++) {
      assertEquals([fifo.first, fifo.length], [next, last - next]);
      assertEquals([fifo.at(0), fifo.at(last - next - 1), fifo.last], [next, last - 1, last - 1]);
      assertEquals(fifo.at(last - next), undefined);
      fifo.drop();
      next++;
    }
  }
  assertEquals(fifo.clear(), Array.from({ length: last - next }, (_, i) => next + i));
  assertEquals([fifo.length, fifo.first, fifo.last, fifo.clear()], [0, undefined, undefined, []]);
});
