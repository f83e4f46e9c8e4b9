/**
 * Replies of vsock_diag that are nearly right. `VSOCKIT_SEED` replays a run, `VSOCKIT_STEPS` is how
 * many there are.
 */
import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { SysError } from "../../ffi/errno.ts";
import { decodeDiagReply, type DiagReply } from "../../src/kernel/diag_message.ts";
import { seeded } from "../../src/loopback/random.ts";

const SEED = Number(process.env["VSOCKIT_SEED"] ?? Date.now()) >>> 0;
const REPLIES = Number(process.env["VSOCKIT_STEPS"] ?? 60_000);
const SEQUENCE = 1;
const [HEADER, ENTRY, AF_VSOCK] = [16, 32, 40];
const TYPES = [...Array<number>(20).fill(20), 2, 3, 3, 3, 4, 1, 0];

/** Replies that are nearly right: here and there a byte, or a length, is another one. */
class Enemy {
  readonly #random: () => number;
  constructor(seed: number) {
    this.#random = seeded(seed);
  }

  below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }

  reply(): Uint8Array {
    const messages = this.below(8) * (HEADER + ENTRY);
    const bytes = new Uint8Array(this.below(8) === 0 ? this.below(400) : messages);
    const view = new DataView(bytes.buffer);
    for (let start = 0; start + HEADER <= bytes.length;) {
      const body = this.below(24) === 0 ? this.below(80) : ENTRY;
      view.setUint32(start, HEADER + body, true);
      view.setUint16(start + 4, TYPES[this.below(TYPES.length)]!, true);
      view.setUint32(start + 8, this.below(10) === 0 ? 2 : SEQUENCE, true);
      if (start + HEADER < bytes.length) bytes[start + HEADER] = AF_VSOCK;
      if (this.below(24) === 0) view.setUint32(start, this.#length(bytes.length - start), true);
      start += (HEADER + body + 3) & ~3;
    }
    for (let flips = this.below(3); flips > 0 && bytes.length > 0; flips--) {
      bytes[this.below(bytes.length)] = this.below(256);
    }
    return bytes;
  }

  /** A length at the edges, where a check can be off by one. */
  #length(left: number): number {
    const edges = [0, 1, HEADER - 1, HEADER, HEADER + 1, left - 1, left, left + 1, 0x7fff_ffff];
    return (edges[this.below(edges.length + 1)] ?? 0xffff_ffff - this.below(4)) >>> 0;
  }
}

/** What comes of `bytes`: a reply, or the code of the refusal. */
function outcome(bytes: Uint8Array): DiagReply | string {
  try {
    return decodeDiagReply(bytes, SEQUENCE);
  } catch (error) {
    if (error instanceof SysError) return error.code;
    throw error;
  }
}

test(
  `decodeDiagReply() refuses or reads, within its bytes (seed ${SEED})`,
  { timeout: 600_000 },
  () => {
    const enemy = new Enemy(SEED);
    const around = new Uint8Array(1024);
    let [read, refused, entries] = [0, 0, 0];
    for (let reply = 0; reply < REPLIES; reply++) {
      const bytes = enemy.reply();
      const alone = outcome(bytes);
      // The same within other bytes must come to the same: none of those is looked at.
      const start = enemy.below(around.length - bytes.length);
      around.fill(enemy.below(256));
      around.set(bytes, start);
      assertEquals(outcome(around.subarray(start, start + bytes.length)), alone);
      if (typeof alone === "string") {
        refused++;
        continue;
      }
      read++;
      entries += alone.sockets.length;
      assert(alone.sockets.length * (HEADER + ENTRY) <= bytes.length, "more than there can be");
    }
    assert(Math.min(read, refused, entries) > REPLIES / 100, `${read}, ${refused}, ${entries}`);
    console.log(`seed ${SEED}: ${REPLIES} replies, ${entries} sockets, ${refused} refused`);
  },
);
