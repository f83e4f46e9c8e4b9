import { test } from "node:test";
import { assertEquals } from "@std/assert";
import {
  VIRTIO_VSOCK_OP_REQUEST,
  VIRTIO_VSOCK_OP_RESPONSE,
  VIRTIO_VSOCK_OP_RST,
  VIRTIO_VSOCK_OP_RW,
  VIRTIO_VSOCK_OP_SHUTDOWN,
  VIRTIO_VSOCK_SHUTDOWN_RCV,
  VIRTIO_VSOCK_SHUTDOWN_SEND,
} from "../../../ffi/abi/virtio_vsock.ts";
import { PROT_READ } from "../../../ffi/abi/mman.ts";
import { SHUT_RD } from "../../../ffi/abi/socket.ts";
import { connect, listen } from "../../../mod.ts";
import { createLoopbackLink, openLoopback } from "../../../src/loopback/mod.ts";
import { END_WORDS, WORD } from "../../../src/loopback/link_memory.ts";
import { ARM_WORDS, Flows, type Page0, SENT, THRESHOLD } from "../../../src/loopback/link_page0.ts";
import { LinkPair, packet, pumped, sendData } from "./link_pair.ts";

const OPTIONS = { smallBlocks: 4, largeBlocks: 1, ringEntries: 8 };

/** `a` has a connection from its port 3 to port 4 of `b`. */
function connected(events: ConstructorParameters<typeof LinkPair>[2] = {}): LinkPair {
  const pair = new LinkPair(OPTIONS, {}, events);
  pair.a.send(packet({ op: VIRTIO_VSOCK_OP_REQUEST }));
  pumped(pair.b);
  return pair;
}

function opened(pair: LinkPair, at: number): Page0 {
  const page = pair.b.openPage0(3, 4, at, 0);
  if (page === undefined) throw new Error("no block");
  pair.a.pump(() => {});
  return page;
}

function pollValue({ words }: Page0): number {
  return Atomics.load(words, 0);
}

function takeAll(pair: LinkPair): void {
  for (const { payload } of pumped(pair.b)) payload?.free();
}

test("Page0 is 0 until the peer has sent the armed count, then 1", () => {
  using pair = connected();
  const page = opened(pair, 5);
  assertEquals([page.words.length, page.words.every((word) => word === 0)], [1024, true]);
  sendData(pair.a, new Uint8Array(4));
  assertEquals(pollValue(page), 0);
  sendData(pair.a, new Uint8Array(1));
  assertEquals(pollValue(page), 1);
});

test("Page0 is 1 at once for what was sent before the peer knew of it", () => {
  using pair = connected();
  sendData(pair.a, new Uint8Array(5));
  assertEquals(pollValue(opened(pair, 6)), 0);
  assertEquals(pollValue(opened(pair, 5)), 1);
});

test("Page0.settle() knows what has arrived, though the peer does not know of the page", () => {
  using pair = connected();
  const page = pair.b.openPage0(3, 4, 5, 5)!;
  assertEquals(pollValue(page), 0);
  page.settle(5, false);
  assertEquals(pollValue(page), 1);
  page.settle(6, false);
  assertEquals(pollValue(page), 0);
});

test("Page0.settle() counts modulo 2^32", () => {
  using pair = connected();
  const page = pair.b.openPage0(3, 4, 0x8000_0005, 0x8000_0006)!;
  const values = [0x8000_0006, 0x8000_0007].map((at) => {
    page.settle(at, false);
    return pollValue(page);
  });
  assertEquals(values, [1, 0]);
});

test("Page0 hears nothing of other connections", () => {
  using pair = connected();
  const page = opened(pair, 100);
  for (const ports of [{ srcPort: 4, dstPort: 3 }, { srcPort: 5 }, { dstPort: 5 }]) {
    pair.a.send(packet({ op: VIRTIO_VSOCK_OP_REQUEST, ...ports }));
    sendData(pair.a, new Uint8Array(1));
    sendData(pair.a, new Uint8Array(100), ports);
    pair.a.send(packet({ op: VIRTIO_VSOCK_OP_RST, ...ports }));
    assertEquals(pollValue(page), 0);
    takeAll(pair);
  }
});

test("Page0.settle() says whether the peer has sent so much, taken in or not", () => {
  using pair = connected();
  const page = opened(pair, 1);
  sendData(pair.a, new Uint8Array(1));
  page.settle(2, false);
  assertEquals(pollValue(page), 0);
  page.settle(1, false);
  assertEquals(pollValue(page), 1);
  page.settle(2, false);
  sendData(pair.a, new Uint8Array(1));
  assertEquals(pollValue(page), 1);
});

