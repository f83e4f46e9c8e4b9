/**
 * A connection as a node:stream Duplex that can stand where a net.Socket is wanted.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import type { OutgoingMessage } from "node:http";
import { nextTick } from "node:process";
import { Duplex } from "node:stream";
import { POLLIN } from "../../ffi/abi/poll.ts";
import type { Addr, Address } from "../address.ts";
import { requireWithin } from "../arguments.ts";
import type { Conn } from "../conn.ts";
import { VsockError } from "../error.ts";
import { leaveUncaught } from "../runtime/uncaught.ts";
import { shown } from "../shown.ts";
import { turn } from "../wait/turns.ts";
import { IdleTimer } from "./idle_timer.ts";

/** What one read takes at most, and what each direction holds before it pushes back, in bytes. */
const CHUNK_SIZE = 65_536;

/**
 * What {@linkcode toDuplex} gives: a Duplex with those members of a `net.Socket` that node:http,
 * ws, undici and ssh2 use.
 */
export class ConnDuplex extends Duplex {
  /** The connection underneath. It is read and written through this stream only. */
  readonly conn: Conn<Address>;
  /** Always `false`: it is connected. */
  readonly connecting: boolean = false;
  /** Always `false`: it is connected. */
  readonly pending: boolean = false;
  /** Of the peer: its CID in digits, its host name or its path. */
  readonly remoteAddress: string;
  /** Of the peer; `undefined` for a path. */
  readonly remotePort: number | undefined;
  /** Of this end: its CID in digits, its host name or its path. */
  readonly localAddress: string;
  /** Of this end; `undefined` for a path. */
  readonly localPort: number | undefined;
  // Never handed out: what is pushed is a copy, which its reader may keep or transfer.
  #buffer: Uint8Array<ArrayBuffer> | undefined;
  /** Whether the last read has left nothing, so that the next one is in vain before a wait. */
  #drained = false;
  /** Whether somebody waits for what comes. */
  #reading = false;
  /** What the connection had taken when a write last ended. */
  #taken = 0;
  readonly #idle: IdleTimer = new IdleTimer(() => this.#onIdle());

  /** Takes over `conn`: `toDuplex()` does it. */
  constructor(conn: Conn<Address>) {
    super({ allowHalfOpen: true, highWaterMark: CHUNK_SIZE });
    this.conn = conn;
    this.remoteAddress = hostOf(conn.remoteAddr);
    this.remotePort = portOf(conn.remoteAddr);
    this.localAddress = hostOf(conn.localAddr);
    this.localPort = portOf(conn.localAddr);
    if ("Bun" in globalThis) gatherWrites(this);
  }

  /** Bytes that were received. */
  get bytesRead(): number {
    return this.conn.bytesRead;
  }

  /** Bytes that the connection has taken. */
  get bytesWritten(): number {
    return this.conn.bytesWritten;
  }

  /** The time of `setTimeout()` in milliseconds; 0 for none. */
  get timeout(): number {
    return this.#idle.ms;
  }

  /** As of a `net.Socket`. */
  get readyState(): "open" | "readOnly" | "writeOnly" | "closed" {
    if (this.readable) return this.writable ? "open" : "readOnly";
    return this.writable ? "writeOnly" : "closed";
  }

  /** This end, as of a `net.Socket`. */
  address(): { address: string; family: string; port: number | undefined } {
    const family = this.conn.localAddr.transport;
    return { address: this.localAddress, family, port: this.localPort };
  }

  /**
   * Emits `timeout` after `ms` without a byte either way, and closes nothing; 0 for never.
   *
   * @throws {TypeError} If `ms` is not a number.
   * @throws {RangeError} If `ms` is negative or NaN.
   */
  setTimeout(ms: number, callback?: () => void): this {
    requireWithin("ms", ms, 0, Infinity);
    if (callback !== undefined) {
      if (ms === 0) this.off("timeout", callback);
      else this.once("timeout", callback);
    }
    if (this.destroyed) return this;
    this.#idle.stop(); // a timer of a caller's own that it set before is to go off before
    this.#idle.set(ms);
    return this;
  }

