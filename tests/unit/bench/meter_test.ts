import { createHash } from "node:crypto";
import { test } from "node:test";
import { assertEquals, assertGreater } from "@std/assert";
import type { Flow } from "../../../bench/flow.ts";
import { heapPerCall } from "../../../bench/heap.ts";
import { Inbox } from "../../../bench/inbox.ts";
import { Meter } from "../../../bench/meter.ts";

const FLOW: Flow = {
  way: "copy",
  bytes: 10,
  warmupBytes: 4,
  chunkBytes: 5,
  creditBytes: 0,
  touch: true,
  hash: true,
};

test("Meter counts bytes and takes, and hashes all of them", () => {
  const meter = new Meter(FLOW);
  const chunk = Uint8Array.of(1, 2, 3, 4, 5);
  meter.take(chunk);
  const start = performance.now();
  while (performance.now() === start);
  meter.take(chunk);
  const { bytes, takes, bytesPerSecond, sha256 } = meter.result();
  assertEquals([bytes, takes], [10, 2]);
  assertEquals(sha256, createHash("sha256").update(chunk).update(chunk).digest("hex"));
  assertGreater(bytesPerSecond, 0);
  assertEquals(Number.isFinite(bytesPerSecond), true);
});

test("Inbox gives bytes in order, whoever comes first, and keeps what does not fit", async () => {
  const inbox = new Inbox();
  const buffer = new Uint8Array(2);
  const early = inbox.read(buffer);
  inbox.push(Uint8Array.of(1, 2, 3));
  inbox.push(Uint8Array.of(4));
  const got: number[][] = [];
  got.push([...buffer.subarray(0, await early)]);
  got.push([...buffer.subarray(0, await inbox.read(buffer))]);
  got.push([...buffer.subarray(0, await inbox.read(buffer))]);
  assertEquals(got, [[1, 2], [3], [4]]);
});

test("heapPerCall() sees an object per call", { timeout: 60_000 }, () => {
  const kept: unknown[] = [];
  assertGreater(heapPerCall(() => kept[0] = { bytes: kept.length, more: 1 }), 8);
});
