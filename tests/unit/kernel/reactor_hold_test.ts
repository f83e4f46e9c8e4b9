import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { Hold, isHeld } from "../../../src/kernel/reactor.ts";

test("Hold keeps the process alive while some of its waits last", () => {
  const [one, other] = [new Hold(), new Hold()];
  const seen = [isHeld()];
  for (const hold of [one, one, other]) {
    hold.acquire();
    seen.push(isHeld());
  }
  for (const hold of [one, other, one]) {
    hold.release();
    seen.push(isHeld());
  }
  assertEquals(seen, [false, true, true, true, true, true, false]);
});

test("Hold.unref() and ref() are for the waits that are pending too, each of them once", () => {
  const hold = new Hold();
  hold.acquire();
  hold.acquire();
  hold.unref();
  hold.unref();
  assertEquals(isHeld(), false);
  hold.acquire();
  assertEquals(isHeld(), false);
  hold.ref();
  hold.ref();
  const seen = [isHeld()];
  for (let wait = 0; wait < 3; wait++) {
    hold.release();
    seen.push(isHeld());
  }
  assertEquals(seen, [true, true, true, false]);
});

test("Hold.ref() holds for none of the waits that are over", () => {
  const [hold, other] = [new Hold(), new Hold()];
  hold.unref();
  hold.acquire();
  hold.release();
  hold.ref();
  const seen = [isHeld()];
  other.acquire();
  seen.push(isHeld());
  other.release();
  assertEquals([...seen, isHeld()], [false, true, false]);
});