  /** Does nothing: vsock sends at once; over TCP there is `conn.options.noDelay`. */
  setNoDelay(_noDelay?: boolean): this {
    return this;
  }

  /** Does nothing: vsock learns by itself that a peer is gone; see `conn.options.keepAlive`. */
  setKeepAlive(_enable?: boolean, _initialDelay?: number): this {
    return this;
  }

  /** Its waits keep the process alive, the default. */
  ref(): this {
    this.conn.ref();
    return this;
  }

  /** Its waits do not keep the process alive. */
  unref(): this {
    this.conn.unref();
    return this;
  }

  /** Ends what is sent, and closes once the connection has taken all of it. */
  destroySoon(): void {
    if (this.writable) this.end();
    if (this.writableFinished) this.destroy();
    else this.once("finish", () => this.destroy());
  }

  /** Part of Duplex: call `read()`. */
  override _read(): void {
    this.#reading = true;
    this.#receive().catch((error) => this.#fail(error));
  }

  async #receive(): Promise<void> {
    if (this.#drained) await this.conn.socket.wait(POLLIN);
    if (this.destroyed) return;
    const buffer = this.#buffer ??= new Uint8Array(CHUNK_SIZE);
    const n = await this.conn.read(buffer);
    this.#drained = n !== null && n < buffer.length;
    this.#idle.touch();
    this.#reading = false;
    const chunk = n === null ? null : Buffer.from(buffer.subarray(0, n));
    if (!tell(() => this.push(chunk))) this.read(0); // it would be asked for no more
  }

  /** Part of Duplex: call `write()`. */
  override _write(
    chunk: Uint8Array,
    _encoding: string,
    done: (error?: Error | null) => void,
  ): void {
    this.#send(chunk).then(() => this.#sent(done), (error) => this.#failWrite(error, done));
  }

  /** Part of Duplex: what was corked, in one write where it is small. */
  override _writev(chunks: { chunk: Uint8Array }[], done: (error?: Error | null) => void): void {
    const sending = this.#sendAll(chunks.map(({ chunk }) => chunk));
    sending.then(() => this.#sent(done), (error) => this.#failWrite(error, done));
  }

  async #sendAll(chunks: readonly Uint8Array[]): Promise<void> {
    const length = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
    if (length <= CHUNK_SIZE) return await this.#send(Buffer.concat(chunks, length));
    for (const chunk of chunks) await this.#send(chunk);
  }

  async #send(chunk: Uint8Array): Promise<void> {
    await this.conn.write(chunk);
    this.#taken = this.conn.bytesWritten;
    this.#idle.touch();
  }

  /**
   * A message of node:http holds a write back for a turn, and counts what is under way here before
   * it says whether there is room. Where that goes out within the turn, as of no `net.Socket`,
   * Node's message waits for a drain that nothing else brings.
   */
  #sent(done: () => void): void {
    tell(() => {
      done();
      const message = (this as { readonly _httpMessage?: OutgoingMessage | null })._httpMessage;
      if (message?.writableNeedDrain && message.writableLength === 0) this.emit("drain");
    });
  }

  /** A write that is long goes on piece by piece, and tells nobody. */
  #onIdle(): void {
    const taken = this.conn.bytesWritten;
    if (taken === this.#taken) return void this.emit("timeout");
    this.#taken = taken;
    this.#idle.touch();
  }

  /** A peer that reads no more may have said why: whoever reads gets that before the failure. */
  async #failWrite(error: Error, done: (error: Error) => void): Promise<void> {
    do await turn(); while (!this.destroyed && this.#reading && this.#hasInput());
    done(error);
  }

  #hasInput(): boolean {
    return (this.conn.socket.poll(POLLIN) & POLLIN) !== 0;
  }

  /** Part of Duplex: call `end()`. */
  override _final(done: (error?: Error | null) => void): void {
    this.conn.closeWrite().then(() => done(), (error) => {
      // The connection is over: there is nobody to tell, and reading gives what is left, and why.
      done(error instanceof VsockError && error.code !== "EBADF" ? null : error);
    });
  }

  /** Part of Duplex: call `destroy()`. */
  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#idle.stop();
    this.#buffer = undefined;
    try {
      this.conn.close();
      done(error);
    } catch (cause) {
      done(error ?? (cause as Error));
    }
  }

  #fail(error: Error): void {
    if (!this.destroyed) this.destroy(error);
  }
}

