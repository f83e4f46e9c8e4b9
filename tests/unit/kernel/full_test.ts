import { test } from "node:test";
import { assertEquals, assertStrictEquals } from "@std/assert";
import { openTcp } from "../../../src/kernel/tcp_unix.ts";
import { uring } from "../../../src/kernel/uring.ts";
import { runWithFewDescriptors } from "../../helpers/child.ts";

test("uring(), openTcp() and WholeSend look again after a moment without descriptors", {
  timeout: 60_000,
}, () => {
  const shown = runWithFewDescriptors(new URL("./full_child.ts", import.meta.url));
  const ring = uring() !== null;
  const later = [ring, openTcp("127.0.0.1").capabilities.mapRx, ring];
  assertEquals(shown, `${JSON.stringify({ full: [false, false, false], later })}\n`);
});

test("uring() and openTcp() remember what they have found", () => {
  assertStrictEquals(uring(), uring());
  assertStrictEquals(openTcp("127.0.0.1"), openTcp("127.0.0.1"));
});
