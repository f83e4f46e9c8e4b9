import { test } from "node:test";
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { assertEquals } from "@std/assert";
import { LoopHold } from "../../src/loop_hold.ts";
import { type Link, openLink } from "../../src/loopback/link.ts";
import { createLink, type LinkEnd } from "../../src/loopback/link_memory.ts";
import type { Packet } from "../../src/virtio/packet.ts";
import { packet, sumOf } from "./link_pair.ts";
import type { LinkWorkerData } from "./workers/link_worker.ts";

const WAIT_MS = 30_000;
const LONG = { timeout: 120_000 };
const SCRIPT = new URL("./workers/link_worker.ts", import.meta.url);

function start(end: LinkEnd, role: LinkWorkerData["role"], packets = 0, seed = 0): Worker {
  return new Worker(SCRIPT, { workerData: { end, role, packets, seed } satisfies LinkWorkerData });
}

function turn(link: Link, deliver: Parameters<Link["pump"]>[0]): void {
  if (!link.waitSync(WAIT_MS)) throw new Error("nothing arrived");
  link.pump(deliver);
}

test("Link carries a million packets of random lengths between two threads", LONG, async () => {
  const packets = 1_000_000;
  const seed = Math.trunc(Math.random() * 2 ** 31);
  const [near, far] = createLink({ smallBlocks: 64, largeBlocks: 8, firstIndex: 0xfffe_0000 });
  const worker = start(far, "send", packets, seed);
  const freeAtPeer = once(worker, "message");
  using link = openLink(near);
  let [sum, next, told] = [0, 0, -1];
  while (told < 0) {
    turn(link, ({ payload, fwdCnt, len }) => {
      if (payload === undefined) {
        told = fwdCnt;
        return;
      }
      if (fwdCnt !== next++ || payload.bytes.length !== len) {
        throw new Error(`packet ${fwdCnt} for ${next - 1}, seed ${seed}`);
      }
      sum = sumOf(payload.bytes, sum);
      payload.free();
    });
  }
  assertEquals([next, sum], [packets, told], `seed ${seed}`);
  link.send(packet());
  assertEquals([await freeAtPeer, link.freeBlocks], [[72], 72]);
});

test("Page0.words wake who spins on them, every time", LONG, async () => {
  const packets = 300_000;
  const [near, far] = createLink();
  const worker = start(far, "hammer", packets);
  const done = once(worker, "message");
  using link = openLink(near);
  turn(link, () => {});
  let [queued, taken] = [0, 0];
  const take = ({ payload }: Packet): void => {
    payload!.free();
    queued++;
  };
  const page = link.openPage0(3, 4, 1)!;
  while (taken < packets) {
    const until = performance.now() + WAIT_MS;
    while (Atomics.load(page.words, 0) === 0) {
      if (performance.now() > until) throw new Error(`lost wake-up after ${taken}`);
    }
    // As a socket does: dequeue, arm for what comes next, settle, and look again.
    do {
      link.pump(take);
      taken += queued;
      queued = 0;
      page.arm(taken + 1);
    } while (page.settle(false, false));
    link.send(packet({ fwdCnt: taken }));
  }
  page.close();
  assertEquals(await done, ["done"]);
});

for (const how of ["sync", "async"] as const) {
  test(`Link sees a Worker that was terminated while it waits ${how}`, LONG, async () => {
    const reasons: string[] = [];
    const [near, far] = createLink({ deadAfterMs: 200 });
    const worker = start(far, "stay");
    using link = openLink(near, { onDead: (reason) => reasons.push(reason) });
    using hold = new LoopHold();
    hold.acquire();
    await link.waitAsync();
    link.pump(() => {});
    const page = link.openPage0(3, 4, 1)!;
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
  const [near, far] = createLink({ deadAfterMs: 400 });
  const worker = start(far, "stay");
  using link = openLink(near, { onDead: (reason) => reasons.push(reason) });
  turn(link, () => {});
  assertEquals([link.waitSync(2_000), reasons], [false, []]);
  worker.postMessage("close");
  turn(link, () => {});
  assertEquals(reasons, ["the peer has closed the link"]);
  await worker.terminate();
});
