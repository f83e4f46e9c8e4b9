import { test } from "node:test";
import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import {
  VIRTIO_VSOCK_OP_CREDIT_UPDATE,
  VIRTIO_VSOCK_OP_RW,
} from "../../../ffi/abi/virtio_vsock.ts";
import { Link } from "../../../src/loopback/link.ts";
import {
  createLink,
  END_WORDS,
  type LinkOptions,
  SLOT_WORDS,
  STATE,
  WORD,
} from "../../../src/loopback/link_memory.ts";
import { createLoopbackLink } from "../../../src/loopback/mod.ts";
import { LoopHold } from "../../../src/wait/loop_hold.ts";
import type { Packet } from "../../../src/virtio/packet.ts";
import { LinkPair, packet, pumped, sendData, WAIT_MS } from "./link_pair.ts";

const SMALL: LinkOptions = { smallBlocks: 4, largeBlocks: 2, ringEntries: 4 };

/** Answers that may wait for a slot. */
const REPLIES_MAX = 65_536;

function fwdCnts(packets: Packet[]): number[] {
  return packets.map(({ fwdCnt }) => fwdCnt);
}

test("createLink() refuses options out of range before it makes anything", () => {
  const cases: [LinkOptions, string][] = [
    [{ smallBlocks: 0 }, "smallBlocks: must be an integer from 1 to 65536: current value is 0"],
    [{ largeBlocks: 1.5 }, "largeBlocks: must be an integer from 1 to 65536: current value is 1.5"],
    [{ ringEntries: NaN }, "ringEntries: must be an integer from 2 to 65536: current value is NaN"],
    [{ ringEntries: 3 }, "ringEntries: must be a power of two: current value is 3"],
    [{ deadAfterMs: 9 }, "deadAfterMs: must be an integer from 10 to 2147483647: current value"],
    [{ firstIndex: 2 ** 32 }, "firstIndex: must be an integer from 0 to 4294967295: current value"],
  ];
  for (const [options, message] of cases) {
    assertThrows(() => createLink(options), RangeError, `Cannot use ${message}`);
  }
  const text = { smallBlocks: "4" as never };
  assertThrows(() => createLink(text), TypeError, "Cannot use smallBlocks: must be a number");
});

test("createLoopbackLink() refuses CIDs that are none, or the same", () => {
  for (const cids of [[2, 2], [-1, 2], [2, 2 ** 32]] as const) {
    assertThrows(() => createLoopbackLink({ cids }), RangeError, "Cannot use cids");
  }
});

test("createLoopbackLink() takes options that are an object with getters", () => {
  class Options {
    get smallBlocks(): number {
      return 0;
    }
  }
  assertThrows(() => createLoopbackLink(new Options()), RangeError, "Cannot use smallBlocks");
});

test("new Link() opens an end once, clones of it included", () => {
  const [end] = createLink(SMALL);
  using _link = new Link(end);
  const rule = "must be one that was never opened: current value is one that was";
  for (const same of [end, structuredClone(end)]) {
    assertThrows(() => new Link(same), TypeError, `Cannot open a link end: ${rule}`);
  }
});

test("Link.send() carries every field of the header and the bytes", () => {
  using pair = new LinkPair(SMALL);
  const fields = {
    srcCid: 0xffff_fffe,
    dstCid: 0x8000_0000,
    srcPort: 0xffff_ffff,
    dstPort: 1,
    type: 2,
    flags: 0xffff_ffff,
    bufAlloc: 0x8000_0001,
    fwdCnt: 0xffff_fff0,
  };
  assertEquals(sendData(pair.a, Uint8Array.of(1, 2, 3), fields), true);
  const [got] = pumped(pair.b);
  const { payload, ...header } = got!;
  assertEquals({ ...header }, { ...fields, len: 3, op: VIRTIO_VSOCK_OP_RW });
  assertEquals([...payload!.bytes], [1, 2, 3]);
  pair.b.send(packet(fields));
  const [bare] = pumped(pair.a);
  assertEquals({ ...bare }, { ...packet(fields) });
  assertEquals(Object.hasOwn(bare!, "payload"), false);
});

test("Link.send() keeps the order when the ring is full, across the wrap of its indices", () => {
  using pair = new LinkPair({ ...SMALL, firstIndex: 0xffff_fffa });
  for (let i = 0; i < 21; i++) pair.a.send(packet({ fwdCnt: i }));
  const got: number[] = [];
  for (let round = 0; round < 6; round++) {
    const now = fwdCnts(pumped(pair.b));
    assertEquals(now.length <= 4, true);
    got.push(...now);
    pair.a.send(packet({ fwdCnt: 21 + round })); // there is room, but others wait
    pair.a.pump(() => {});
  }
  assertEquals(got, Array.from({ length: 24 }, (_, i) => i));
});

