/**
 * The connections of a fetch client: kept for the next request, and never more than so many.
 *
 * @module
 */
import { Agent, type ClientRequest } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Address } from "../address.ts";
import type { Conn } from "../conn.ts";
import { type ConnDuplex, toDuplex } from "./duplex.ts";
import { failure } from "./failure.ts";
import type { UnreadTime } from "./unread.ts";

/**
 * A connection as a node:http agent of its own, which tells when the next request may go out on it.
 * What an Agent sees to besides, hosts and queues, the pool does.
 */
export class PooledConn extends Agent {
  /** The connection. */
  readonly duplex: ConnDuplex;
  /** Whether it has waited for a request: then its server may have closed it meanwhile. */
  kept = false;
  readonly #onFree: (conn: PooledConn) => void;
  #unread: UnreadTime | undefined;
  /** Bytes that had been received when it was last free. */
  #bytes = 0;

  /** `onFree` is called after each request that leaves the connection as good as before. */
  constructor(duplex: ConnDuplex, idleTimeoutMs: number, onFree: (conn: PooledConn) => void) {
    const timeout = idleTimeoutMs === Infinity ? {} : { timeout: Math.max(1, idleTimeoutMs) };
    super({ keepAlive: true, ...timeout });
    this.duplex = duplex;
    this.#onFree = onFree;
    duplex.on("free", () => this.free());
  }

  /** Nobody has it any more: it waits for the next request, but for `idleTimeoutMs` at most. */
  free(): void {
    const { duplex } = this;
    this.#unread = undefined;
    this.#bytes = duplex.bytesRead;
    this.kept = true;
    // Typed as void for Node, and yet a boolean: a server may say that it closes early.
    const keeps = this.keepSocketAlive(duplex) as unknown as boolean;
    if (keeps) this.#onFree(this);
    else duplex.destroy();
  }

  /** Whether a request may go out: what came since the last one would be taken for its answer. */
  get usable(): boolean {
    return this.duplex.readyState === "open" && this.duplex.bytesRead === this.#bytes;
  }

  /** A response holds it until all of its body has come; `unread` tells whether somebody reads. */
  setHolder(unread: UnreadTime): void {
    this.#unread = unread;
  }

  /** How long a response has had it that nobody reads, in milliseconds; 0 where that is not so. */
  get unreadMs(): number {
    return this.#unread?.ms ?? 0;
  }

  /** Part of Agent. It sets no `reusedSocket`: Deno sends any such request once more by itself. */
  addRequest(request: ClientRequest): void {
    this.duplex.ref();
    request.onSocket(this.duplex as Duplex as Socket);
  }
}

/** One who waits for a connection. */
class Waiter {
  readonly #wait = Promise.withResolvers<PooledConn>();
  #over = false;

  /** What it comes to. */
  get promise(): Promise<PooledConn> {
    return this.#wait.promise;
  }

  /** Takes it; false where the wait is over. */
  take(conn: PooledConn): boolean {
    if (this.#over) return false;
    this.#over = true;
    this.#wait.resolve(conn);
    return true;
  }

  /** Ends the wait. */
  fail(error: unknown): void {
    this.#over = true;
    this.#wait.reject(error);
  }
}

/** Those of a fetch client, with none left out. */
interface PoolOptions {
  readonly connect: () => Promise<Conn<Address>>;
  readonly maxConnections: number;
  readonly idleTimeoutMs: number;
  readonly unreadTimeoutMs: number;
}

/** See the module. */
export class Pool {
  readonly #options: PoolOptions;
  readonly #open = new Set<PooledConn>();
  #idle: PooledConn[] = [];
  readonly #waiting = new Set<Waiter>();
  #dialling = 0;
  readonly #closing = new AbortController();

  /** At most `maxConnections` are open or being opened at any time. */
  constructor(options: PoolOptions) {
    this.#options = options;
  }

  /** Aborts when the pool is closed. */
  get closed(): AbortSignal {
    return this.#closing.signal;
  }

