/**
 * A link whose words are spoiled at random between any two Atomics: ring indices, slots, lengths,
 * returned blocks, thresholds, page 0, states, beats. Whatever its peer makes of them, each call
 * ends in time, in a `VsockError` if need be, and gives no more bytes than a packet has.
 *
 * `VSOCKIT_SEED` replays a run, `VSOCKIT_RUNS` makes more of them: each spoils a link.
 *
 * @module
 */
import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import type { Conn } from "../../src/conn.ts";
import { connect } from "../../src/connect.ts";
import { VsockError } from "../../src/error.ts";
import { listen } from "../../src/listen.ts";
import { END_WORDS } from "../../src/loopback/link_memory.ts";
import { createLoopbackLink, type LoopbackEnd, openLoopback } from "../../src/loopback/mod.ts";
import { seeded } from "../../src/loopback/random.ts";
import type { SocketType } from "../../src/socket.ts";

const SEED = Number(process.env["VSOCKIT_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
const RUNS = Number(process.env["VSOCKIT_RUNS"] ?? 40);
const SMALL = { smallBlocks: 8, largeBlocks: 4, ringEntries: 16, deadAfterMs: 100 };
const TIME = { timeoutMs: 150 };
/** Of a call: far longer than it may wait. */
const HANGS_MS = 30_000;
const WAYS = ["read", "copy", "map", "spin", "auto"] as const;

/** Spoils a link. */
class Liar implements Disposable {
  armed = false;
  readonly #random: () => number;
  readonly #rate: number;
  readonly #targets: readonly Int32Array[];
  readonly #original = (({ load, store, compareExchange }) => ({ load, store, compareExchange }))(
    Atomics,
  );

  constructor({ link: { control, lanes } }: LoopbackEnd, random: () => number) {
    this.#random = random;
    this.#rate = 10 ** -(1 + 3 * random());
    const buffers = lanes.flatMap((
      { ring, returns, arms, blocks },
    ) => [control, ring, returns, arms, ...blocks.slice(0, SMALL.smallBlocks)]);
    this.#targets = buffers.map((buffer) => new Int32Array(buffer));
    for (const name of ["load", "store", "compareExchange"] as const) {
      const real = Atomics[name] as (...args: unknown[]) => number;
      Reflect.set(Atomics, name, (...args: unknown[]): number => {
        if (this.armed && random() < this.#rate) this.#lie();
        return real(...args);
      });
    }
  }

  [Symbol.dispose](): void {
    Object.assign(Atomics, this.#original);
  }

  #int(n: number): number {
    return Math.floor(this.#random() * n);
  }

  #lie(): void {
    const words = this.#targets[this.#random() < 0.5 ? 0 : this.#int(this.#targets.length)]!;
    const at = words === this.#targets[0]
      ? this.#int(2) * END_WORDS + this.#int(END_WORDS / 32) * 32
      : this.#int(this.#random() < 0.7 ? Math.min(words.length, 64) : words.length);
    const now = words[at]!;
    const values = [0, 1, 2, 3, -1, 4_096, 65_536, 65_537, 0x7fff_ffff, this.#random() * 2 ** 32];
    values.push(now + 1, now - 1, now + this.#int(20), now - this.#int(20), now ^ (1 << now));
    this.#original.store(words, at, values[this.#int(values.length)]! | 0);
  }
}

/** What `promise` gives; `undefined` where it ends in an error that a connection may end in. */
async function orError<T>(promise: Promise<T>): Promise<T | undefined> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const hangs = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error("it hangs")), HANGS_MS);
  });
  try {
    return await Promise.race([promise, hangs]);
  } catch (error) {
    if (!(error instanceof VsockError)) throw error;
    return undefined;
  } finally {
    clearTimeout(timer);
  }
}

/** Takes all that comes to `conn`. */
async function takes(conn: Conn, random: () => number): Promise<void> {
  const way = WAYS[Math.floor(random() * WAYS.length)]!;
  if (way === "read") {
    const p = new Uint8Array(Math.ceil(random() * 70_000));
    const stream = conn.socket.type === "stream";
    while (await orError<unknown>(stream ? conn.read(p, TIME) : conn.receiveMessage(TIME)));
    return;
  }
  const wait = way === "spin" ? "spin" : "poll";
  const mode = way === "spin" ? "auto" : way;
  let receiver;
  try {
    receiver = conn.receiver({ mode, pages: Math.ceil(random() * 40) });
  } catch (error) {
    assert(error instanceof VsockError);
    return;
  }
  for (;;) {
    const batch = await orError(receiver.receive({ ...TIME, wait }));
    if (!batch) return receiver.close();
    if (random() < 0.2) await new Promise((resolve) => setTimeout(resolve, 0));
    if (!batch.released) requireBounds(batch);
    batch[Symbol.dispose]();
  }
}

function requireBounds(batch: Iterable<{ readonly data: Uint8Array; byteLength: number }>): void {
  try {
    for (const { data, byteLength } of batch) assertEquals(data.length, byteLength);
  } catch (error) {
    assert(error instanceof VsockError, `${error}`);
  }
}

/** Sends this and that, and ends in one of all ways. */
async function sends(conn: Conn, type: SocketType, random: () => number): Promise<void> {
  for (let i = 0; i < 30; i++) {
    const data = new Uint8Array(Math.ceil((type === "stream" ? 200_000 : 60_000) ** random()));
    const sent = type === "stream" ? conn.write(data, TIME) : conn.sendMessage(data, TIME);
    if (await orError(sent.then(() => true)) === undefined) break;
  }
  const how = random();
  if (how < 0.25) conn.close();
  else if (how < 0.5) await orError(conn.closeWrite());
  else if (how < 0.75) await orError(conn.closeRead());
}

async function run(seed: number): Promise<void> {
  const random = seeded(seed);
  const [end, other] = createLoopbackLink(SMALL);
  using host = openLoopback(end);
  using guest = openLoopback(other);
  using liar = new Liar(end, random);
  using open = new DisposableStack();
  const jobs: Promise<void>[] = [];
  for (const type of ["stream", "seqpacket"] as const) {
    const options = { zeroCopyReceive: random() < 0.7 };
    const address = { cid: end.cid, port: type === "stream" ? 1024 : 1025 };
    const listener = open.use(listen(address, { transport: host, type, options }));
    for (liar.armed of [false, true]) {
      const conns = await Promise.all([
        orError(connect(address, { transport: guest, type, options, ...TIME })),
        orError(listener.accept(TIME)),
      ]);
      for (const conn of conns) {
        if (conn === undefined) continue;
        open.use(conn);
        jobs.push(takes(conn, random), sends(conn, type, random));
      }
      liar.armed = false;
    }
  }
  liar.armed = true;
  await Promise.all(jobs);
}

test(`LinkedLoopback ends each call in time on ${RUNS} links that tell lies`, {
  timeout: 300_000,
}, async () => {
  console.log(`replay: VSOCKIT_SEED=${SEED} VSOCKIT_RUNS=${RUNS}`);
  for (let i = 0; i < RUNS; i++) await run(SEED + i);
});