test("Link.pump() wakes a peer that waits for a slot, and free() one that waits for memory", async () => {
  using hold = new LoopHold();
  hold.acquire();
  using pair = new LinkPair(SMALL);
  for (let i = 0; i < 5; i++) pair.a.send(packet());
  const slot = pair.a.waitAsync();
  assertEquals([pair.a.waitSync(0), pumped(pair.b).length], [false, 4]);
  await slot;
  pair.a.pump(() => {});
  pumped(pair.b);

  for (let i = 0; i < 4; i++) sendData(pair.a, new Uint8Array(5000));
  const [first] = pumped(pair.b);
  const block = pair.a.waitAsync();
  assertEquals(pair.a.waitSync(0), false);
  first!.payload!.free();
  await block;
  hold.release();
});

test("Link.allocate() gives undefined when memory is out, and onRoom() follows once", () => {
  let rooms = 0;
  using pair = new LinkPair({ ...SMALL, ringEntries: 64 }, { onRoom: () => rooms++ });
  let sent = 0;
  while (sendData(pair.a, Uint8Array.of(sent))) sent++;
  assertEquals([sent, pair.a.freeBlocks], [6, 0]);
  pair.a.pump(() => {});
  assertEquals([rooms, pair.a.waitSync(0)], [0, false]);
  const packets = pumped(pair.b);
  for (const { payload } of packets) payload!.free();
  assertEquals(pair.a.waitSync(60_000), true);
  pair.a.pump(() => {});
  pair.a.pump(() => {});
  assertEquals([rooms, pair.a.freeBlocks], [1, 6]);
  assertEquals(new Int32Array(pair.ends[0].control)[WORD.starved], 0);
  while (sendData(pair.a, Uint8Array.of(1)));
  assertEquals([pair.a.waitSync(0), rooms], [false, 1]); // what came back before is no news
});

test("Link.close() ends a wait of its own thread, whether there is a peer or not", {
  timeout: 60_000,
}, async () => {
  using hold = new LoopHold();
  hold.acquire();
  const link = new Link(createLink(SMALL)[0]);
  const wait = link.waitAsync();
  link.close();
  await wait;
  hold.release();
});

test("Link.allocate() that fails anew takes no onRoom() from one that failed before", () => {
  let rooms = 0;
  using pair = new LinkPair({ ...SMALL, ringEntries: 64 }, { onRoom: () => rooms++ });
  while (sendData(pair.a, Uint8Array.of(1)));
  pumped(pair.b)[0]!.payload!.free();
  assertEquals(pair.a.freeBlocks, 1); // a small one
  assertEquals([pair.a.allocate(new Uint8Array(5000)), pair.a.waitSync(0)], [undefined, true]);
  pair.a.pump(() => {});
  assertEquals(rooms, 1);
});

test("Link.allocate() refuses what no packet can carry", () => {
  using pair = new LinkPair(SMALL);
  assertThrows(() => pair.a.allocate(new Uint8Array(0)), RangeError, "current value is 0");
  assertThrows(() => pair.a.allocate(new Uint8Array(65537)), RangeError, "current value is 65537");
  assertEquals(pair.a.freeBlocks, 6);
});

test("Link.send() refuses a payload that is not its own", () => {
  using pair = new LinkPair(SMALL);
  const payload = pair.b.allocate(Uint8Array.of(1))!;
  assertThrows(() => pair.a.send(packet({ len: 1, op: 5, payload })), TypeError, "Cannot send");
  const foreign = { ...payload, append: () => false, revoke() {}, free() {} };
  assertThrows(() => pair.a.send(packet({ len: 1, payload: foreign })), TypeError, "Cannot send");
});

test("Link.waitSync() sees that a peer is silent, though it takes back that it opened its end", () => {
  const reasons: string[] = [];
  const [end] = createLink({ ...SMALL, deadAfterMs: 50 });
  using link = new Link(end, { onDead: (reason) => reasons.push(reason) });
  const words = new Int32Array(end.control, END_WORDS * 4);
  words[WORD.state] = STATE.open;
  words[WORD.beat] = 1;
  link.beat();
  words[WORD.state] = STATE.created;
  assertEquals([link.waitSync(WAIT_MS), reasons], [true, ["the peer gives no sign of life"]]);
});

