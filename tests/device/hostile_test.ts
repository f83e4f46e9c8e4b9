/** Whatever a guest sends, it harms itself alone: the device and another guest of it go on. */
import { after, before, test } from "node:test";
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import * as op from "../../ffi/abi/virtio_vsock.ts";
import type { Conn } from "../../src/conn.ts";
import { VsockError } from "../../src/error.ts";
import { listen } from "../../src/listen.ts";
import type { Listener } from "../../src/listener.ts";
import {
  createVsockDevice,
  type VsockDevice,
  type VsockDeviceOptions,
} from "../../src/vhost_user/device.ts";
import type { VsockGuest } from "../../src/vhost_user/served_guest.ts";
import { type Header, HEADER_SIZE } from "../../src/virtio/packet.ts";
import { exchange, warmUp } from "./exchange.ts";
import { leavesNothing } from "./footprint.ts";
import { freshPath, GUEST_CID } from "./lab.ts";
import { Machine } from "./machine.ts";
import { RawGuest } from "./raw_guest.ts";
import { BREAKAGES } from "./breakage.ts";

const TIMEOUT_MS = 60_000;
const SOON = { timeoutMs: 30_000 };
const PORT = 1_024;
const faults: string[] = [];
let device: VsockDevice;
let bystander: VsockGuest;
let other: Machine;
let listener: Listener;

before(async () => {
  const onFault: VsockDeviceOptions["onFault"] = ({ name, message }, { cid }) =>
    void faults.push(`${cid}: ${name}: ${message}`);
  device = createVsockDevice({ socketPath: freshPath(), guestCid: GUEST_CID, onFault });
  bystander = device.addGuest({ socketPath: freshPath(), guestCid: GUEST_CID + 1 });
  listener = listen({ cid: 2, port: PORT }, { transport: device });
  other = await Machine.start(bystander);
  await warmUp(device);
});

after(() => {
  other.close();
  device.close();
});

/** Runs `check` with a raw guest and a connection of it; the other guest is served after it. */
async function withGuest(check: (guest: RawGuest, conn: Conn) => Promise<void>): Promise<void> {
  await leavesNothing(async () => {
    faults.length = 0;
    using guest = await RawGuest.start(device.guest);
    await guest.connect(PORT);
    using conn = await listener.accept(SOON);
    await check(guest, conn);
    await exchange(device, other);
  });
}

/** The connection still is, and gets what the guest sends. */
async function isAlive(guest: RawGuest, conn: Conn): Promise<void> {
  guest.send({ op: op.VIRTIO_VSOCK_OP_RW, dstPort: PORT }, Uint8Array.of(1, 2, 3));
  assertEquals(await conn.read(new Uint8Array(100), SOON), 3);
  assertEquals(faults, []);
}

const { VIRTIO_VSOCK_OP_RW: RW, VIRTIO_VSOCK_OP_RST: RST } = op;

/** Packets that make no sense: taken, and not answered. */
const NONSENSE: Readonly<Record<string, readonly [Partial<Header>, number?]>> = {
  "a len larger than the chain": [{ op: RW, dstPort: PORT, len: 11 }, 10],
  "a len of 4 GiB": [{ op: RW, dstPort: PORT, len: 0xffff_ffff }, 10],
  "a payload of 65537 bytes": [{ op: RW, dstPort: PORT, len: 65_537 }, 65_537],
  "a REQUEST with a payload": [{ op: 1, dstPort: PORT, srcPort: 9 }, 10],
  "a RST with a payload": [{ op: RST, dstPort: PORT }, 10],
  "the CID of another guest": [{ op: 1, dstPort: PORT, srcCid: GUEST_CID + 1 }],
  "the CID of the host": [{ op: 1, dstPort: PORT, srcCid: 2 }],
  "RST of no connection": [{ op: RST, dstPort: 9, srcPort: 9 }],
  "RW without bytes": [{ op: RW, dstPort: PORT }],
  "an operation that nobody knows": [{ op: 99, dstPort: PORT }],
  "SHUTDOWN of nothing": [{ op: op.VIRTIO_VSOCK_OP_SHUTDOWN, dstPort: PORT }],
};

for (const [name, [header, length = 0]] of Object.entries(NONSENSE)) {
  test(`VsockDevice drops ${name}, and the connection goes on`, {
    timeout: TIMEOUT_MS,
  }, async () => {
    await withGuest(async (guest, conn) => {
      guest.send(header, new Uint8Array(length));
      await guest.taken();
      await isAlive(guest, conn);
    });
  });
}