  /**
   * A connection for one request, in the order of the calls. It comes back by itself after the
   * request; where that fails, its taker destroys it.
   *
   * @throws {TypeError} If `connect` fails, or nobody reads the responses that have them all.
   * @throws The reason of `signal`, which is aborted when the pool is closed, too.
   */
  async take(signal: AbortSignal): Promise<PooledConn> {
    signal.throwIfAborted();
    const kept = this.#takeIdle(); // nobody waits where there is one
    if (kept !== undefined) return kept;
    const waiter = new Waiter();
    const leave = (reason: unknown): void => {
      this.#waiting.delete(waiter);
      waiter.fail(reason);
    };
    const onAbort = (): void => leave(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    this.#waiting.add(waiter);
    this.#next();
    const stopWatch = this.#waiting.has(waiter) ? this.#watch(leave) : undefined;
    try {
      return await waiter.promise;
    } finally {
      stopWatch?.();
      signal.removeEventListener("abort", onAbort);
    }
  }

  /** Tells one who waits that it is in vain. The timer holds the event loop: nothing else may. */
  #watch(leave: (reason: unknown) => void): () => void {
    const ms = Math.max(1, this.#options.unreadTimeoutMs);
    if (ms === Infinity) return () => {};
    const since = performance.now();
    const look = (): void => {
      const left = ms - Math.min(performance.now() - since, this.#unreadMs());
      if (left > 0) timer = setTimeout(look, Math.ceil(left));
      else leave(unread(this.#open.size));
    };
    let timer = setTimeout(look, ms);
    return () => clearTimeout(timer);
  }

  /** How long all connections have been held by responses that nobody reads, in milliseconds. */
  #unreadMs(): number {
    if (this.#dialling > 0) return 0;
    return Math.min(...Array.from(this.#open, (conn) => conn.unreadMs));
  }

  /** Gives those who wait what there is: kept connections, and places for new ones. */
  #next(): void {
    for (const waiter of this.#waiting) {
      const conn = this.#takeIdle();
      const full = this.#open.size + this.#dialling >= this.#options.maxConnections;
      if (conn === undefined && full) return;
      this.#waiting.delete(waiter);
      if (conn === undefined) this.#dial(waiter);
      else waiter.take(conn);
    }
  }

  /** The one that was used last, which is the least likely to be closed. */
  #takeIdle(): PooledConn | undefined {
    for (let conn = this.#idle.pop(); conn !== undefined; conn = this.#idle.pop()) {
      if (conn.usable) return conn;
      conn.duplex.destroy();
    }
    return undefined;
  }

  /**
   * Closes the kept connections: what comes next has a new one, or one that another request had.
   */
  dropIdle(): void {
    for (const { duplex } of this.#idle) duplex.destroy();
  }

  async #dial(waiter: Waiter): Promise<void> {
    const { connect } = this.#options;
    this.#dialling += 1;
    try {
      const conn = this.#adopt(toDuplex(await connect()));
      if (!waiter.take(conn)) conn.free();
    } catch (error) {
      waiter.fail(failure("connect failed", error));
    } finally {
      this.#dialling -= 1;
      this.#next();
    }
  }

  #adopt(duplex: ConnDuplex): PooledConn {
    const { idleTimeoutMs } = this.#options;
    const conn = new PooledConn(duplex, idleTimeoutMs, (free) => this.#giveBack(free));
    this.#open.add(conn);
    duplex.on("error", () => {}); // the request is told of it; of an idle one nobody need know
    const closeIdle = (): void => {
      if (this.#idle.includes(conn)) duplex.destroy();
    };
    duplex.on("end", closeIdle).on("timeout", closeIdle);
    duplex.once("close", () => {
      this.#open.delete(conn);
      this.#idle = this.#idle.filter((other) => other !== conn);
      this.#next();
    });
    if (this.closed.aborted) duplex.destroy();
    return conn;
  }

  #giveBack(conn: PooledConn): void {
    if (conn.duplex.destroyed) return; // "close" sees to it
    this.#idle.push(conn);
    this.#next();
  }

  /** Closes all connections; who waits for one, or has one, learns it by `closed`. */
  close(): void {
    this.#closing.abort(new TypeError("Cannot fetch: the client is closed"));
    for (const { duplex } of this.#open) duplex.destroy();
  }
}

function unread(count: number): TypeError {
  return new TypeError(
    "Cannot fetch: the body of each response must be read or cancelled: " +
      `current value is ${count} unread, which hold all connections`,
  );
}