test("Link.pump() breaks the link on a packet of a peer that has not opened its end", () => {
  const reasons: string[] = [];
  const [end, other] = createLink(SMALL);
  using link = new Link(end, { onDead: (reason) => reasons.push(reason) });
  using peer = new Link(other);
  peer.send(packet());
  new Int32Array(end.control)[END_WORDS + WORD.state] = STATE.created;
  assertEquals([pumped(link), link.alive, reasons.length], [[], false, 1]);
});

test("Link.pump() may be called by what it delivers", () => {
  using pair = new LinkPair(SMALL);
  for (let i = 0; i < 4; i++) pair.a.send(packet({ fwdCnt: i }));
  const got: number[] = [];
  pair.b.pump((outer) => {
    got.push(outer.fwdCnt);
    pair.b.pump((inner) => got.push(inner.fwdCnt));
  });
  assertEquals(got, [0, 1, 2, 3]);
});

test("Link.close() lets the peer pump what was sent before, then tells it", () => {
  const reasons: string[] = [];
  using pair = new LinkPair(SMALL, {}, { onDead: (reason) => reasons.push(reason) });
  sendData(pair.a, Uint8Array.of(1));
  pair.a.close();
  pair.a.close();
  const got: number[] = [];
  pair.b.pump(({ len }) => got.push(len + reasons.length));
  assertEquals([got, reasons, pair.b.alive], [[1], ["the peer has closed the link"], false]);
  assertEquals(pair.b.allocate(Uint8Array.of(1)), undefined);
  assertEquals(pair.b.openPage0(3, 4, 1, 0), undefined);
  pair.b.send(packet());
  assertEquals([pumped(pair.b), pair.b.waitSync(Infinity), reasons.length], [[], true, 1]);
});

test("Link.send() on a dead link drops the packet and frees its payload", () => {
  using pair = new LinkPair(SMALL);
  const payload = pair.b.allocate(Uint8Array.of(1))!;
  pair.a.close();
  pair.b.beat();
  pair.b.send(packet({ op: VIRTIO_VSOCK_OP_RW, len: 1, payload }));
  assertEquals([pair.b.alive, pair.b.freeBlocks], [false, 6]);
});

test("Link.waitSync() refuses a time that is no number", () => {
  using pair = new LinkPair(SMALL);
  assertThrows(() => pair.a.waitSync(NaN), RangeError, "Cannot wait: timeoutMs must be a number");
  assertEquals(pair.a.waitSync(-1), false);
});

test("Link.waitAsync() is one wait for all who call, and ends when the link is closed", async () => {
  using hold = new LoopHold();
  hold.acquire();
  using pair = new LinkPair(SMALL);
  const wait = pair.a.waitAsync();
  assertEquals(pair.a.waitAsync() === wait, true);
  assertEquals(pair.a.waitSync(1), false);
  pair.b.send(packet());
  await wait;
  assertEquals(pumped(pair.a).length, 1);
  const last = pair.a.waitAsync();
  pair.a.close();
  await last;
  hold.release();
});

test("Link.waitAsync() works where Atomics.waitAsync is missing", { timeout: 60_000 }, async () => {
  const { waitAsync } = Atomics;
  Reflect.deleteProperty(Atomics, "waitAsync");
  using hold = new LoopHold();
  hold.acquire();
  try {
    using pair = new LinkPair(SMALL);
    const wait = pair.a.waitAsync();
    pair.b.send(packet());
    await wait;
    assertEquals(pumped(pair.a).length, 1);
  } finally {
    hold.release();
    Object.defineProperty(Atomics, "waitAsync", {
      value: waitAsync,
      configurable: true,
      writable: true,
    });
  }
});

/** What a peer can write into the memory that it shares, after it has sent one good packet. */
const SPOILED: Readonly<Record<string, (slot: Uint32Array, own: Int32Array) => void>> = {
  "a tail far ahead": (_, own) => own[WORD.tail] = 100,
  "a tail behind": (_, own) => own[WORD.tail] = -1,
  "a source CID over 32 bits": (slot) => slot[1] = 1,
  "a destination CID over 32 bits": (slot) => slot[3] = 0xffff_ffff,
  "a length over the block": (slot) => slot[6] = 4097,
  "a length of 4 GiB - 1": (slot) => slot[6] = 0xffff_ffff,
  "a length of 0 with a block": (slot) => slot[6] = 0,
  "a block that does not exist": (slot) => slot[11] = 6,
  "no block for its bytes": (slot) => slot[11] = 0xffff_ffff,
  "bytes in a packet that has none": (slot) => slot[7] = 1 | (VIRTIO_VSOCK_OP_CREDIT_UPDATE << 16),
  "a record of no kind": (slot) => slot[12] = 3,
  "the end of a page 0 that never was": (slot) => slot[12] = 2,
  "a page 0 in a block that does not exist": (slot) => (slot[12] = 1, slot[11] = 0xffff_fffe),
};