test("VsockDevice drops a packet of 0 to 43 bytes", { timeout: TIMEOUT_MS }, async () => {
  await withGuest(async (guest, conn) => {
    for (const length of [0, 1, 43]) {
      guest.sendChain([{ address: guest.scratch().address, length, writable: false }]);
    }
    await guest.taken();
    await isAlive(guest, conn);
  });
});

test("VsockDevice reads packets cut into single bytes, with nothing between them", {
  timeout: TIMEOUT_MS,
}, async () => {
  await withGuest(async (guest, conn) => {
    guest.send({ op: RW, dstPort: PORT }, Uint8Array.of(5, 6, 7));
    await guest.taken();
    const got = new Uint8Array(100);
    assertEquals(await conn.read(got, SOON), 3);
    const { address, bytes } = guest.scratch();
    guest.write({ op: RW, dstPort: PORT, len: 3 }, Uint8Array.of(7, 8, 9), bytes);
    guest.sendChain(
      Array.from({ length: 2 * (HEADER_SIZE + 3) }, (_, i) => ({
        address: address + (i >> 1),
        length: i & 1,
        writable: false,
      })),
      true,
    );
    await guest.taken();
    assertEquals(await conn.read(got, SOON), 3);
    assertEquals(got.subarray(0, 3), Uint8Array.of(7, 8, 9));
    assertEquals(faults, []);
  });
});

/** Packets that are answered by RST, whatever else there is. */
const REFUSED: Readonly<Record<string, Partial<Header>>> = {
  "a port that nobody listens on": { op: 1, dstPort: 9 },
  "SEQPACKET to a STREAM listener": { op: 1, dstPort: PORT, type: 2, srcPort: 9 },
  "type 0": { op: 1, dstPort: PORT, type: 0 },
  "type 65535": { op: 1, dstPort: PORT, type: 0xffff },
  "RESPONSE to a listener": { op: 2, dstPort: PORT, srcPort: 9 },
  "CREDIT_REQUEST of no connection": { op: 7, dstPort: 9, srcPort: 9 },
  "a CID of nobody": { op: 1, dstPort: PORT, dstCid: 77 },
  "the CID of itself": { op: 1, dstPort: PORT, dstCid: GUEST_CID },
  "a guest that it may not reach": { op: 1, dstPort: PORT, dstCid: GUEST_CID + 1 },
};

for (const [name, header] of Object.entries(REFUSED)) {
  test(`VsockDevice answers by RST: ${name}`, { timeout: TIMEOUT_MS }, async () => {
    await withGuest(async (guest, conn) => {
      guest.send(header);
      const answer = await guest.next();
      assertEquals([answer.op, answer.len, answer.srcPort], [RST, 0, header.dstPort!]);
      assertEquals([answer.dstCid, answer.dstPort], [GUEST_CID, header.srcPort ?? 7_000]);
      await isAlive(guest, conn);
    });
  });
}

test("VsockDevice answers by RST: SEQPACKET of a driver that has not agreed to it", {
  timeout: TIMEOUT_MS,
}, async () => {
  using messages = listen({ cid: 2, port: PORT + 1 }, { transport: device, type: "seqpacket" });
  for (const seqpacket of [false, true]) {
    const { socketPath } = device.guest;
    using guest = await RawGuest.start({ socketPath, seqpacket });
    guest.send({ op: 1, dstPort: PORT + 1, type: 2 });
    const { op: answer } = await guest.next();
    assertEquals(answer, seqpacket ? op.VIRTIO_VSOCK_OP_RESPONSE : RST);
    if (seqpacket) (await messages.accept(SOON)).close();
  }
});

test("Conn.write() goes on with credit that comes in a packet without bytes", {
  timeout: TIMEOUT_MS,
}, async () => {
  for (const one of [{ op: RW }, { op: 99 }, { op: op.VIRTIO_VSOCK_OP_CREDIT_UPDATE }]) {
    using guest = await RawGuest.start(device.guest);
    await guest.connect(PORT, { bufAlloc: 0 });
    using conn = await listener.accept(SOON);
    const writing = conn.write(Uint8Array.of(1), SOON);
    guest.send({ ...one, dstPort: PORT });
    assertEquals(await writing, 1);
  }
});

