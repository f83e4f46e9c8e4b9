/**
 * The proxy itself: takes connections, makes one to the target for each, and moves the bytes.
 *
 * @module
 */
import { type Address, formatAddress } from "../../address.ts";
import type { Conn } from "../../conn.ts";
import { connect } from "../../connect.ts";
import { listen } from "../../listen.ts";
import type { Listener } from "../../listener.ts";
import { acceptPatiently } from "../serving/accept.ts";
import { drain, type Served } from "../serving/drain.ts";
import { Repeats } from "../output/repeats.ts";
import type { Entry, Log } from "./log.ts";
import { relayMessages } from "./messages.ts";
import type { ProxyOptions } from "./options.ts";
import { type Flow, relayBytes, reset } from "../serving/relay.ts";

/** Connections that may wait to be accepted. */
const BACKLOG = 1_024;

/** A proxy that listens. */
export class Proxy implements AsyncDisposable {
  readonly #options: ProxyOptions;
  readonly #log: Log;
  readonly #listener: Listener<Address>;
  readonly #repeats: Repeats<Entry>;
  readonly #sessions: Set<Served> = new Set();
  readonly #accepting: Promise<void>;
  #onOver: () => void = () => {};
  #ids = 0;

  /** Starts to listen. @throws {VsockError} If it cannot. */
  constructor(options: ProxyOptions, log: Log) {
    this.#options = options;
    this.#log = log;
    this.#repeats = new Repeats(log);
    const { listen: address, type } = options;
    this.#listener = listen(address, { type, backlog: BACKLOG });
    log({ event: "listen", address: formatAddress(this.#listener.addr) });
    this.#accepting = this.#accept();
  }

  /** Where it listens. */
  get address(): Address {
    return this.#listener.addr;
  }

  /** How many connections it serves now. */
  get active(): number {
    return this.#sessions.size;
  }

  /** Rejects where accepting failed; resolves when the proxy does not listen any more. */
  get accepting(): Promise<void> {
    return this.#accepting;
  }

  async #accept(): Promise<void> {
    const onFull = ({ message: reason }: Error): void =>
      this.#repeats.tell("full", { event: "full", reason });
    try {
      for (;;) {
        while (this.#sessions.size >= this.#options.maxConnections) await this.#someSession();
        this.#start(await acceptPatiently(this.#listener, onFull));
      }
    } catch (error) {
      if (!this.#listener.socket.closed) throw error;
    }
  }

  /** Resolves when one of the sessions is over. */
  #someSession(): Promise<void> {
    return new Promise((resolve) => this.#onOver = resolve);
  }

  #start(near: Conn<Address>): void {
    const gone = new AbortController();
    const ends: Conn<Address>[] = [near];
    const session: Served = {
      cut(): void {
        gone.abort(new Error("it was cut"));
        for (const end of ends) reset(end.socket);
      },
      over: this.#serve(++this.#ids, near, ends, gone.signal).finally(() => {
        this.#sessions.delete(session);
        this.#onOver();
      }),
    };
    this.#sessions.add(session);
  }

  async #serve(
    id: number,
    near: Conn<Address>,
    ends: Conn<Address>[],
    signal: AbortSignal,
  ): Promise<void> {
    const began = performance.now();
    const peer = nameOf(near.remoteAddr);
    const [sent, received]: [Flow, Flow] = [{ bytes: 0 }, { bytes: 0 }];
    let reason: string | undefined;
    try {
      if (!this.#options.allows(near.remoteAddr)) return this.#refuse(id, near, peer);
      const far = await this.#dial(signal);
      ends.push(far);
      for (const end of ends) setUp(end);
      if (!this.#options.allowsTarget(far.remoteAddr)) {
        return this.#refuse(id, near, peer, formatAddress(far.remoteAddr));
      }
      this.#log({ event: "open", id, peer, target: formatAddress(far.remoteAddr) });
      const failure = near.type === "stream"
        ? await relayBytes(near.socket, far.socket, sent, received)
        : await relayMessages(near, far, sent, received);
      reason = failure?.message;
    } catch (error) {
      reason = (error as Error).message;
      reset(near.socket); // who reads to the end is not to take nothing for all
    } finally {
      for (const end of ends) end.close();
    }
    if (signal.aborted) reason = (signal.reason as Error).message;
    const ms = Math.round(performance.now() - began);
    this.#log({ event: "close", id, peer, sent: sent.bytes, received: received.bytes, ms, reason });
  }

  #dial(signal: AbortSignal): Promise<Conn<Address>> {
    const { target, type, connectTimeoutMs: timeoutMs } = this.#options;
    return connect(target, { type, timeoutMs, signal });
  }

  #refuse(id: number, near: Conn<Address>, peer: string, target?: string): void {
    reset(near.socket);
    const key = `refuse ${hostOf(near.remoteAddr)}`;
    this.#repeats.tell(key, { event: "refuse", id, peer, target });
  }

  /**
   * Listens no more, and waits for what is served, for `timeoutMs` or until `signal`.
   *
   * @returns How many connections were cut then.
   */
  async drain(timeoutMs: number, signal: AbortSignal): Promise<number> {
    this.#listener.close();
    this.#log({ event: "drain", active: this.#sessions.size });
    const cut = await drain(this.#sessions, timeoutMs, signal);
    this.#repeats[Symbol.dispose]();
    return cut;
  }

  /** Ends it, and what it serves, at once. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    const sessions = [...this.#sessions];
    for (const session of sessions) session.cut();
    await Promise.all(sessions.map(({ over }) => over));
    this.#repeats[Symbol.dispose]();
  }
}

/** Who has connected, as far as that is told: a Unix socket has no name, a VM no port. */
function nameOf(peer: Address): string {
  if (!("path" in peer)) return formatAddress(peer);
  return peer.path === "" ? "a Unix socket" : formatAddress({ path: peer.path });
}

/** From where somebody has connected, by whatever port. */
function hostOf(peer: Address): string {
  if ("path" in peer) return peer.path;
  return "cid" in peer ? String(peer.cid) : peer.hostname;
}

/**
 * Over TCP it sends small pieces at once, as they were put together by whoever sent them first; and
 * looks after a silent peer: one that was cut off would have its place for ever.
 */
function setUp(conn: Conn<Address>): void {
  if (conn.localAddr.transport !== "tcp") return;
  conn.options.noDelay = true;
  conn.options.keepAlive = true;
}
