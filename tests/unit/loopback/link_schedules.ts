/** What the two threads of a link do, step by step. */
import { VIRTIO_VSOCK_OP_REQUEST, VIRTIO_VSOCK_OP_RW } from "../../../ffi/abi/virtio_vsock.ts";
import { Bell } from "../../../src/loopback/bell.ts";
import { Link } from "../../../src/loopback/link.ts";
import { createLink, END_WORDS, type LinkEnd, WORD } from "../../../src/loopback/link_memory.ts";
import { Words } from "../../../src/loopback/ring.ts";
import type { Lockstep, Part } from "./lockstep.ts";
import { die, packet, sendData } from "./link_pair.ts";

/** Ends that are opened anew in each run. */
export type Ends = readonly [LinkEnd, LinkEnd];

const FIRST_INDEX = 0x7fff_ffff; // its Int32 wraps at once
const FOREVER_MS = 2 ** 31 - 1;
/** Of a link whose end may die; how often it is looked at, and how often by who spins. */
const [DEAD_AFTER_MS, BEAT_MS, SPIN_TURN_MS] = [8_000, 500, 50];

/** Two small blocks, a large one and a few slots each way. */
export function tinyLink(ringEntries: number): Ends {
  return createLink({
    smallBlocks: 2,
    largeBlocks: 1,
    ringEntries,
    deadAfterMs: DEAD_AFTER_MS,
    firstIndex: FIRST_INDEX,
  });
}

/** As it was made. */
export function resetLink([{ control, lanes }]: Ends): void {
  const words = new Int32Array(control).fill(0);
  for (const side of [0, END_WORDS]) {
    for (const word of [WORD.tail, WORD.head, WORD.returned]) words[side + word] = FIRST_INDEX;
  }
  for (const { ring, returns, arms, blocks } of lanes) {
    for (const buffer of [ring, returns, arms, ...blocks]) new Uint8Array(buffer).fill(0);
  }
}

/** How a thread waits: it blocks, or returns to its event loop. */
type Way = (
  lockstep: Lockstep,
  bell: Pick<Bell, "waitSync" | "waitAsync"> & Partial<Pick<Link, "beat">>,
) => void;
const blocks: Way = (_lockstep, bell) => void bell.waitSync(Infinity, FOREVER_MS, () => {});
const returns: Way = (lockstep, bell) => {
  bell.waitAsync();
  lockstep.sleep(BEAT_MS, () => bell.beat?.());
};
/** Likewise, but for what it does before the wait has begun already. */
const listens: Way = (lockstep, bell) => returns(lockstep, bell);

/** Says that it sleeps when it has looked again: what a CPU does without a fence. */
class LateWords extends Words {
  override store(word: number, value: number): void {
    if (word !== WORD.sleeping || value === 0) super.store(word, value);
  }

  override waitAsync(word: number, value: number): Promise<unknown> | undefined {
    super.store(word, value);
    return super.waitAsync(word, value);
  }
}

function equal(lockstep: Lockstep, what: string, got: unknown, expected: unknown): void {
  if (got !== expected) lockstep.fail(`${what}: ${got} in place of ${expected}`);
}

/** Counts to `count` and rings for each. */
function counts(
  lockstep: Lockstep,
  { control }: LinkEnd,
  count: number,
  way: Way,
  Own: typeof Words = Words,
): void {
  const [own, peer] = [new Own(control, 0), new Words(control, END_WORDS)];
  let heard = 0;
  const bell = new Bell(own, peer, () => peer.load(WORD.beat) !== heard);
  for (let i = 1; i <= count; i++) {
    own.store(WORD.beat, i);
    bell.ring();
  }
  while (heard < count) {
    way(lockstep, bell);
    heard = peer.load(WORD.beat);
  }
}

/** Hears of it, and answers each time. */
function hears(lockstep: Lockstep, { control }: LinkEnd, count: number, way: Way): void {
  const [own, peer] = [new Words(control, END_WORDS), new Words(control, 0)];
  let heard = 0;
  const bell = new Bell(own, peer, () => peer.load(WORD.beat) !== heard);
  while (heard < count) {
    way(lockstep, bell);
    heard = peer.load(WORD.beat);
    own.store(WORD.beat, heard);
    bell.ring();
  }
}