test("VsockDevice resets a connection whose guest sends more than it was given credit for", {
  timeout: TIMEOUT_MS,
}, async () => {
  await withGuest(async (guest, conn) => {
    for (let sent = 0; sent <= 262_144; sent += 65_536) {
      guest.send({ op: RW, dstPort: PORT }, new Uint8Array(65_536));
      await guest.taken();
    }
    assertEquals((await guest.next()).op, RST);
    const reading = async (): Promise<void> => {
      while (await conn.read(new Uint8Array(65_536), SOON) !== null);
    };
    assertEquals((await assertRejects(reading, VsockError)).code, "ENOBUFS");
  });
});

test("VsockDevice sends no more than its own buffer, whatever credit the guest claims to give", {
  timeout: TIMEOUT_MS,
}, async () => {
  await withGuest(async (guest, conn) => {
    const credit = { bufAlloc: 0xffff_ffff, fwdCnt: 0x8000_0000 };
    guest.send({ op: op.VIRTIO_VSOCK_OP_CREDIT_UPDATE, dstPort: PORT, ...credit });
    await guest.taken();
    assertEquals(conn.socket.send(new Uint8Array(262_145), 0), -1); // the peer claims to owe
    guest.send({ op: op.VIRTIO_VSOCK_OP_CREDIT_UPDATE, dstPort: PORT, bufAlloc: 0xffff_ffff });
    await guest.taken();
    // 64 buffers of 4096 bytes, and one that the RESPONSE took is back.
    assertEquals(conn.socket.send(new Uint8Array(1 << 20), 0), 262_144);
  });
});

test("VsockDevice stops to read where its answers find no room, and goes on once they do", {
  timeout: TIMEOUT_MS,
}, async () => {
  await leavesNothing(async () => {
    faults.length = 0;
    using guest = await RawGuest.start(device.guest, 0);
    let sent = 0;
    const request = { op: op.VIRTIO_VSOCK_OP_REQUEST, dstPort: 9 };
    for (; sent < 512 && guest.tx.driver.free > 0; sent++) {
      guest.send(request);
      if (sent % 16 === 15) await new Promise((resolve) => setTimeout(resolve, 1));
      while (guest.tx.driver.getUsed() !== undefined);
    }
    assert(sent <= 2 * 128 + 16, `${sent} packets were taken`);
    await exchange(device, other);
    for (let i = 0; i < 64; i++) guest.post(guest.machine.ram.take(4_096));
    guest.rx.publish();
    for (let got = 0; got < sent; got++) assertEquals((await guest.next()).op, RST);
    await guest.taken();
    assertEquals(faults, []);
  });
});

test("VsockDevice refuses connections past the backlog of a listener that accepts none", {
  timeout: TIMEOUT_MS,
}, async () => {
  await withGuest(async (guest) => {
    using _idle = listen({ cid: 2, port: 1_025 }, { transport: device, backlog: 4 });
    const answers: number[] = [];
    for (let srcPort = 1; srcPort <= 40; srcPort++) {
      guest.send({ op: op.VIRTIO_VSOCK_OP_REQUEST, dstPort: 1_025, srcPort });
      answers.push((await guest.next()).op);
    }
    assertEquals(answers.filter((answer) => answer !== RST).length, 5);
  });
});

for (const { name, fault, act } of BREAKAGES) {
  test(`VsockDevice does without a guest that has ${name}, until it boots again`, {
    timeout: TIMEOUT_MS,
  }, async () => {
    await withGuest(async (guest, conn) => {
      act(guest, conn);
      await guest.rx.broken(AbortSignal.timeout(30_000));
      assertEquals(faults.length, 1, `${faults}`);
      assert(faults[0]!.startsWith(`${GUEST_CID}: VirtqueueError`), faults[0]);
      assertMatch(faults[0]!, fault);
      assertEquals(device.guest.up, false);
      const reading = conn.read(new Uint8Array(1), SOON);
      assertEquals((await assertRejects(() => reading, VsockError)).code, "ECONNRESET");
      guest.rx.kickNow();
      guest.tx.kickNow();
      await guest.machine.frontEnd.settled(); // after each message its rings are looked at
      await exchange(device, other);
      await guest.machine.reboot();
      await device.guest.ready();
      await exchange(device, guest.machine);
      assertEquals(faults.length, 1, `${faults}`);
    });
  });
}
