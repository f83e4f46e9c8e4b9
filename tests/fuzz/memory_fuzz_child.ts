/**
 * `<runtime> memory_fuzz_child.ts anonymous|memfd SEED STEPS`: random loans, touches and releases
 * of a `MappedRegion` beside a plain array that says what each byte must be. Prints the growth of
 * resident memory in bytes; a wrong byte is an error, a wrong address a signal.
 */
import process from "node:process";
import { close } from "../../ffi/libc.ts";
import { StolenViewError } from "../../ffi/loans.ts";
import { createMemfd } from "../../ffi/memfd.ts";
import { MappedRegion, pageSize } from "../../ffi/memory.ts";

const PAGE = pageSize();
const PAGES = 32;
const SIZE = PAGES * PAGE;
const MOST_LIVE = 64;
const MOST_DEAD = 64;

interface Lent {
  readonly view: Uint8Array;
  readonly offset: number;
}

const [kind = "", seedText = "", stepsText = ""] = process.argv.slice(2);
const steps = Number(stepsText);
let state = Number(seedText) >>> 0;

/** Mulberry32: an integer from 0 to `limit` - 1. */
function random(limit: number): number {
  state = (state + 0x6d2b79f5) >>> 0;
  let mixed = Math.imul(state ^ (state >>> 15), state | 1);
  mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
  return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * limit);
}

function map(): MappedRegion {
  if (kind === "anonymous") return new MappedRegion(SIZE);
  const fd = createMemfd("fuzz", SIZE);
  const made = new MappedRegion(SIZE, { fd });
  close(fd);
  return made;
}

let region = map();
const expected = new Uint8Array(SIZE);
const live: Lent[] = [];
const dead: Uint8Array[] = [];

function fail(what: string): never {
  throw new Error(`Cannot go on: ${what}`);
}

/** Moves what lies from `start` to `end` from the living to the dead, and sees that it is dead. */
function bury(start: number, end: number): void {
  for (let index = live.length - 1; index >= 0; index--) {
    const { view, offset } = live[index] as Lent;
    if (view.length > 0 && (offset >= end || offset + view.length <= start)) continue;
    if (view.length === 0) live.splice(index, 1);
    else fail(`a view at ${offset} outlived its release`);
    if (dead.length < MOST_DEAD) dead.push(view);
    else dead[random(MOST_DEAD)] = view;
  }
}

function lend(): void {
  if (live.length >= MOST_LIVE) return;
  const offset = random(SIZE);
  const length = random(4) === 0 ? random(SIZE - offset + 1) : random(Math.min(200, SIZE - offset));
  if (length > 0) live.push({ view: region.lend(offset, length), offset });
}

function touch(write: boolean): void {
  if (live.length === 0) return;
  const { view, offset } = live[random(live.length)] as Lent;
  const index = random(view.length);
  if (write) expected[offset + index] = view[index] = random(256);
  else if (view[index] !== expected[offset + index]) fail(`byte ${offset + index} is wrong`);
}

function touchDead(): void {
  const view = dead[random(MOST_DEAD)];
  if (view === undefined) return;
  view[0] = 1;
  if (view.length !== 0 || view[0] !== undefined) fail("a dead view has bytes");
}

function releaseOne(): void {
  if (live.length === 0) return;
  const { view } = live[random(live.length)] as Lent;
  region.release(view);
  bury(0, 0);
}

function discard(): void {
  const first = random(PAGES);
  const count = 1 + random(PAGES - first);
  region.discard(first * PAGE, count * PAGE);
  if (kind === "anonymous") expected.fill(0, first * PAGE, (first + count) * PAGE);
  bury(first * PAGE, (first + count) * PAGE);
}

function renew(): void {
  region.unmap();
  bury(0, SIZE);
  region = map();
  expected.fill(0);
}

function resize(): void {
  if (kind !== "anonymous") return;
  region.resize(SIZE * (2 + random(8)));
  bury(0, SIZE);
  region.resize(SIZE);
}

function steal(): void {
  const lent = live[random(MOST_LIVE)];
  if (lent === undefined) return;
  const loot = new Uint8Array((lent.view.buffer as ArrayBuffer).transfer());
  try {
    region.releaseAll();
    fail("nobody saw the theft");
  } catch (error) {
    if (!(error instanceof StolenViewError)) throw error;
  }
  if (loot[0] !== 0) fail("the thief has old bytes");
  loot[0] = 1;
  bury(0, SIZE);
  region = map();
  expected.fill(0);
}

function step(): void {
  const dice = random(10_000);
  if (dice < 3_000) lend();
  else if (dice < 5_000) touch(true);
  else if (dice < 7_000) touch(false);
  else if (dice < 7_500) touchDead();
  else if (dice < 9_800) releaseOne();
  else if (dice < 9_950) discard();
  else if (dice < 9_980) bury(...releaseAll());
  else if (dice < 9_990) resize();
  else if (dice < 9_999) renew();
  else steal();
}

function releaseAll(): [number, number] {
  region.releaseAll();
  return [0, SIZE];
}

const warm = Math.floor(steps / 5);
for (let done = 0; done < warm; done++) step();
const before = process.memoryUsage().rss;
for (let done = warm; done < steps; done++) step();
console.log(process.memoryUsage().rss - before);
