/**
 * The two ends of the streams of a soak: what each sends follows from a seed, and each end hashes
 * what it gets.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { assertEquals } from "@std/assert";
import type { Address } from "../../src/address.ts";
import type { Conn } from "../../src/conn.ts";
import { seeded } from "../../src/loopback/random.ts";

/** A connection of any family. */
export type AnyConn = Pick<Conn<Address>, "read" | "write" | "closeWrite" | "close">;

/** How a stream goes; both ends know it by the seed, which the client sends first. */
export interface Plan {
  /** Bytes to the server. */
  readonly up: number;
  /** Bytes to the client. */
  readonly down: number;
  /**
   * `"ask"`: the client ends, then the server answers; `"greet"`: the server sends and ends before
   * it reads; `"both"`: both at once; `"reset"`: the client closes on the way; `"dropped"`: the
   * server does.
   */
  readonly kind: "ask" | "greet" | "both" | "reset" | "dropped";
  /** Milliseconds that each end stalls on the way. */
  readonly stallMs: number;
}

const KINDS = ["ask", "greet", "both", "ask", "both", "greet", "reset", "dropped"] as const;
const HEADER_BYTES = 4;
const MIB = 2 ** 20;
/** What all streams are cut from. */
const noise: Uint8Array = noiseOf(MIB);

function noiseOf(length: number): Uint8Array {
  const random = seeded(length);
  return Uint8Array.from({ length }, () => random() * 256);
}

/** The plan that `seed` stands for. */
export function planOf(seed: number): Plan {
  const random = seeded(seed);
  const size = (): number => Math.floor((random() < 0.05 ? 2 * MIB : 96 * 1024) * random() ** 2);
  const kind = KINDS[Math.floor(random() * KINDS.length)]!;
  return { up: size(), down: size(), kind, stallMs: random() < 0.2 ? random() * 200 : 0 };
}

/** The bytes of one way of a stream, in chunks. */
function* chunksOf(seed: number, bytes: number): Generator<Uint8Array> {
  const random = seeded(seed ^ 0x5a5a5a5a);
  for (let left = bytes; left > 0;) {
    const at = Math.floor(random() * (noise.length - 1));
    const chunk = noise.subarray(at, Math.min(at + 1 + Math.floor(random() * 65_536), at + left));
    yield chunk;
    left -= chunk.length;
  }
}

async function sendAll(conn: AnyConn, seed: number, bytes: number, stallMs: number): Promise<void> {
  let stalls = stallMs > 0;
  for (const chunk of chunksOf(seed, bytes)) {
    await conn.write(chunk);
    if (stalls) await sleep(stallMs);
    stalls = false;
  }
  await conn.closeWrite();
}

/** Reads to the end, and fails unless that was what `seed` stands for. */
async function expectAll(
  conn: AnyConn,
  seed: number,
  bytes: number,
  stallMs: number,
): Promise<void> {
  const [got, wanted] = [createHash("sha256"), createHash("sha256")];
  let count = 0;
  const p = new Uint8Array(32_768);
  for (let n; (n = await conn.read(p)) !== null;) {
    got.update(p.subarray(0, n));
    if (count === 0 && stallMs > 0) await sleep(stallMs);
    count += n;
  }
  for (const chunk of chunksOf(seed, bytes)) wanted.update(chunk);
  assertEquals([count, got.digest("hex")], [bytes, wanted.digest("hex")], `stream ${seed}`);
}

const DOWN = 0x40000000;

/** The client's end of the stream `seed`; closes it. */
export async function runClient(conn: AnyConn, seed: number): Promise<void> {
  const { up, down, kind, stallMs } = planOf(seed);
  try {
    await conn.write(new Uint8Array(Uint32Array.of(seed).buffer));
    if (kind === "reset") {
      await conn.write(noise.subarray(0, 1 + (seed % 100_000)));
      if (stallMs > 0) await sleep(stallMs);
    } else if (kind === "dropped") {
      await endure(sendAll(conn, seed, up, 0));
      await endure(expectAll(conn, seed ^ DOWN, down, 0));
    } else if (kind === "ask") {
      await sendAll(conn, seed, up, stallMs);
      await expectAll(conn, seed ^ DOWN, down, stallMs);
    } else {
      await Promise.all([
        sendAll(conn, seed, up, stallMs),
        expectAll(conn, seed ^ DOWN, down, stallMs),
      ]);
    }
  } finally {
    conn.close();
  }
}

/** The server's end of whatever stream comes; closes it, and gives its seed. */
export async function runServer(conn: AnyConn): Promise<number> {
  try {
    const header = new Uint8Array(HEADER_BYTES);
    for (let got = 0; got < HEADER_BYTES;) {
      const n = await conn.read(header.subarray(got));
      if (n === null) return -1;
      got += n;
    }
    const seed = new Uint32Array(header.buffer)[0]!;
    await answer(conn, seed);
    return seed;
  } finally {
    conn.close();
  }
}

async function answer(conn: AnyConn, seed: number): Promise<void> {
  const { up, down, kind, stallMs } = planOf(seed);
  if (kind === "dropped") return;
  if (kind === "reset") {
    const p = new Uint8Array(32_768);
    await endure((async () => {
      while (await conn.read(p) !== null);
    })());
  } else if (kind === "ask") {
    await expectAll(conn, seed, up, stallMs);
    await sendAll(conn, seed ^ DOWN, down, stallMs);
  } else if (kind === "greet") {
    await sendAll(conn, seed ^ DOWN, down, stallMs);
    await expectAll(conn, seed, up, stallMs);
  } else {
    await Promise.all([
      expectAll(conn, seed, up, stallMs),
      sendAll(conn, seed ^ DOWN, down, stallMs),
    ]);
  }
}

/** A stream that is cut may end in any way. */
async function endure(promise: Promise<void>): Promise<void> {
  await promise.catch(() => {});
}
