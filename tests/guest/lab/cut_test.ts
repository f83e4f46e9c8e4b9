/** A flow that ends anywhere: what a receiver of mapped pages gets is what was sent, up to there. */
import { Buffer } from "node:buffer";
import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { SHUT_WR } from "../../../ffi/abi/socket.ts";
import { SysError } from "../../../ffi/errno.ts";
import type { KernelSocket } from "../../../src/kernel/socket.ts";
import { seeded } from "../../../src/loopback/random.ts";
import type { Batch } from "../../../src/receive/batch.ts";
import { openReceiver } from "../../../src/receive/receiver.ts";
import { WOULD_BLOCK } from "../../../src/socket.ts";
import { openPair } from "./pair.ts";

const ROUNDS = 1_000;
const MOST = 200_000;
const PAGES = 16;
const seed = Math.floor(Math.random() * 2 ** 32);
const random = seeded(seed);
const below = (limit: number): number => Math.floor(random() * limit);
const PATTERN = Uint8Array.from({ length: MOST }, (_, at) => at * 31 + (at >> 8));

/** How the sender ends. */
type End = "shutdown" | "close" | "reset";

/** Compares what a batch brought with what was sent at that place: its length. */
function check(batch: Batch, at: number): number {
  for (const { data } of batch) {
    const sent = PATTERN.subarray(at, at + data.length);
    assertEquals(Buffer.compare(data, sent), 0, `seed ${seed}: bytes ${at} and on`);
    at += data.length;
  }
  const { byteLength } = batch;
  batch.release();
  return byteLength;
}

/** A reset is what a closed peer answers. */
function end(how: End, here: KernelSocket, there: KernelSocket): void {
  if (how === "shutdown") return there.shutdown(SHUT_WR);
  there.close();
  if (how !== "reset") return;
  try {
    here.send(PATTERN.subarray(0, 1), 0);
  } catch (error) {
    assert(error instanceof SysError && error.code === "EPIPE", `${error}`);
  }
}

async function round(how: End): Promise<void> {
  const { here, there } = await openPair();
  using _here = here;
  using _there = there;
  using receiver = openReceiver(here, { mode: "map", pages: PAGES });
  const total = below(MOST);
  let [sent, got] = [0, 0];
  while (sent < total) {
    const chunk = PATTERN.subarray(sent, Math.min(total, sent + 1 + below(40_000)));
    const taken = there.send(chunk, 0);
    if (taken !== WOULD_BLOCK) sent += taken;
    const batch = taken === WOULD_BLOCK || below(3) === 0 ? receiver.tryReceive() : undefined;
    if (batch) got += check(batch, got);
  }
  end(how, here, there);
  for (;;) {
    const batch = await receiver.receive({ timeoutMs: 30_000 });
    if (batch === null) break;
    got += check(batch, got);
  }
  assertEquals(got, sent, `seed ${seed}: ${how} after ${sent} bytes`);
}

for (const how of ["shutdown", "close", "reset"] as const) {
  test(
    `Receiver of mapped pages gets all that was sent before a ${how}, ${ROUNDS} times`,
    { timeout: 300_000 },
    async () => {
      for (let done = 0; done < ROUNDS; done++) await round(how);
    },
  );
}
