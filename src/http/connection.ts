/**
 * One connection of a server: idle or with requests under way.
 *
 * @module
 */
import type { ServerResponse } from "node:http";
import type { Address } from "../address.ts";
import type { Conn } from "../conn.ts";
import { whenGone } from "../conn/gone.ts";
import type { ConnDuplex } from "./duplex.ts";
import { IdleTimer } from "./idle_timer.ts";

/** How what cannot be served is answered: it is no HTTP, its head is too long, or it is CONNECT. */
type Refusal =
  | "400 Bad Request"
  | "431 Request Header Fields Too Large"
  | "501 Not Implemented";

/** See the module. Its timer runs while no request is under way. */
export class Connection<A extends Address> {
  /** The connection underneath. */
  readonly conn: Conn<A>;
  /** What node:http has in its place. */
  readonly duplex: ConnDuplex;
  /** Settles when it is closed, or handed over. */
  readonly closed: Promise<void>;
  /** Whether a request was none of the web's: what comes after it may be a part of it. */
  refused = false;
  readonly #idleTimeoutMs: number;
  #leave: () => void = () => {};
  readonly #idle: IdleTimer;
  readonly #destroySoon: () => void;
  #requests = 0;
  /**
   * Requests that have no response yet: what aborts when the client is gone, and what ends them.
   * A response that waits for an earlier one gets no "close" on Deno.
   */
  readonly #open = new Map<AbortController, () => void>();
  /** Bodies that are read on. */
  #readers = 0;
  /** The response to the request that came last. */
  #last: ServerResponse | undefined;
  #closing = false;

  /** Of a connection that has no request yet; it is closed after `idleTimeoutMs` without one. */
  constructor(conn: Conn<A>, duplex: ConnDuplex, idleTimeoutMs: number) {
    this.conn = conn;
    this.duplex = duplex;
    this.#idleTimeoutMs = Math.max(1, idleTimeoutMs); // 0 would be never
    this.#idle = new IdleTimer(() => duplex.destroy());
    this.closed = new Promise((resolve) => this.#leave = resolve);
    duplex.once("close", () => {
      this.#idle.stop();
      for (const end of this.#open.values()) end();
      this.#leave();
    });
    duplex.on("error", () => {}); // each request is told of it by its signal
    duplex.once("end", () => this.#onEnd());
    duplex.setDefaultEncoding("latin1"); // that of a head, which the node:http of Bun leaves open
    this.#destroySoon = duplex.destroySoon.bind(duplex);
    duplex.destroySoon = (): void => this.#onLast();
    this.#startTimer();
  }

  /** node:http has sent its last response and would close: a body that is read on holds it off. */
  #onLast(): void {
    if (this.#readers === 0) return this.#destroySoon();
    if (this.duplex.writable) this.duplex.end();
  }

  /** The client has closed its half, or all, as it may do later. */
  #onEnd(): void {
    if (this.#last?.req.complete === false) return this.#destroySoon(); // Deno lets its reader wait
    if (this.#requests === 0) return; // node:http closes it, or who has taken it over
    const over = new AbortController();
    this.closed.then(() => over.abort());
    whenGone(this.conn.socket, over.signal, () => void this.duplex.destroy());
    if (this.conn.remoteAddr.transport !== "tcp") return;
    // Only bytes would tell there: a handler may give up, and an answer is sent all the same.
    for (const gone of this.#open.keys()) gone.abort(goneReason(undefined));
  }

  #startTimer(): void {
    if (this.#idleTimeoutMs === Infinity || this.duplex.destroyed) return;
    this.#idle.set(this.#idleTimeoutMs);
  }

  /** A request is under way until `outgoing`, or all, closes; `gone` aborts if that is early. */
  begin(outgoing: ServerResponse, gone: AbortController): Promise<void> {
    this.#last = outgoing;
    const completed = new Promise<void>((resolve) => {
      const end = (): void => {
        this.#open.delete(gone);
        if (!outgoing.writableFinished) gone.abort(goneReason(this.duplex.errored));
        resolve();
      };
      outgoing.once("close", end);
      this.#open.set(gone, end);
    });
    this.#hold(completed);
    return completed;
  }

  /**
   * A body is read on after its response until `over` settles: the connection stays for it, unless
   * its client is silent for as long as it may idle.
   */
  readOn(over: Promise<void>): void {
    this.#readers += 1;
    const onSilence = (): void => void this.duplex.destroy();
    this.duplex.setTimeout(this.#idleTimeoutMs, onSilence);
    this.#hold(over.then(() => {
      this.#readers -= 1;
      this.duplex.off("timeout", onSilence);
      if (this.#readers === 0) this.duplex.setTimeout(0);
    }));
  }

  /** Something of a request is under way until `over` settles. */
  #hold(over: Promise<void>): void {
    this.#requests += 1;
    this.#idle.set(0);
    over.then(() => {
      this.#requests -= 1;
      if (this.#requests === 0) this.#onIdle();
    });
  }

  #onIdle(): void {
    this.#startTimer();
    if (this.#closing || !this.duplex.writable) this.#destroySoon();
  }

  /** Closes it: now where no request is under way, after the last one otherwise. */
  closeWhenIdle(): void {
    this.#closing = true;
    if (this.#requests === 0) this.duplex.destroy();
  }

  /** Whether no request is under way. */
  get idle(): boolean {
    return this.#requests === 0;
  }

  /**
   * Answers what is no request, or not the rest of one, and closes. What came before it is answered
   * first.
   */
  refuse(status: Refusal): void {
    const { duplex } = this;
    const amid = this.#last?.req.complete === false;
    if (!amid && !this.idle) return void (this.#closing = true);
    const begun = amid && (this.#requests > 1 || this.#last?.headersSent);
    if (duplex.writable && !begun) {
      duplex.write(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
    }
    this.#startTimer(); // for a peer that does not read the answer
    this.#destroySoon();
  }

  /** It has been upgraded: who took it over closes it. */
  handOver(): void {
    this.#idle.stop();
    this.duplex.setDefaultEncoding("utf8");
    this.#leave();
  }
}

function goneReason(cause: unknown): DOMException {
  const reason = new DOMException("The client is gone", "AbortError");
  return cause ? Object.assign(reason, { cause }) : reason;
}