for (const [what, spoil] of Object.entries(SPOILED)) {
  test(`Link.pump() breaks the link on ${what}`, () => {
    const reasons: string[] = [];
    using pair = new LinkPair(SMALL, {}, { onDead: (reason) => reasons.push(reason) });
    sendData(pair.a, Uint8Array.of(1));
    const { control, lanes } = pair.ends[0];
    spoil(new Uint32Array(lanes[0].ring, 0, SLOT_WORDS), new Int32Array(control, 0, END_WORDS));
    assertEquals([pumped(pair.b), pumped(pair.b)], [[], []]);
    assertEquals([reasons.length, pair.b.alive], [1, false]);
    assertMatch(reasons[0]!, /^the peer broke the rules of the link: /);
  });
}

for (
  const [what, returned] of [
    ["a block given back that the peer never had", 1],
    ["more blocks given back than there are", 1000],
  ] as const
) {
  test(`Link.allocate() breaks the link on ${what}, once it takes blocks back`, () => {
    const reasons: string[] = [];
    using pair = new LinkPair(SMALL, {}, { onDead: (reason) => reasons.push(reason) });
    new Int32Array(pair.ends[0].control)[WORD.returned] = returned;
    for (let i = 0; i < 4; i++) assertEquals(pair.b.allocate(Uint8Array.of(1))?.bytes.length, 1);
    assertEquals(pair.b.allocate(Uint8Array.of(1)), undefined);
    assertEquals([reasons.length, pair.b.alive], [1, false]);
    assertMatch(reasons[0]!, /^the peer broke the rules of the link: it gave back a block/);
  });
}

test("Link.pump() breaks the link on a block that this end holds already", () => {
  const reasons: string[] = [];
  using pair = new LinkPair(SMALL, {}, { onDead: (reason) => reasons.push(reason) });
  sendData(pair.a, Uint8Array.of(1));
  sendData(pair.a, Uint8Array.of(2));
  const slots = new Uint32Array(pair.ends[0].lanes[0].ring);
  slots[SLOT_WORDS + 11] = slots[11]!;
  assertEquals([pumped(pair.b).length, reasons.length], [1, 1]);
});

test("Link.send() breaks the link when the peer has taken what was never sent", () => {
  const reasons: string[] = [];
  using pair = new LinkPair(SMALL, { onDead: (reason) => reasons.push(reason) });
  new Int32Array(pair.ends[0].control)[END_WORDS + WORD.head] = 5;
  for (let i = 0; i < 5; i++) pair.a.send(packet());
  assertEquals([reasons.length, pair.a.alive], [1, false]);
});

test("Link.pump() gives nothing of a peer that broke the rules to who is told of that", () => {
  const got: Packet[] = [];
  using pair = new LinkPair(SMALL, { onDead: () => got.push(...pumped(pair.a)) });
  pair.b.send(packet());
  new Int32Array(pair.ends[0].control)[END_WORDS + WORD.returned] = 1;
  assertEquals([pair.a.freeBlocks, pair.a.alive, got], [6, false, []]);
});

test("Link.send() lets any number of packets wait, and of answers that are taken in the end", () => {
  const ringEntries = 1_024;
  using pair = new LinkPair({ ...SMALL, ringEntries });
  const answers = 3 * REPLIES_MAX;
  let got = 0;
  for (let round = 0; round < 3; round++) {
    for (let asked = 0; asked < REPLIES_MAX / 64; asked++) {
      pair.a.send(packet());
      pair.b.pump(() => {
        for (let i = 0; i < 64; i++) pair.b.send(packet());
      });
    }
    for (let last = -1; last !== got; pair.b.pump(() => {})) {
      last = got;
      pair.a.pump(() => got++);
    }
  }
  assertEquals([got, pair.b.alive], [answers, true]);
  for (let i = 0; i <= REPLIES_MAX + ringEntries; i++) pair.b.send(packet());
  assertEquals(pair.b.alive, true);
});

test("Link.pump() breaks the link when the peer asks on and on and takes no answer", () => {
  const reasons: string[] = [];
  using pair = new LinkPair(SMALL, {}, { onDead: (reason) => reasons.push(reason) });
  let answers = 0;
  for (; pair.b.alive && answers < 100_000; answers++) {
    pair.a.send(packet());
    pair.b.pump(() => pair.b.send(packet()));
  }
  assertEquals([answers < 100_000, reasons.length], [true, 1]);
  assertMatch(reasons[0]!, /takes no answer$/);
});
