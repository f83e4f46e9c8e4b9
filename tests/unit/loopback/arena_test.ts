import { test } from "node:test";
import { assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import {
  type BlockPayload,
  Blocks,
  ReceivedBlocks,
  SendArena,
} from "../../../src/loopback/arena.ts";
import { createLink, type LinkOptions, WORD } from "../../../src/loopback/link_memory.ts";
import { BROKEN, NONE, ReturnReader, ReturnWriter, Words } from "../../../src/loopback/ring.ts";

/** An arena, what its receiver does with the blocks, and the way back between them. */
function arena(options: LinkOptions = {}) {
  const [{ lanes, control }] = createLink({ smallBlocks: 2, largeBlocks: 2, ...options });
  const { blocks, returns } = lanes[0];
  const words = new Words(control, 0);
  const first = options.firstIndex ?? 0;
  const back = new ReturnWriter(returns, words, WORD.returned, first);
  const views = new Blocks(blocks);
  const send = new SendArena(views, new ReturnReader(returns, words, WORD.returned, first));
  let returned = 0;
  const onReturned = (): void => {
    if (send.returnsPending()) returned++; // else the peer may sleep, and is not to be woken
  };
  return {
    views,
    back,
    send,
    received: new ReceivedBlocks(new Blocks(blocks), back, onReturned),
    words,
    returned: () => returned,
  };
}

function filled(arena: SendArena, length: number, value = 7): BlockPayload {
  const payload = arena.fill(new Uint8Array(length).fill(value));
  if (payload === undefined) throw new Error("no block");
  return payload;
}

/** The whole block that `payload` lies in. */
function wholeOf(payload: BlockPayload): Uint8Array {
  return new Uint8Array(payload.bytes.buffer);
}

test("SendArena gives each payload a buffer of its own, zero behind the bytes", () => {
  const { send } = arena();
  const first = filled(send, 100, 1);
  const second = filled(send, 10, 2);
  assertEquals(first.bytes.buffer === second.bytes.buffer, false);
  assertEquals(first.bytes.length, 100);
  assertEquals(wholeOf(first).length, 4096);
  assertEquals(wholeOf(first).lastIndexOf(1), 99);
});

test("SendArena leaves nothing of an earlier packet, nor of what was appended to it", () => {
  const { send, received } = arena({ largeBlocks: 1 });
  const block = filled(send, 5000, 9).surrender(send);
  send.lend(block);
  const there = received.payload(block, 5000)!;
  assertEquals(there.append(new Uint8Array(8192 - 5000).fill(9)), true);
  there.free();
  assertEquals(send.collect(), 1);
  const again = filled(send, 4097, 1);
  assertEquals(again.surrender(send), block);
  assertEquals(wholeOf(there).length, 0);
  const bytes = received.payload(block, 65536)!.bytes;
  assertEquals([bytes[4096], bytes.subarray(4097).every((byte) => byte === 0)], [1, true]);
});

test("SendArena.fill() takes what data was, though another thread makes it longer", () => {
  const { send } = arena();
  const memory = new SharedArrayBuffer(10, { maxByteLength: 5_000 });
  class Growing extends Uint8Array<SharedArrayBuffer> {
    override get length(): number {
      const { length } = new Uint8Array(memory);
      memory.grow(5_000);
      return length;
    }
  }
  const payload = send.fill(new Growing(memory))!;
  assertEquals([payload.bytes.length, wholeOf(payload).length], [10, 4096]);
  payload.free();
  assertEquals(send.free, 4);
});

test("SendArena gives a page 0 that is all zero", () => {
  for (const length of [1, 100, 4096]) {
    const { send, views } = arena({ smallBlocks: 2 });
    const used = [filled(send, length), filled(send, length)];
    for (const payload of used) payload.free();
    const block = send.takePage();
    assertEquals(views.whole(block)!.every((byte) => byte === 0), true, `${length}`);
  }
});

test("SendArena leaves nothing of a packet that has one byte in its last page", () => {
  const { send } = arena({ smallBlocks: 1, largeBlocks: 1 });
  filled(send, 1); // the small one is out
  filled(send, 4097, 9).free();
  assertEquals(wholeOf(filled(send, 1, 1)).lastIndexOf(9), -1);
});

test("SendArena leaves nothing of a page 0 in the packet that comes after it", () => {
  const { send, received, views } = arena();
  const block = send.takePage();
  views.whole(block)!.fill(9);
  send.lend(block);
  received.hold(block);
  received.giveBack(block);
  send.collect();
  filled(send, 1); // the other one
  const payload = filled(send, 1, 1);
  assertEquals([wholeOf(payload).length, wholeOf(payload).lastIndexOf(9)], [4096, -1]);
});

test("SendArena makes no page 0 of a single block, and one of three", () => {
  const pages = [1, 3].map((smallBlocks) => {
    const { send } = arena({ smallBlocks });
    return [send.takePage(), send.takePage()].filter((block) => block !== NONE).length;
  });
  assertEquals(pages, [0, 1]);
});

test("SendArena makes page 0s of half the small blocks at most, and of what they leave again", () => {
  const { send, received } = arena({ smallBlocks: 4, largeBlocks: 1 });
  const pages = [send.takePage(), send.takePage()];
  assertEquals([pages.includes(NONE), send.takePage(), send.free], [false, NONE, 3]);
  send.lend(pages[0]!); // it is closed
  received.hold(pages[0]!);
  received.giveBack(pages[0]!);
  assertEquals([send.collect(), send.free, send.takePage() === NONE], [1, 4, false]);
});

test("BlockPayload.own() keeps what was there from whoever fills the block anew", () => {
  const { send, received } = arena();
  const block = filled(send, 10, 1).surrender(send);
  send.lend(block);
  const payload = received.payload(block, 10)!;
  const lent = payload.bytes;
  payload.own();
  const once = payload.bytes;
  payload.own();
  assertStrictEquals(payload.bytes, once);
  lent.fill(9); // the peer
  assertEquals([payload.bytes[0], payload.append(Uint8Array.of(1)), send.collect()], [1, false, 0]);
  const copy = payload.bytes;
  payload.revoke();
  assertEquals([copy.length, payload.bytes[9]], [0, 1]);
  const last = payload.bytes;
  payload.free();
  assertEquals([payload.bytes.length, last.length, lent.length, send.collect()], [0, 0, 10, 1]);
});

test("SendArena uses the block that came back first", () => {
  const { send } = arena({ smallBlocks: 3 });
  const taken = [filled(send, 1), filled(send, 1), filled(send, 1)];
  const buffers = taken.map((payload) => payload.bytes.buffer);
  for (const at of [1, 2, 0]) taken[at]!.free();
  for (const at of [1, 2, 0]) {
    assertEquals(filled(send, 1).bytes.buffer === buffers[at], true);
  }
});

test("SendArena puts small data into large blocks when the small ones are out, not more", () => {
  const { send } = arena();
  const sizes = [1, 4096, 1].map((length) => wholeOf(filled(send, length)).length);
  assertEquals([...sizes, send.fits(4096), send.fits(4097)], [4096, 4096, 65536, false, true]);
  assertEquals(wholeOf(filled(send, 65536)).length, 65536);
  assertEquals(send.fill(new Uint8Array(1)), undefined);
  assertEquals(send.free, 0);
  const small = arena().send;
  filled(small, 4097);
  filled(small, 4097);
  assertEquals(small.fill(new Uint8Array(4097)), undefined);
  assertEquals(small.free, 2);
});

function give(back: ReturnWriter, ...blocks: number[]): void {
  for (const block of blocks) back.put(block);
  back.publish();
}

test("SendArena.collect() refuses what the peer cannot have, and hands no block out twice", () => {
  const cases: ((here: ReturnType<typeof arena>) => void)[] = [
    ({ back }) => give(back, 0), // never left
    ({ back }) => give(back, 4), // no such block
    ({ back }) => give(back, 0xffff_ffff),
    ({ back, send }) => { // twice
      const block = filled(send, 1).surrender(send);
      send.lend(block);
      give(back, block, block);
    },
    ({ back, send }) => give(back, send.takePage()), // a page 0 that was not closed
    ({ words }) => words.store(WORD.returned, 5), // more than there are
    ({ words }) => words.store(WORD.returned, -1),
  ];
  for (const spoil of cases) {
    const here = arena();
    spoil(here);
    assertEquals(here.send.collect(), BROKEN);
    const handed = new Set<ArrayBufferLike>();
    for (let payload; (payload = here.send.fill(Uint8Array.of(1))) !== undefined;) {
      assertEquals(handed.has(payload.bytes.buffer), false);
      handed.add(payload.bytes.buffer);
    }
  }
});

test("SendArena.collect() takes blocks back across both wraps of its index", () => {
  for (const firstIndex of [0x7fff_fffe, 0xffff_fffe]) {
    const { send, received } = arena({ firstIndex });
    for (let i = 0; i < 10; i++) {
      const block = filled(send, 1).surrender(send);
      send.lend(block);
      received.payload(block, 1)!.free();
      assertEquals([send.returnsPending(), send.collect(), send.free], [true, 1, 4]);
      assertEquals(send.returnsPending(), false);
    }
  }
});

test("ReceivedBlocks.together() tells the peer once of all that it gives back, once it is there", () => {
  const { send, received, returned } = arena();
  const [last, ...payloads] = [1, 2, 3].map((length) => filled(send, length)).map((payload) => {
    const block = payload.surrender(send);
    send.lend(block);
    return received.payload(block, 1)!;
  });
  received.together(() => payloads.forEach((payload) => payload.free()));
  assertEquals([returned(), send.collect()], [1, 2]);
  const fails = (): void => {
    last!.free();
    throw new Error("a release");
  };
  assertThrows(() => received.together(fails), Error, "a release");
  assertEquals([returned(), send.collect()], [2, 1]);
});

test("ReceivedBlocks gives no view outside of a block, and none of a block that is held", () => {
  const { received, returned } = arena();
  assertEquals(received.payload(0, 4097), undefined);
  assertEquals(received.payload(4, 1), undefined);
  assertEquals(received.payload(0xffff_ffff, 1), undefined);
  assertEquals(received.hold(4), undefined);
  const payload = received.payload(0, 4096)!;
  assertEquals(payload.bytes.length, 4096);
  assertEquals([received.payload(0, 1), received.hold(0)], [undefined, undefined]);
  payload.free();
  payload.free();
  assertEquals([returned(), payload.bytes.length], [1, 0]);
  assertEquals(received.payload(0, 1)?.bytes.length, 1);
  received.hold(1);
  assertEquals([received.payload(1, 1), received.hold(1)], [undefined, undefined]);
});

test("Blocks.view() gives the same view for the same length", () => {
  const { views } = arena();
  const view = views.view(0, 10);
  assertStrictEquals(views.view(0, 10), view);
  assertEquals([views.view(0, 4096).length, views.view(0, 10).length], [4096, 10]);
});

test("BlockPayload.append() fills the last page and no more", () => {
  const { send } = arena();
  const payload = filled(send, 4000, 1);
  assertEquals(payload.append(new Uint8Array(97).fill(2)), false);
  assertEquals(payload.bytes.length, 4000);
  assertEquals(payload.append(new Uint8Array(96).fill(2)), true);
  assertEquals([payload.bytes.length, payload.bytes[3999], payload.bytes[4000]], [4096, 1, 2]);
  assertEquals(payload.append(Uint8Array.of(3)), false);
  payload.free();
  assertEquals(payload.append(Uint8Array.of(3)), false);
});

test("BlockPayload.surrender() refuses a payload of another link, and one that is spent", () => {
  const [here, there] = [arena().send, arena().send];
  const payload = filled(here, 1);
  assertThrows(() => payload.surrender(there), TypeError, "Cannot send a packet");
  payload.surrender(here);
  assertEquals(payload.bytes.length, 0);
  assertThrows(() => payload.surrender(here), TypeError, "Cannot send a packet");
  payload.free();
  assertEquals(here.free, 3);
});
