/**
 * What both threads of a link do under random load: connections whose number is the seed of all
 * that happens to them, so that either end knows what the other is about to do.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import type { Conn } from "../../src/conn.ts";
import { connect } from "../../src/connect.ts";
import { VsockError } from "../../src/error.ts";
import { listen } from "../../src/listen.ts";
import { seeded } from "../../src/loopback/random.ts";
import type { SocketOptionValues } from "../../src/options.ts";
import type { SocketType } from "../../src/socket.ts";
import type { Transport } from "../../src/transport.ts";

/** Ports of the two kinds. */
const PORTS = { stream: 1024, seqpacket: 1025 } as const;
const WHOLE_PORT = 1026;
const MESSAGE_MAX = 70_000;
const PATTERN_LENGTH = 65_521;
const PATTERN = Uint8Array.from({ length: 6 * PATTERN_LENGTH }, (_, n) => {
  const i = n % PATTERN_LENGTH;
  return (i ^ (i >>> 8)) * 31;
});
/** How a connection may end for the end that did not ask for it. */
const ENDS: ReadonlySet<string> = new Set(["ECONNRESET", "EPIPE", "ENOTCONN", "EBADF"]);

/** How one end receives. */
type Way = "read" | "copy" | "map" | "spin" | "auto";
const WAYS: readonly Way[] = ["read", "copy", "map", "spin", "auto"];

/** What one end does. */
interface Plan {
  /** Bytes that it sends. */
  readonly sends: number;
  readonly way: Way;
  /** Whether it closes when it has received so many bytes, in the middle of what it sends. */
  readonly leavesAt: number;
  /** Whether reads are aborted now and then, and begun anew. */
  readonly aborts: boolean;
  /** Whether batches are held for some turns of the event loop. */
  readonly holds: boolean;
}

/** A connection: `near` is the end that connects. */
interface Plans {
  readonly type: SocketType;
  readonly mapped: boolean;
  readonly near: Plan;
  readonly far: Plan;
}

/** Of the connection numbered `seed`. */
function plansOf(seed: number): Plans {
  const random = seeded(seed);
  const plan = (): Plan => ({
    sends: Math.floor(2 ** (21 * random())),
    way: WAYS[Math.floor(random() * WAYS.length)]!,
    leavesAt: random() < 0.2 ? Math.floor(2 ** (20 * random())) : Infinity,
    aborts: random() < 0.3,
    holds: random() < 0.3,
  });
  return {
    type: random() < 0.6 ? "stream" : "seqpacket",
    mapped: random() < 0.7,
    near: plan(),
    far: plan(),
  };
}

/** What is sent from byte `at` on, by the end that connects or by the other. */
function patternOf(seed: number, near: boolean, at: number, length: number): Uint8Array {
  const start = (seed * 7 + at + (near ? 0 : 1_000)) % PATTERN_LENGTH;
  return PATTERN.subarray(start, start + length);
}

/** One end of one connection. */
class End {
  readonly #conn: Conn;
  readonly #seed: number;
  readonly #near: boolean;
  readonly #plans: Plans;
  readonly #random: () => number;
  #received = 0;
  #left = false;

  constructor(conn: Conn, seed: number, near: boolean) {
    this.#conn = conn;
    this.#seed = seed;
    this.#near = near;
    this.#plans = plansOf(seed);
    this.#random = seeded(seed + (near ? 1 : 2));
  }