test("Page0.settle() never takes ~0 back, nor does the peer", () => {
  using pair = connected();
  const page = opened(pair, 1);
  page.settle(0, true);
  page.settle(1, false);
  page.settle(0, false);
  sendData(pair.a, new Uint8Array(1));
  assertEquals(pollValue(page), -1);
});

for (
  const [what, fields] of [
    ["SHUTDOWN(SEND)", { op: VIRTIO_VSOCK_OP_SHUTDOWN, flags: VIRTIO_VSOCK_SHUTDOWN_SEND }],
    ["RST", { op: VIRTIO_VSOCK_OP_RST }],
    ["REQUEST on the same ports", { op: VIRTIO_VSOCK_OP_REQUEST }],
  ] as const
) {
  test(`Page0 is ~0 when the peer sends ${what}`, () => {
    using pair = connected();
    const page = opened(pair, 1);
    pair.a.send(packet({ op: VIRTIO_VSOCK_OP_SHUTDOWN, flags: VIRTIO_VSOCK_SHUTDOWN_RCV }));
    assertEquals(pollValue(page), 0);
    pair.a.send(packet(fields));
    assertEquals(pollValue(page), -1);
  });
}

test("Page0 is ~0 when the peer knows no such connection any more", () => {
  using pair = connected();
  pair.b.send(packet({ op: VIRTIO_VSOCK_OP_RST, srcPort: 4, dstPort: 3 }));
  pair.a.pump(() => {});
  assertEquals(pollValue(opened(pair, 1)), -1);
});

test("Page0 is ~0 when either end closes the link", () => {
  for (const side of ["a", "b"] as const) {
    using pair = connected();
    const page = opened(pair, 1);
    pair[side].close();
    assertEquals(pollValue(page), -1);
  }
});

test("Page0.close() gives the memory back once the peer has forgotten it", () => {
  using pair = connected();
  const page = opened(pair, 1);
  assertEquals(pair.b.freeBlocks, 4);
  page.close();
  page.close();
  assertEquals([pair.b.freeBlocks, pollValue(page)], [4, -1]); // who spins on it looks up
  page.words[0] = 0;
  pair.a.pump(() => {});
  assertEquals([pair.b.freeBlocks, pair.a.alive], [5, true]);
  sendData(pair.a, new Uint8Array(1));
  page.settle(0, true);
  page.settle(0, false);
  pair.a.send(packet({ op: VIRTIO_VSOCK_OP_RST }));
  assertEquals(pollValue(page), 0);
});

test("Page0 of a connection that is over does not outlive its block", () => {
  using pair = connected();
  const old = opened(pair, 1);
  pair.a.send(packet({ op: VIRTIO_VSOCK_OP_RST }));
  pair.a.send(packet({ op: VIRTIO_VSOCK_OP_RESPONSE }));
  const page = opened(pair, 1);
  old.close();
  pair.a.pump(() => {});
  assertEquals([pollValue(page), pair.b.freeBlocks], [0, 4]);
  sendData(pair.a, new Uint8Array(1));
  assertEquals(pollValue(page), 1);
});

/** The Atomics that `run` makes on the words of a page 0, in their order. */
function ordered(pair: LinkPair, page: Page0, run: () => void): string[] {
  const { control, lanes } = pair.ends[0];
  const names = new Map([
    [control, "ring"],
    [page.words.buffer, "poll_value"],
  ]);
  const log: string[] = [];
  const { load, store, compareExchange } = Atomics;
  const spied = { load, store, compareExchange };
  const spy = (name: keyof typeof spied): void => {
    const real = spied[name] as (words: Int32Array, at: number, ...rest: number[]) => number;
    Reflect.set(Atomics, name, (words: Int32Array, at: number, ...rest: number[]): number => {
      const armed = words.buffer === lanes[1].arms
        ? new Map([[THRESHOLD, "threshold"], [SENT, "count"]]).get(at % ARM_WORDS)
        : undefined;
      const word = armed ?? names.get(words.buffer);
      const tail = at === WORD.tail; // of `pair.a`
      if (word !== undefined && (word !== "ring" || tail)) log.push(`${name} ${word}`);
      return real(words, at, ...rest);
    });
  };
  for (const name of ["load", "store", "compareExchange"] as const) spy(name);
  try {
    run();
  } finally {
    Object.assign(Atomics, spied);
  }
  return log;
}

test("Page0 and its sender keep the order in which no wake-up is lost", () => {
  using pair = connected();
  const page = opened(pair, 1);
  sendData(pair.a, new Uint8Array(1));
  takeAll(pair);
  assertEquals(ordered(pair, page, () => page.settle(2, false)), [
    "store threshold",
    "compareExchange poll_value",
    "load count",
  ]);
  const sender = ordered(pair, page, () => sendData(pair.a, new Uint8Array(1)));
  assertEquals(sender, [
    "store ring",
    "store count",
    "load threshold",
    "load poll_value",
    "compareExchange poll_value",
  ]);
});

