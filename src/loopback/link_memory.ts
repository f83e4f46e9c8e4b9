/**
 * The shared memory of one link: what both threads hold, and how it is made.
 *
 * @module
 */
import { VIRTIO_VSOCK_MAX_PKT_BUF_SIZE } from "../../ffi/abi/virtio_vsock.ts";
import { USR_PAGE_SIZE } from "../../ffi/abi/virtio_vsock_usr.ts";
import { requireInteger } from "../arguments.ts";
import { TIMER_MAX_MS } from "../wait/waiting.ts";
import { ARM_WORDS } from "./link_page0.ts";

/** Bytes of a small block: one page. */
export const SMALL_BLOCK: number = USR_PAGE_SIZE;
/** Bytes of a large block: the longest payload of a packet. */
export const LARGE_BLOCK: number = VIRTIO_VSOCK_MAX_PKT_BUF_SIZE;
/** 32-bit words of one slot of the packet ring: the header, the block, the kind, and spare ones. */
export const SLOT_WORDS = 16;

/** What goes one way. Only the thread that sends on it writes the ring. */
export interface Lane {
  /** Slots of `SLOT_WORDS` words. */
  readonly ring: SharedArrayBuffer;
  /** Numbers of blocks on their way back: a slot for every block, so that it is never full. */
  readonly returns: SharedArrayBuffer;
  /** `ARM_WORDS` words for every block, for when it is a page 0. */
  readonly arms: SharedArrayBuffer;
  /** Payload memory, small blocks first; a block's number is its place here. */
  readonly blocks: readonly SharedArrayBuffer[];
}

/** The memory of a `LoopbackEnd`: buffers and numbers, which `postMessage()` clones. */
export interface LinkEnd {
  /** Which end this is; it sends on `lanes[side]`. */
  readonly side: 0 | 1;
  /** The words by which the ends tell each other where they are. */
  readonly control: SharedArrayBuffer;
  /** What side 0 sends on, what side 1 sends on. */
  readonly lanes: readonly [Lane, Lane];
  /** An end that has not beaten for so many milliseconds is dead. */
  readonly deadAfterMs: number;
  /** Where every ring index starts. */
  readonly firstIndex: number;
}

/** What a link is made of. */
export interface LinkOptions {
  /**
   * Blocks of 4 KiB for each direction. A mapped connection keeps one of its receiver's as page 0;
   * at most half of them are given out so, none where there is just one. A connection that gets
   * none is mapped all the same, but `wait: "spin"` is as `"poll"` there.
   * @default {512}
   */
  readonly smallBlocks?: number | undefined;
  /** Blocks of 64 KiB for each direction; a message has to fit them. @default {96} */
  readonly largeBlocks?: number | undefined;
  /** Packets that fit the ring of each direction; a power of two. @default {1024} */
  readonly ringEntries?: number | undefined;
  /**
   * Milliseconds without a sign of life after which an end is dead: more than 50, since a receiver
   * that blocks its thread and spins gives one so often.
   * @default {5000}
   */
  readonly deadAfterMs?: number | undefined;
  /** Where every ring index starts: near 2^32 it soon wraps. @default {0} */
  readonly firstIndex?: number | undefined;
}

/**
 * Words that one end owns in the control memory, 128 bytes apart: cache lines of their own, since
 * processors fetch them in pairs.
 */
export const WORD = {
  /** Slots it has put into its packet ring. */
  tail: 0,
  /** Slots it has taken from the peer's packet ring. */
  head: 32,
  /** Blocks of the peer's that it has given back. */
  returned: 64,
  /** 1 while it sleeps or is about to; whoever wakes it puts 0. */
  sleeping: 96,
  /** 1 while it waits for blocks or for slots. */
  starved: 128,
  /** Changes as long as it lives. */
  beat: 160,
  /** One of {@linkcode STATE}. */
  state: 192,
} as const;

/** Words of one end's part of the control memory. */
export const END_WORDS = 224;

/** What an end can be. */
export const STATE = { created: 0, open: 1, closed: 2 } as const;

/**
 * Makes the memory of a link between two threads.
 *
 * @returns Its two ends, each to be opened exactly once, in any thread.
 * @throws {RangeError} If an option is out of its range.
 * @throws {TypeError} If one is no number.
 */
export function createLink(options: LinkOptions = {}): [LinkEnd, LinkEnd] {
  const { smallBlocks = 512, largeBlocks = 96, ringEntries = 1024 } = options;
  const { deadAfterMs = 5_000, firstIndex = 0 } = options;
  requireInteger("smallBlocks", smallBlocks, 1, 65_536);
  requireInteger("largeBlocks", largeBlocks, 1, 65_536);
  requireInteger("ringEntries", ringEntries, 2, 65_536);
  if ((ringEntries & (ringEntries - 1)) !== 0) {
    throw new RangeError(
      `Cannot use ringEntries: must be a power of two: current value is ${ringEntries}`,
    );
  }
  requireInteger("deadAfterMs", deadAfterMs, 10, TIMER_MAX_MS);
  requireInteger("firstIndex", firstIndex, 0, 2 ** 32 - 1);

  const control = new SharedArrayBuffer(2 * END_WORDS * 4);
  const words = new Int32Array(control);
  for (const side of [0, 1]) {
    for (const word of [WORD.tail, WORD.head, WORD.returned]) {
      words[side * END_WORDS + word] = firstIndex;
    }
  }
  const lanes = [
    createLane(smallBlocks, largeBlocks, ringEntries),
    createLane(smallBlocks, largeBlocks, ringEntries),
  ] as const;
  const shared = { control, lanes, deadAfterMs, firstIndex };
  return [{ side: 0, ...shared }, { side: 1, ...shared }];
}

function createLane(smallBlocks: number, largeBlocks: number, ringEntries: number): Lane {
  const count = smallBlocks + largeBlocks;
  return {
    ring: new SharedArrayBuffer(ringEntries * SLOT_WORDS * 4),
    returns: new SharedArrayBuffer(2 ** Math.ceil(Math.log2(count)) * 4),
    arms: new SharedArrayBuffer(count * ARM_WORDS * 4),
    blocks: Array.from(
      { length: count },
      (_, i) => new SharedArrayBuffer(i < smallBlocks ? SMALL_BLOCK : LARGE_BLOCK),
    ),
  };
}
