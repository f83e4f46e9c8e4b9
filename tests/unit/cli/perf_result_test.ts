import { test } from "node:test";
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { runtimeName } from "../../../ffi/versions.ts";
import type { Plan } from "../../../src/cli/perf/plan.ts";
import { combine, type Received, type Transmitted } from "../../../src/cli/perf/result.ts";
import { watch, type Watched } from "../../../src/cli/perf/watch.ts";

const plan: Plan = {
  mode: "copy",
  transport: "loopback",
  type: "stream",
  port: 1234,
  bytes: 1_000_000,
  bufferBytes: 4096,
  rcvlowatBytes: 2048,
  creditBytes: 65_536,
  txBufferBytes: 500_000,
  verify: true,
};
const sent: Transmitted = { bytes: 1_000_000, seconds: 0.5, sendSeconds: 0.25, sha256: "ab" };
const received: Received = {
  bytes: 1_000_000,
  seconds: 0.8,
  cpuSeconds: 0.7,
  dequeueSeconds: 0.2,
  mappedBytes: 0,
  wakeups: 250,
  sha256: "ab",
  clockNs: 40,
};

test("combine() gives the documented fields", () => {
  assertEquals(combine(plan, sent, received), {
    mode: "copy",
    transport: "loopback",
    runtime: runtimeName(),
    type: "stream",
    bytes: 1_000_000,
    buffer_bytes: 4096,
    rcvlowat_bytes: 2048,
    credit_bytes: 65_536,
    tx_buffer_bytes: 500_000,
    tx_seconds: 0.5,
    send_seconds: 0.25,
    rx_seconds: 0.8,
    rx_cpu_seconds: 0.7,
    dequeue_seconds: 0.2,
    wakeups: 250,
    ns_per_wakeup: 800_000,
    rx_gbit_per_s: 0.01,
    clock_ns: 40,
    sha256: "ab",
  });
});

test("combine() tells which part was copied after all, where any was to be lent", () => {
  const lent = { ...sent, copiedBytes: 250_000 };
  assertEquals(combine(plan, lent, received).tx_copied_share, 0.25);
});

test("combine() has no sha256 without one", () => {
  const { sha256: _sent, ...bareSent } = sent;
  const { sha256: _received, ...bareReceived } = received;
  assertEquals("sha256" in combine(plan, bareSent, bareReceived), false);
});

test("combine() refuses ends that did not see all the bytes", () => {
  const short = { ...received, bytes: 999_999 };
  assertThrows(() => combine(plan, sent, short), Error, "receiver got 999999");
  const little = { ...sent, bytes: 7 };
  assertThrows(() => combine(plan, little, received), Error, "transmitter sent 7");
});

test("combine() refuses hashes that differ", () => {
  const other = { ...received, sha256: "cd" };
  assertThrows(() => combine(plan, sent, other), Error, "The data is damaged");
});

test("watch() rejects once nothing has moved for so long", { timeout: 60_000 }, async () => {
  let ticks = 0;
  const control = { begun: 2, sent: 4096, received: 1024 };
  const watching = watch(control, control, () => void ticks++, 250);
  try {
    await assertRejects(() => watching.stalled, Error, "4096 bytes sent, 1024 received");
  } finally {
    watching.stop();
  }
  assertEquals(ticks >= 2, true);
});

test("watch() goes on as long as bytes move", { timeout: 60_000 }, async () => {
  for (const part of ["received", "warm-up"] as const) {
    const [control, warmUp] = [{ ...NOTHING }, { ...NOTHING }];
    const moving = part === "received" ? control : warmUp;
    await watched(control, warmUp, () => void moving.received++);
  }
});

test("watch() does not count what its ends take to begin", { timeout: 60_000 }, async () => {
  await watched({ ...NOTHING, begun: 1 }, NOTHING, () => {});
});

test("watch() rejects once an end has not begun for so long", { timeout: 60_000 }, async () => {
  const watching = watch({ ...NOTHING, begun: 1 }, NOTHING, () => {}, Infinity, 250);
  try {
    await assertRejects(() => watching.stalled, Error, "Only 1 of 2 Workers began in 0.25 s");
  } finally {
    watching.stop();
  }
});

const NOTHING: Watched = { begun: 2, sent: 0, received: 0 };

/** Fails where `watch()` takes it for stalled, in a second. */
async function watched(control: Watched, warmUp: Watched, onTick: () => void): Promise<void> {
  const enough = Promise.withResolvers<void>();
  let ticks = 0;
  const watching = watch(control, warmUp, () => {
    onTick();
    if (++ticks === 10) enough.resolve();
  }, 350);
  try {
    await Promise.race([enough.promise, watching.stalled]);
  } finally {
    watching.stop();
  }
}
