/**
 * What a guest may write into its rings that no driver may. After each of these the device does
 * without it.
 *
 * @module
 */
import type { Conn } from "../../src/conn.ts";
import { HEADER_SIZE } from "../../src/virtio/packet.ts";
import { view, writeDesc } from "../unit/virtio/virtqueue_driver.ts";
import type { GuestRing } from "./guest_ring.ts";
import type { RawGuest } from "./raw_guest.ts";

/** One thing that a guest does. */
export interface Breakage {
  /** Completes "a guest that has". */
  readonly name: string;
  /** What `onFault` is told. */
  readonly fault: RegExp;
  act(guest: RawGuest, conn: Conn): void;
}

const NEXT = 1;
const WRITE = 2;
const INDIRECT = 4;

/** A descriptor of the transmit ring, as it is not to be. */
function sends(
  name: string,
  fault: RegExp,
  desc: (
    guest: RawGuest,
    head: number,
  ) => readonly [address: number, length: number, flags: number, next?: number],
): Breakage {
  return {
    name: `sent ${name}`,
    fault,
    act(guest) {
      const head = guest.tx.driver.stage([{ address: 0, length: 0, writable: false }])!;
      const [address, length, flags, next = 0] = desc(guest, head);
      writeDesc(view(guest.tx.memory.desc), head, address, length, flags, next);
      guest.tx.publish();
      guest.tx.kickNow();
    },
  };
}

/** The next receive buffer is as it is not to be, and a packet is sent that would need it. */
function receives(
  name: string,
  fault: RegExp,
  change: (at: number) => readonly [address: number, length: number, flags: number],
): Breakage {
  return {
    name: `posted ${name}`,
    fault,
    act(guest, conn) {
      const desc = view(guest.rx.memory.desc);
      for (let index = 0; index < 128; index++) {
        writeDesc(desc, index, ...change(guest.scratch().address), 0);
      }
      conn.socket.send(new Uint8Array(100_000), 0);
    },
  };
}

/** Sets a word of the available ring. */
function setAvail(ring: GuestRing, word: number, value: (now: number) => number): void {
  const { buffer, byteOffset } = ring.memory.avail;
  const at = view(new Uint8Array(buffer, byteOffset + 2 * word, 2));
  at.setUint16(0, value(at.getUint16(0, true)), true);
  ring.kickNow();
}

const OUTSIDE = /a buffer must be within guest memory/;
const HOLE = 0x0b_0000;
/** The last bytes below 640 KiB. */
const LOW_END = 0x0a_0000;

/** All of them. */
export const BREAKAGES: readonly Breakage[] = [
  sends("from outside of its memory", OUTSIDE, () => [2 ** 40, HEADER_SIZE, 0]),
  sends("from a hole in its memory", OUTSIDE, () => [HOLE, HEADER_SIZE, 0]),
  sends("from the end of a region and on", OUTSIDE, () => [LOW_END - 20, HEADER_SIZE, 0]),
  sends("from 2^53 and on", /below 2\^53/, () => [2 ** 53, HEADER_SIZE, 0]),
  sends("what is writable", /readable/, (guest) => [guest.scratch().address, 100, WRITE]),
  sends("a chain that goes round", /length of a chain/, (_guest, head) => [0, 1, NEXT, head]),
  sends("a chain past the ring", /next must be/, () => [0, 1, NEXT, 128]),
  sends("an indirect table outside", /indirect table/, () => [2 ** 40, 16, INDIRECT]),
  sends("an indirect table of 8 bytes", /indirect table/, () => [0, 8, INDIRECT]),
  sends("an indirect table of 4 GiB", /indirect table/, () => [0, 0xffff_fff0, INDIRECT]),
  {
    name: "made available more than there is",
    fault: /idx must be at most/,
    act: ({ tx }) => setAvail(tx, 1, (idx) => idx + 129),
  },
  {
    name: "made available what is no descriptor",
    fault: /a head must be below/,
    act({ tx }) {
      for (let slot = 0; slot < 128; slot++) setAvail(tx, 2 + slot, () => 128);
      setAvail(tx, 1, (idx) => idx + 1);
    },
  },
  {
    name: "posted more buffers than there are",
    fault: /idx must be at most/,
    act({ rx, tx }, conn) {
      setAvail(rx, 1, (idx) => idx + 200);
      tx.kickNow();
      while (conn.socket.send(new Uint8Array(10_000), 0) > 0);
    },
  },
  receives("a buffer outside of its memory", OUTSIDE, () => [2 ** 40, 4_096, WRITE]),
  receives("a buffer over the end of a region", OUTSIDE, () => [LOW_END - 100, 4_096, WRITE]),
  receives("a buffer of 43 bytes", /over 44 bytes/, (at) => [at, 43, WRITE]),
  receives("a buffer for headers alone", /over 44 bytes/, (at) => [at, 44, WRITE]),
  receives("a buffer of no bytes", /over 44 bytes/, (at) => [at, 0, WRITE]),
  receives("a buffer that is readable", /writable/, (at) => [at, 4_096, 0]),
];