/**
 * Sends what is written in one turn in one piece. The node:http of Bun writes the head and the body
 * of a response apart; that of others corks the stream.
 */
function gatherWrites(duplex: ConnDuplex): void {
  const { write } = duplex;
  const gathered = (...args: Parameters<typeof write>): boolean => {
    if (duplex.writableCorked === 0) {
      duplex.cork();
      nextTick(() => duplex.uncork());
    }
    return write.apply(duplex, args);
  };
  duplex.write = gathered as typeof write;
}

/**
 * Calls who listens; false where that throws. It is uncaught then, as that of a `net.Socket`: the
 * promise of a read or a write would make it a failure of the connection.
 */
function tell(listeners: () => void): boolean {
  try {
    listeners();
    return true;
  } catch (error) {
    leaveUncaught(error);
    return false;
  }
}

function hostOf(addr: Addr): string {
  if ("cid" in addr) return `${addr.cid}`;
  return "hostname" in addr ? addr.hostname : addr.path;
}

function portOf(addr: Addr): number | undefined {
  return "port" in addr ? addr.port : undefined;
}

/**
 * Gives a connection as a node:stream Duplex, for what wants a `net.Socket`: node:http, node:http2,
 * TLS, ws, undici, ssh2. It reads no more than its reader takes, and a write waits for the peer's
 * credit. `end()` is `closeWrite()`, and reading goes on; `destroy()`, or the end of both
 * directions, closes `conn`. An error that it emits is a `VsockError`. A `net.Socket` ends when its
 * peer does: for what counts on that, as clients that reconnect do, set `allowHalfOpen = false`.
 *
 * `serve()` knows two things about runtimes that a `http.Server` of your own has to: that of Bun
 * does not pause the stream while nobody reads a request's body, and that of Deno closes each
 * connection after one answer where the server does not listen, unless it has a `listening` that is
 * true, by `Object.defineProperty()`. Bun has an `undici` of its own in place of npm's, which takes
 * no such stream.
 *
 * A TLS client is `tls.connect({ socket: duplex })`; a server's end is a `new TLSSocket(duplex,
 * { isServer: true, key, cert })`, which a `http.Server` takes by `emit("connection", tlsSocket)`,
 * while Bun's `https.Server` takes none in this way. TLS over any Duplex ends both ways in Bun once
 * one end has ended, and what is under way is lost: there, end a session when all has come.
 *
 * @param conn A STREAM connection; the stream closes it.
 * @throws {TypeError} If it is no connection, or a SEQPACKET one.
 *
 * @example A line there and back
 * ```ts
 * import { connect, listen } from "@vsockit/vsockit";
 * import { toDuplex } from "@vsockit/vsockit/http";
 *
 * using listener = listen({ cid: 1, port: 5010 }, { transport: "loopback" });
 * const near = toDuplex(await connect({ cid: 1, port: 5010 }, { transport: "loopback" }));
 * const far = toDuplex(await listener.accept());
 *
 * far.pipe(far); // echo
 * near.end("hello\n");
 * for await (const chunk of near) console.log(`${chunk}`);
 * ```
 */
export function toDuplex(conn: Conn<Address>): ConnDuplex {
  if (typeof (conn as Partial<Conn> | null | undefined)?.read !== "function") {
    throw new TypeError(
      `Cannot make a duplex: conn must be a Conn: current value is ${shown(conn)}`,
    );
  }
  if (conn.type !== "stream") {
    throw new TypeError(
      `Cannot make a duplex: conn must be of type stream: current value is ${conn.type}`,
    );
  }
  return new ConnDuplex(conn);
}