/** Payloads, and the packets with them and behind them. */
const [LENGTHS, ALL] = [[3, 5000, 2, 1], 7];

/** Ends what a thread does whose other has died. */
class Alone extends Error {}

/** Opens `end`, whose other may die and does nothing wrong. */
function open(lockstep: Lockstep, end: LinkEnd): Link {
  return new Link(end, {
    onDead: (reason) => {
      if (!lockstep.alone) die(reason);
    },
  });
}

/** What holds of the link of an end whose other has died. */
function requireOver(lockstep: Lockstep, link: Link, pump: () => void): void {
  pump(); // what came before
  pump = (): void => link.pump(() => lockstep.fail("more came"));
  pump();
  equal(lockstep, "news, at once", link.waitSync(Infinity), true);
  equal(lockstep, "memory", link.allocate(Uint8Array.of(1)), undefined);
  if (lockstep.now > 2 * DEAD_AFTER_MS) lockstep.fail(`it took ${lockstep.now} ms`);
}

function turn(lockstep: Lockstep, link: Link, way: Way, pump: () => void): void {
  way(lockstep, link);
  if (!link.alive) {
    if (!lockstep.alone) lockstep.fail("the link is dead");
    requireOver(lockstep, link, pump);
    throw new Alone();
  }
  pump();
  if (way === listens) link.waitAsync();
}

/** Sends more than there is room for, then waits for `answers`. */
function sends(lockstep: Lockstep, end: LinkEnd, way: Way, answers = 1): void {
  const link = open(lockstep, end);
  let [next, answered] = [0, 0];
  const pump = (): void => link.pump(() => answered++);
  if (way === listens) link.waitAsync();
  for (; next < LENGTHS.length; next++) {
    const data = new Uint8Array(LENGTHS[next]!).fill(next + 1);
    while (!sendData(link, data, { fwdCnt: next })) turn(lockstep, link, way, pump);
  }
  while (next < ALL) link.send(packet({ fwdCnt: next++ }));
  while (answered < answers) turn(lockstep, link, way, pump);
  equal(lockstep, "free blocks", link.freeBlocks, 3);
  link.close();
}

/** Takes them, and answers the last ones. */
function takes(lockstep: Lockstep, end: LinkEnd, way: Way, answers = 1): void {
  const link = open(lockstep, end);
  let next = 0;
  const pump = (): void =>
    link.pump(({ len, fwdCnt, payload }) => {
      equal(lockstep, "packet", fwdCnt, next);
      equal(lockstep, "length", len, LENGTHS[next] ?? 0);
      next++;
      for (const at of payload === undefined ? [] : [0, len - 1]) {
        equal(lockstep, `byte ${at} of packet ${fwdCnt}`, payload!.bytes[at], next);
      }
      payload?.free();
      if (next > ALL - answers) link.send(packet());
    });
  while (next < ALL) turn(lockstep, link, way, pump);
  while (link.alive) { // the last answers may wait for a slot
    way(lockstep, link);
    link.pump(() => {});
  }
}

/** Sends a byte whenever the one before was taken. */
function feeds(lockstep: Lockstep, end: LinkEnd, count: number): void {
  const link = open(lockstep, end);
  link.send(packet({ op: VIRTIO_VSOCK_OP_REQUEST }));
  let taken = 0;
  const take = (): void => link.pump(({ fwdCnt }) => taken = fwdCnt);
  for (let sent = 0; sent < count; sent++) {
    sendData(link, Uint8Array.of(1), { fwdCnt: sent }); // which is news, but for the first
    while (taken <= sent) turn(lockstep, link, returns, take);
  }
  link.close();
}

