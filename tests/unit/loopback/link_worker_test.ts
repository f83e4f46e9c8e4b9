import { test } from "node:test";
import { once } from "node:events";
import process from "node:process";
import { Worker } from "node:worker_threads";
import { assertEquals } from "@std/assert";
import { VIRTIO_VSOCK_OP_RST } from "../../../ffi/abi/virtio_vsock.ts";
import { LoopHold } from "../../../src/wait/loop_hold.ts";
import { Link } from "../../../src/loopback/link.ts";
import { createLink, type LinkEnd } from "../../../src/loopback/link_memory.ts";
import type { Packet } from "../../../src/virtio/packet.ts";
import { die, packet, sumOf, turn, WAIT_MS } from "./link_pair.ts";
import type { LinkWorkerData } from "./link_worker.ts";

const LONG = { timeout: 240_000 };
/** Enough of a race where two threads share a processor that others use too. */
const ENOUGH_MS = 10_000;
const SCRIPT = new URL("./link_worker.ts", import.meta.url);

function start(end: LinkEnd, role: LinkWorkerData["role"], packets = 0, seed = 0): Worker {
  return new Worker(SCRIPT, { workerData: { end, role, packets, seed } satisfies LinkWorkerData });
}

test("Link carries a million packets of random lengths between two threads", LONG, async () => {
  const packets = 1_000_000;
  const seed = Number(process.env["VSOCKIT_SEED"] ?? Math.trunc(Math.random() * 2 ** 31));
  const [near, far] = createLink({ firstIndex: 0xfffe_0000 });
  const worker = start(far, "send", packets, seed);
  const freeAtPeer = once(worker, "message");
  using link = new Link(near, { onDead: die });
  let [sum, next, told] = [0, 0, -1];
  while (told < 0) {
    turn(link, ({ payload, fwdCnt, len }) => {
      if (payload === undefined) {
        told = fwdCnt;
        return;
      }
      if (fwdCnt !== next++ || payload.bytes.length !== len) {
        throw new Error(`packet ${fwdCnt} for ${next - 1}, VSOCKIT_SEED=${seed}`);
      }
      sum = sumOf(payload.bytes, sum);
      payload.free();
    });
  }
  assertEquals([next, sum], [packets, told], `VSOCKIT_SEED=${seed}`);
  link.send(packet());
  assertEquals([await freeAtPeer, link.freeBlocks], [[608], 608]);
});

test("Page0.words wake who spins on them, every time", LONG, async () => {
  const [near, far] = createLink();
  const worker = start(far, "hammer");
  const done = once(worker, "message");
  using link = new Link(near, { onDead: die });
  let taken = 0;
  const take = ({ len, payload }: Packet): void => {
    payload?.free();
    taken += len;
  };
  turn(link, take); // the REQUEST, and the first byte if it is there already
  const page = link.openPage0(3, 4, taken + 1, taken)!;
  link.send(packet({ fwdCnt: taken }));
  const enough = performance.now() + ENOUGH_MS;
  while (taken < 50_000 && performance.now() < enough) {
    const until = performance.now() + WAIT_MS;
    while (Atomics.load(page.words, 0) === 0 && performance.now() < until) { /* spins */ }
    if (Atomics.load(page.words, 0) !== 1) throw new Error(`lost wake-up after ${taken}`);
    link.pump(take);
    // The peer sends the next byte from here on, earlier or later than we settle.
    link.send(packet({ fwdCnt: taken }));
    for (let i = taken & 0xff; i > 0; i--) Atomics.load(page.words, 1);
    page.settle(taken + 1, false);
  }
  page.close();
  link.send(packet({ op: VIRTIO_VSOCK_OP_RST }));
  assertEquals(await done, ["done"]);
});

for (const how of ["sync", "async"] as const) {
  test(`Link sees a Worker that was terminated while it waits ${how}`, LONG, async () => {
    const reasons: string[] = [];
    const [near, far] = createLink({ deadAfterMs: 200 });
    const worker = start(far, "stay");
    using link = new Link(near, { onDead: (reason) => reasons.push(reason) });
    using hold = new LoopHold();
    hold.acquire();
    await link.waitAsync();
    link.pump(() => {});
    const page = link.openPage0(3, 4, 1, 0)!;
    await worker.terminate();
    if (how === "sync") assertEquals(link.waitSync(WAIT_MS), true);
    else await link.waitAsync();
    assertEquals([reasons, link.alive], [["the peer gives no sign of life"], false]);
    assertEquals([Atomics.load(page.words, 0), link.waitSync(WAIT_MS)], [-1, true]);
    hold.release();
  });
}

test("Link is alive as long as the peer's event loop turns", LONG, async () => {
  const reasons: string[] = [];
  const [near, far] = createLink({ deadAfterMs: 1_500 });
  const worker = start(far, "stay");
  using link = new Link(near, { onDead: (reason) => reasons.push(reason) });
  turn(link, () => {});
  assertEquals([link.waitSync(3_000), reasons], [false, []]);
  worker.postMessage("close");
  turn(link, () => {});
  assertEquals(reasons, ["the peer has closed the link"]);
  await worker.terminate();
});
