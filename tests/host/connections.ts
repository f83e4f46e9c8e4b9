/**
 * Connections of a device with `echo_guest.ts`, each of which waits for something.
 *
 * @module
 */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
import { assert, assertEquals, assertRejects } from "@std/assert";
import type { Conn } from "../../src/conn.ts";
import { connect } from "../../src/connect.ts";
import { VsockError } from "../../src/error.ts";
import type { Listener } from "../../src/listener.ts";
import type { Batch } from "../../src/receive/batch.ts";
import type { Transport } from "../../src/transport.ts";
import { bytes } from "../conformance/helpers.ts";
import { concat } from "../conformance/verbs.ts";
import { GUEST_CID, PORTS } from "./booted.ts";

/** How soon the last one has to know, with as much again for a machine that is busy. */
export const SOON_MS = 5_000;

const MAPPED = bytes(16_384);

/** Sends `data` to be echoed: what comes back. */
export async function echoed(conn: Conn, data: Uint8Array): Promise<Uint8Array> {
  const back = new Uint8Array(data.length);
  const reading = (async (): Promise<void> => {
    for (let got = 0; got < back.length;) {
      const count = await conn.read(back.subarray(got));
      assert(count !== null, "the stream ended early");
      got += count;
    }
  })();
  await Promise.all([conn.write(data), reading]);
  return back;
}

/** Connections that nothing but the end of the guest ends. */
export class Connections implements Disposable {
  readonly #conns: readonly Conn[];
  readonly #batch: Batch;
  readonly #ends: readonly Promise<number>[];

  private constructor(conns: readonly Conn[], batch: Batch, waits: readonly Promise<unknown>[]) {
    this.#conns = conns;
    this.#batch = batch;
    this.#ends = waits.map(async (wait) => {
      const error = await assertRejects(() => wait, VsockError);
      assertEquals(error.code, "ECONNRESET");
      return performance.now();
    });
    for (const end of this.#ends) end.catch(() => {}); // looked at later
  }

  /** Opens them; the guest is to come to `up` first. */
  static async open(transport: Transport, up: Listener): Promise<Connections> {
    const accepted = await up.accept();
    await accepted.read(new Uint8Array(1));
    const to = (port: number): Promise<Conn> =>
      connect({ cid: GUEST_CID, port }, { transport, options: { zeroCopyReceive: true } });
    const [idle, full, mapped] = [
      await to(PORTS.echo),
      await to(PORTS.silent),
      await to(PORTS.echo),
    ];
    assertEquals(await echoed(idle, bytes(100_000)), bytes(100_000));
    mapped.options.rcvlowat = MAPPED.length; // the echo may come in pieces
    await mapped.write(MAPPED);
    const receiver = mapped.receiver({ mode: "map" });
    const batch = await receiver.receive();
    assert(batch?.mapped);
    const waits = [
      accepted.read(new Uint8Array(1)),
      idle.read(new Uint8Array(1)),
      full.write(new Uint8Array(4 << 20)),
    ];
    return new Connections([accepted, idle, full, mapped], batch, waits);
  }

  /** Waits for the last of them to end, and looks at what was mapped: it stays until released. */
  async reset(start: number): Promise<void> {
    const last = Math.max(...await Promise.all(this.#ends)) - start;
    assert(last < SOON_MS, `it took ${last} ms`);
    assertEquals(concat([...this.#batch].map(({ data }) => data)), MAPPED);
    this.#batch.release();
  }

  [Symbol.dispose](): void {
    for (const conn of this.#conns) conn.close();
  }
}

/** See {@linkcode holdings}. */
interface Holdings {
  readonly descriptors: readonly string[];
  readonly mappings: number;
}

/** What this process has open and mapped of guests: what each descriptor is, sorted. */
export function holdings(): Holdings {
  const descriptors = readdirSync("/proc/self/fd").flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/self/fd/${fd}`).replace(/\d+/g, "")];
    } catch {
      return []; // that of the folder itself
    }
  });
  const maps = readFileSync("/proc/self/maps", "utf8").split("\n");
  return {
    descriptors: descriptors.sort(),
    mappings: maps.filter((line) => line.includes("memfd:memory-backend")).length,
  };
}

/** Asserts that no more is held than `free`; a runtime closes what is its own a little later. */
export async function assertReleased(free: Holdings): Promise<void> {
  const deadline = performance.now() + SOON_MS;
  while (JSON.stringify(holdings()) !== JSON.stringify(free) && performance.now() < deadline) {
    await setTimeout(10);
  }
  assertEquals(holdings(), free);
}