  get #own(): Plan {
    return this.#near ? this.#plans.near : this.#plans.far;
  }

  get #other(): Plan {
    return this.#near ? this.#plans.far : this.#plans.near;
  }

  /** Sends and receives all that is planned; throws where something else comes of it. */
  async run(): Promise<void> {
    const ended = this.#own.leavesAt < Infinity || this.#other.leavesAt < Infinity;
    const both = await Promise.allSettled([this.#send(), this.#receive()]);
    for (const half of both) {
      if (half.status === "rejected" && !(ended && isEnd(half.reason))) {
        throw new Error(`connection ${this.#seed}, near ${this.#near}`, { cause: half.reason });
      }
    }
    if (!ended && this.#received !== this.#other.sends) {
      throw new Error(
        `connection ${this.#seed}: ${this.#received} bytes came of ${this.#other.sends}`,
      );
    }
    this.#conn.close();
  }

  async #send(): Promise<void> {
    const { type } = this.#plans;
    const max = type === "stream" ? 4 * PATTERN_LENGTH : MESSAGE_MAX;
    for (let at = 0; at < this.#own.sends && !this.#left;) {
      const wanted = Math.ceil(max ** this.#random());
      const length = Math.min(wanted, this.#own.sends - at);
      const bytes = patternOf(this.#seed, this.#near, at, length);
      if (type === "stream") await this.#conn.write(bytes);
      else await this.#conn.sendMessage(bytes);
      at += length;
    }
    if (!this.#left) await this.#conn.closeWrite();
  }

  async #receive(): Promise<void> {
    if (this.#own.way === "read") return await this.#read();
    const map = this.#own.way === "map" || this.#own.way === "spin";
    const mode = this.#plans.mapped && map ? "map" : this.#own.way === "copy" ? "copy" : "auto";
    using receiver = this.#conn.receiver({ mode, pages: 1 + Math.floor(this.#random() * 64) });
    const wait = this.#own.way === "spin" ? "spin" : "poll";
    for (;;) {
      const batch = await this.#orAgain((signal) => receiver.receive({ wait, signal }));
      if (batch === null) return;
      using _held = batch;
      const kept = [...batch].map(({ data }) => data);
      if (this.#own.holds) { for (let i = this.#random() * 4; i > 0; i--) await turn(); }
      if (batch.released) return; // it has left meanwhile
      for (const data of kept) {
        this.#check(data);
        if (this.#left) return; // with the batch
      }
    }
  }

  async #read(): Promise<void> {
    const p = new Uint8Array(Math.ceil(100_000 ** this.#random()));
    for (;;) {
      let data: Uint8Array | undefined;
      if (this.#plans.type === "stream") {
        const n = await this.#orAgain((signal) => this.#conn.read(p, { signal }));
        data = n === null ? undefined : p.subarray(0, n);
      } else {
        data = (await this.#orAgain((signal) => this.#conn.receiveMessage({ signal })))?.data;
      }
      if (data === undefined) return;
      this.#check(data);
      if (this.#left) return;
    }
  }

  /** What `receive` gives; some are aborted before, which loses nothing. */
  async #orAgain<T>(receive: (signal?: AbortSignal) => Promise<T>): Promise<T> {
    while (this.#own.aborts && this.#random() < 0.5) {
      const abort = new AbortController();
      const reason = new Error("aborted");
      const received = receive(abort.signal);
      queueMicrotask(() => abort.abort(reason));
      try {
        return await received;
      } catch (error) {
        if (error !== reason) throw error;
        await turn();
      }
    }
    return await receive();
  }

  #check(data: Uint8Array): void {
    for (let at = 0; at < data.length; at += PATTERN_LENGTH) {
      const part = data.subarray(at, at + PATTERN_LENGTH);
      const expected = patternOf(this.#seed, !this.#near, this.#received, part.length);
      if (Buffer.compare(part, expected) !== 0) {
        throw new Error(`other bytes behind ${this.#received}`);
      }
      this.#received += part.length;
    }
    if (this.#received < this.#own.leavesAt || this.#left) return;
    this.#left = true;
    this.#conn.close();
  }
}

function isEnd(error: unknown): boolean {
  if (error instanceof VsockError) return ENDS.has(error.code);
  return error instanceof TypeError && /released batch/.test(error.message);
}

/** One turn of the event loop. */
function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

/** Opens connection `seed` and runs its near end. */
export async function runNear(transport: Transport, cid: number, seed: number): Promise<void> {
  const { type, mapped } = plansOf(seed);
  const options = { zeroCopyReceive: mapped };
  const address = { cid, port: PORTS[type] };
  const conn = await connect(address, { transport, type, options, timeoutMs: 30_000 });
  const first = new Uint8Array(4);
  new DataView(first.buffer).setUint32(0, seed);
  await conn.write(first);
  await new End(conn, seed, true).run();
}

/** Sends all that the memory of a link can hold, there and back: none of it may be missing. */
export async function requireWhole(transport: Transport, cid: number, max: number): Promise<void> {
  const options = { bufferSize: 2 * max };
  const address = { cid, port: WHOLE_PORT };
  using conn = await connect(address, { transport, type: "seqpacket", options });
  await conn.sendMessage(new Uint8Array(max), { timeoutMs: 30_000 });
  const message = await conn.receiveMessage({ timeoutMs: 30_000 });
  if (message?.length !== max) throw new Error(`${message?.length} of ${max} bytes came back`);
}

/**
 * Runs the far ends of all connections that come, until the caller disposes it; `max` is as for
 * `requireWhole()`.
 */
export function runFar(
  transport: Transport,
  cid: number,
  max: number,
  fail: (error: unknown) => void,
): Disposable {
  const listeners = new DisposableStack();
  const each = (
    port: number,
    type: SocketType,
    options: SocketOptionValues,
    f: (conn: Conn) => Promise<void>,
  ): void => {
    const listener = listeners.use(listen({ cid, port }, { transport, type, options }));
    void (async () => {
      for await (const conn of listener) f(conn).catch(fail);
    })().catch(fail);
  };
  for (const type of ["stream", "seqpacket"] as const) {
    each(PORTS[type], type, { zeroCopyReceive: true }, (conn) => serve(conn, type));
  }
  each(WHOLE_PORT, "seqpacket", { bufferSize: 2 * max }, async (conn) => {
    await conn.sendMessage((await conn.receiveMessage())!.data);
    await conn.receiveMessage();
    conn.close();
  });
  return listeners;
}

async function serve(conn: Conn, type: SocketType): Promise<void> {
  const first = new Uint8Array(4);
  let have = 0;
  if (type === "seqpacket") have = (await conn.receiveMessage({ buffer: first }))?.length ?? 0;
  while (type === "stream" && have < 4) {
    have += await conn.read(first.subarray(have)) ?? 4;
  }
  await new End(conn, new DataView(first.buffer).getUint32(0), false).run();
}