test("Page0.close() takes nothing from a later page 0 of the same connection", () => {
  using pair = connected();
  const old = opened(pair, 1);
  const page = opened(pair, 1);
  old.close();
  pair.a.pump(() => {});
  sendData(pair.a, new Uint8Array(1));
  assertEquals(pollValue(page), 1);
});

test("Page0 in a block that was another one begins anew", () => {
  using pair = connected();
  const old = opened(pair, 1);
  sendData(pair.a, new Uint8Array(100));
  old.close();
  pair.a.pump(() => {});
  pair.a.send(packet({ op: VIRTIO_VSOCK_OP_REQUEST }));
  const page = pair.b.openPage0(3, 4, 1, 0)!; // the peer does not know of it yet
  page.settle(1, false);
  assertEquals(pollValue(page), 0);
});

test("Link.openPage0() gives undefined when memory is out", () => {
  using pair = connected();
  for (let i = 0; i < 2; i++) opened(pair, 1);
  assertEquals(pair.b.openPage0(3, 4, 1, 0), undefined);
  assertEquals(pair.b.freeBlocks, 3); // for data
});

test("Page0 keeps its receiver asleep until there is as much as it waits for, or credit", () => {
  using pair = connected();
  const page = opened(pair, 1);
  page.settle(10, false);
  const woken = (send: () => void): boolean => {
    const words = new Int32Array(pair.ends[1].control);
    const sleeping = END_WORDS + WORD.sleeping; // of `pair.b`
    words[sleeping] = 1;
    send();
    return Atomics.exchange(words, sleeping, 0) === 0;
  };
  assertEquals(woken(() => sendData(pair.a, new Uint8Array(9))), false);
  assertEquals(woken(() => sendData(pair.a, new Uint8Array(1))), true);
  page.settle(20, false);
  assertEquals(woken(() => sendData(pair.a, new Uint8Array(1), { fwdCnt: 5 })), true);
  assertEquals(woken(() => sendData(pair.a, new Uint8Array(1), { fwdCnt: 5 })), false);
  takeAll(pair); // there are five blocks
  const both = { fwdCnt: 5, bufAlloc: 7 };
  assertEquals(woken(() => sendData(pair.a, new Uint8Array(1), both)), true);
  assertEquals(woken(() => sendData(pair.a, new Uint8Array(1), both)), false);
  assertEquals(woken(() => pair.a.send(packet({ op: VIRTIO_VSOCK_OP_RST }))), true);
});

test("Flows.close() knows of a page 0 once", () => {
  const flows = new Flows();
  flows.open(3, 4, new Uint8Array(new SharedArrayBuffer(4096)), new Int32Array(ARM_WORDS), 0);
  assertEquals([flows.close(1), flows.close(0), flows.close(0)], [false, true, false]);
});

test("Flows count sent bytes modulo 2^32", () => {
  const flows = new Flows();
  const [page, arms] = [new Uint8Array(new SharedArrayBuffer(4096)), new Int32Array(ARM_WORDS)];
  const words = new Int32Array(page.buffer);
  flows.sent(packet({ op: VIRTIO_VSOCK_OP_REQUEST }));
  flows.sent(packet({ op: VIRTIO_VSOCK_OP_RW, len: 0xffff_fff0 })); // as of many packets
  arms[0] = 4;
  flows.open(3, 4, page, arms, 0);
  flows.sent(packet({ op: VIRTIO_VSOCK_OP_RW, len: 19 }));
  assertEquals(words[0], 0);
  flows.sent(packet({ op: VIRTIO_VSOCK_OP_RW, len: 1 }));
  assertEquals(words[0], 1);
});

test("mmap() over a link has a page 0 that heeds SO_RCVLOWAT and SHUT_RD, and gives it back", async () => {
  const [end, other] = createLoopbackLink({ smallBlocks: 2 }); // one page 0
  using host = openLoopback(end);
  using guest = openLoopback(other);
  const address = { cid: 2, port: 1024 };
  using listener = listen(address, { transport: host, options: { zeroCopyReceive: true } });
  for (let round = 0; round < 2; round++) {
    using near = await connect(address, { transport: guest });
    using far = await listener.accept();
    far.options.rcvlowat = 10;
    const { spins, page0 } = far.socket.mmap(8192, PROT_READ);
    near.socket.poll(0); // it hears of that
    const values = [5, 5].map((length) => {
      near.socket.send(new Uint8Array(length), 0);
      return page0[0];
    });
    far.socket.shutdown(SHUT_RD);
    assertEquals([spins, ...values, page0[0]], [true, 0, 1, -1]);
    far.close();
    near.socket.poll(0);
  }
});