/** Spins on page 0 for each of them. */
function spins(lockstep: Lockstep, end: LinkEnd, count: number): void {
  const link = open(lockstep, end);
  let [opened, taken] = [false, 0];
  const take = (): void =>
    link.pump(({ op, len, payload }) => {
      opened = true;
      if (op === VIRTIO_VSOCK_OP_RW) taken += len;
      payload?.free();
    });
  const until = (done: () => boolean): void => {
    lockstep.until(() => !link.alive || done(), SPIN_TURN_MS, () => link.beat());
    if (link.alive || !lockstep.alone) return;
    requireOver(lockstep, link, take);
    throw new Alone();
  };
  until(() => (take(), opened));
  const page = link.openPage0(3, 4, taken + 1, taken)!;
  for (let told = 0; told < count;) {
    if (taken === told) {
      until(() => Atomics.load(page.words, 0) !== 0);
      take();
      continue;
    }
    link.send(packet({ fwdCnt: told = taken }));
    page.settle(taken + 1, false);
  }
  until(() => Atomics.load(page.words, 0) === -1);
}

/** Leaves while the other may be asleep, or about to be, or has not opened its end yet. */
function leaves(lockstep: Lockstep, end: LinkEnd, way: Way): void {
  const link = open(lockstep, end);
  const page = link.openPage0(3, 4, 1, 0)!;
  sendData(link, Uint8Array.of(1));
  link.close();
  way(lockstep, link); // at once
  equal(lockstep, "poll_value", Atomics.load(page.words, 0), -1);
}

/** Gets what was sent before that, and hears of the end once. */
function stays(lockstep: Lockstep, end: LinkEnd, way: Way): void {
  let [ends, got, pumping] = [0, 0, false];
  const pump = (): void => {
    if (pumping) return;
    pumping = true;
    link.pump(({ len }) => got += len);
    pumping = false;
  };
  const onDead = (): void => {
    ends++;
    pump();
    equal(lockstep, "bytes by then", got, 1);
  };
  const link = new Link(end, { onDead });
  while (link.alive) {
    way(lockstep, link);
    pump();
  }
  equal(lockstep, "ends", ends, 1);
  way(lockstep, link); // at once
}

/** One part of a plan. */
type Act = (lockstep: Lockstep, end: LinkEnd) => void;

/** What is explored: what side 0 does, and side 1, which may die. */
const PLANS: Readonly<Record<string, readonly [Act, Act]>> = {
  "Bell, blocked": [(l, end) => counts(l, end, 2, blocks), (l, end) => hears(l, end, 2, blocks)],
  "Bell": [(l, end) => counts(l, end, 2, returns), (l, end) => hears(l, end, 2, returns)],
  "late": [
    (l, end) => counts(l, end, 2, returns, LateWords),
    (l, end) => hears(l, end, 2, returns),
  ],
  "Link, blocked": [(l, end) => sends(l, end, blocks), (l, end) => takes(l, end, blocks)],
  "Link": [(l, end) => sends(l, end, returns), (l, end) => takes(l, end, returns)],
  "Link that is sent to, blocked": [
    (l, end) => takes(l, end, blocks),
    (l, end) => sends(l, end, blocks),
  ],
  "Link that is sent to": [(l, end) => takes(l, end, returns), (l, end) => sends(l, end, returns)],
  "Link that answers": [
    (l, end) => sends(l, end, returns, ALL),
    (l, end) => takes(l, end, returns, ALL),
  ],
  "Link that listens": [(l, end) => sends(l, end, listens), (l, end) => takes(l, end, listens)],
  "Link.close(), blocked": [(l, end) => leaves(l, end, blocks), (l, end) => stays(l, end, blocks)],
  "Link.close()": [(l, end) => leaves(l, end, returns), (l, end) => stays(l, end, returns)],
  "Page0": [(l, end) => feeds(l, end, 2), (l, end) => spins(l, end, 2)],
  "Page0, at its receiver": [(l, end) => spins(l, end, 2), (l, end) => feeds(l, end, 2)],
};

/** What `side` does in `plan`. */
export function partOf(plan: string, side: 0 | 1, ends: Ends): Part {
  const act = PLANS[plan]![side];
  return (lockstep) => {
    try {
      act(lockstep, ends[side]);
    } catch (error) {
      if (!(error instanceof Alone)) throw error;
    }
  };
}
