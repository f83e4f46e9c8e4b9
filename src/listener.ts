/**
 * A listener: the public face of one listening socket.
 *
 * @module
 */
import { type Addr, type Address, toAddr } from "./address.ts";
import { requireObject } from "./arguments.ts";
import { Conn } from "./conn.ts";
import { attempt, isVsockError, toVsockError } from "./error.ts";
import { applySocketOptions, SocketOptions, type SocketOptionValues } from "./options.ts";
import type { Socket, SocketType } from "./socket.ts";
import { PendingCall } from "./wait/pending_call.ts";
import { requireWaitOptions, type WaitOptions } from "./wait/waiting.ts";

/** Connections in a row that are gone already, after which others have their turn. */
const GONE_MAX = 128;

/**
 * A listening socket, from `listen()`. Whoever got it closes it; `using` does so. Connections that
 * it has given stay open then.
 *
 * @example Serve until closed
 * ```ts
 * import { connect, listen } from "@vsockit/vsockit";
 *
 * const listener = listen({ cid: 1, port: 5003 }, { transport: "loopback" });
 * using client = await connect({ cid: 1, port: 5003 }, { transport: "loopback" });
 *
 * for await (const conn of listener) {
 *   console.log(`from CID ${conn.remoteAddr.cid}`);
 *   conn.close();
 *   listener.close();
 * }
 * ```
 */
export class Listener<A extends Address = Address>
  implements Disposable, AsyncDisposable, AsyncIterable<Conn<A>> {
  /** The socket underneath. Closing closes it. */
  readonly socket: Socket<A>;
  /** Where it listens: the port that bind chose, if it was to choose. */
  readonly addr: Addr<A>;
  /** Options that connections accepted later inherit: all but `rcvlowat` and `zeroCopySend`. */
  readonly options: SocketOptions;
  readonly #acceptedOptions: SocketOptionValues;
  readonly #pending: PendingCall;

  /**
   * Takes over a listening socket: for transports of your own, `listen()` does it.
   * `acceptedOptions` are set on each accepted connection.
   */
  constructor(socket: Socket<A>, acceptedOptions: SocketOptionValues = {}) {
    requireObject("socket", socket);
    this.addr = toAddr(attempt("getsockname", undefined, () => socket.localAddress()));
    this.socket = socket;
    this.options = new SocketOptions(socket);
    this.#acceptedOptions = acceptedOptions;
    this.#pending = new PendingCall("accept", socket, this.addr);
  }

  /** `"stream"`, or `"seqpacket"` for messages with bounds. */
  get type(): SocketType {
    return this.socket.type;
  }

  /**
   * Takes the next connection, waiting for it; wraps accept4(2). The caller closes it. One that its
   * peer has reset before is passed over.
   *
   * @throws {VsockError} `EBADF` after `close()`, `EBUSY` while another accept is pending.
   */
  accept(options?: WaitOptions): Promise<Conn<A>> {
    try {
      if (options !== undefined) requireWaitOptions(options);
      this.#pending.requireNone();
      const conn = this.#tryAccept();
      if (conn !== undefined) return this.socket.turns.give(conn);
    } catch (cause) {
      return Promise.reject(toVsockError("accept", cause, this.addr));
    }
    return this.#pending.wait(() => this.#tryAccept(), options);
  }

  #tryAccept(): Conn<A> | undefined {
    for (let gone = 0; gone < GONE_MAX; gone++) {
      const socket = this.socket.accept();
      if (socket === undefined) return undefined;
      try {
        applySocketOptions(socket, this.#acceptedOptions);
        return new Conn(socket);
      } catch (cause) {
        socket.close();
        // TCP queues a connection that was reset all the same: it has no peer any more.
        if (!isVsockError(cause, "ENOTCONN")) throw cause;
      }
    }
    return undefined;
  }

  /** Accepts until `close()`. Leaving the loop closes the listener, as in Deno. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Conn<A>, void, undefined> {
    using _this = this;
    for (;;) {
      let conn: Conn<A>;
      try {
        conn = await this.accept();
      } catch (cause) {
        if (this.socket.closed) return;
        throw cause;
      }
      yield conn;
    }
  }

  /** Waits of this listener keep the process alive, the default. */
  ref(): void {
    this.socket.ref();
  }

  /** Waits of this listener do not keep the process alive. */
  unref(): void {
    this.socket.unref();
  }

  /** Closes it: connections that wait are reset, a pending accept rejects with EBADF. */
  close(): void {
    this.socket.close();
  }

  /** `close()`. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** `close()`. */
  // deno-lint-ignore require-await
  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }
}
