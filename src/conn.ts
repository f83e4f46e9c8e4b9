/**
 * A connection: the public face of one connected socket.
 *
 * @module
 */
import { SHUT_RD, SHUT_WR } from "../ffi/abi/socket.ts";
import { type Addr, type Address, toAddr } from "./address.ts";
import { requireObject } from "./arguments.ts";
import { attempt } from "./error.ts";
import { Input, type Message, type ReadOptions, type ReceiveMessageOptions } from "./conn/input.ts";
import { Output, type SendMessageOptions, type WriteOptions } from "./conn/output.ts";
import { shutdownConnected } from "./conn/recv.ts";
import { readableOf, writableOf, type WritableOptions } from "./conn/streams.ts";
import { SocketOptions } from "./options.ts";
import { openReceiver, type Receiver, type ReceiverOptions } from "./receive/receiver.ts";
import type { ZeroCopyStats } from "./send/writes.ts";
import type { Socket, SocketType } from "./socket.ts";

/**
 * An open connection, from `connect()` or `Listener.accept()`. Whoever got it closes it; `using`
 * does so.
 *
 * Calls that wait take `signal`, whose reason they reject with, and `timeoutMs`, after which they
 * reject with ETIMEDOUT. One read and one write can be pending: a second rejects with EBUSY and
 * changes nothing. After `close()` all reject with EBADF, those that wait too.
 *
 * Where there is always something to read, or room to write, one call in 128 waits for the next
 * turn of the event loop: timers and other sockets get theirs.
 *
 * @example Ask and answer within one process
 * ```ts
 * import { connect, listen } from "@vsockit/vsockit";
 *
 * using listener = listen({ cid: 1, port: 5002 }, { transport: "loopback" });
 * using near = await connect({ cid: 1, port: 5002 }, { transport: "loopback" });
 * using far = await listener.accept();
 *
 * await near.write(new TextEncoder().encode("hello"));
 * await near.closeWrite();
 *
 * const p = new Uint8Array(64);
 * for (let n = await far.read(p); n !== null; n = await far.read(p)) {
 *   console.log(new TextDecoder().decode(p.subarray(0, n)));
 * }
 * ```
 */
export class Conn<A extends Address = Address> implements Disposable, AsyncDisposable {
  /** The socket underneath, for poll bits and what else has no name here. Closing closes it. */
  readonly socket: Socket<A>;
  /** This end; the CID is 4294967295, any, for a socket that connect bound by itself. */
  readonly localAddr: Addr<A>;
  /** The other end. */
  readonly remoteAddr: Addr<A>;
  /** Socket options, live. */
  readonly options: SocketOptions;
  readonly #input: Input;
  readonly #output: Output;
  readonly #receivers: Set<Receiver> = new Set();
  /** The streams that have come to their end, or failed. */
  readonly #ended: Set<"readable" | "writable"> = new Set();
  #readable: ReadableStream<Uint8Array<ArrayBuffer>> | undefined;
  #writable: WritableStream<Uint8Array> | undefined;

  /**
   * Takes over a connected socket: for transports of your own, `connect()` and `accept()` do it.
   *
   * @throws {VsockError} `ENOTCONN` if it is not connected.
   */
  constructor(socket: Socket<A>) {
    requireObject("socket", socket);
    const local = attempt("getsockname", undefined, () => socket.localAddress());
    const remote = attempt("getpeername", undefined, () => socket.remoteAddress());
    this.socket = socket;
    this.localAddr = toAddr(local);
    this.remoteAddr = toAddr(remote);
    this.options = new SocketOptions(socket);
    this.#input = new Input(socket, this.remoteAddr);
    this.#output = new Output(socket, this.remoteAddr);
  }

  /** `"stream"`, or `"seqpacket"` for messages with bounds. */
  get type(): SocketType {
    return this.socket.type;
  }

  /** Bytes that reads have given. */
  get bytesRead(): number {
    return this.#input.bytes;
  }

  /** Bytes that the socket has taken: after a failed write it tells how far that one came. */
  get bytesWritten(): number {
    return this.#output.bytes;
  }

  /** What became of the bytes of zero-copy writes: live. */
  get zeroCopy(): ZeroCopyStats {
    return this.#output.zeroCopy;
  }

  /**
   * Bytes written that have not reached the peer yet; wraps ioctl(2) with `SIOCOUTQ`.
   *
   * @throws {VsockError} `EOPNOTSUPP` over AF_VSOCK before Linux 6.11.
   */
  get unsentBytes(): number {
    return attempt("ioctl", this.remoteAddr, () => this.socket.outq());
  }

  /**
   * Reads what there is, at least one byte, into `p`; wraps recv(2). Waits while there is nothing,
   * then until `options.rcvlowat` bytes are there. Of a SEQPACKET connection it takes one message,
   * and what does not fit is lost: use `receiveMessage()` there. With `peek` the bytes stay queued.
   *
   * @returns How many bytes, `null` at end of stream, 0 if `p` is empty.
   * @throws {VsockError} `ENOBUFS` if the peer sent more than the buffer holds, `ECONNRESET` if the
   * device of the VM was reset; over TCP and AF_UNIX, if the peer reset the connection.
   */
  read(p: Uint8Array, options?: ReadOptions): Promise<number | null> {
    return this.#input.read(p, options);
  }

  /**
   * Writes all of `p`, as a blocking send(2) does: waits while the peer gives no credit. `p` is in
   * use until the promise settles. On a SEQPACKET connection `p` is one message.
   *
   * With `zeroCopy` the kernel sends from `p` itself, MSG_ZEROCOPY, where it can: on STREAM sockets
   * of TCP and of AF_VSOCK (Linux 6.7), of a page and more. Elsewhere it is copied, and
   * `zeroCopy.unsupported` says why. The promise settles when the kernel no longer reads `p`,
   * however the write ended: by an error, `signal`, `timeoutMs`, `close()`. That may be when the
   * peer has read it, or is gone; race the promise where you will not wait for that. Such writes
   * may be pending together, and go one after the other.
   *
   * Until then do not write into `p`, do not transfer its buffer, and do not end the Worker that it
   * belongs to by `terminate()` or `self.close()`: the peer would get whatever is in that memory by
   * then. After a transfer the write rejects with `EFAULT`, when it is too late. A Worker that ends
   * by itself waits up to a second for the kernel, then resets the TCP connections that still send.
   * Garbage collection, closing and the end of the process are safe. With memory of a
   * `MappedRegion` all but writing into it is safe, unmapping it too.
   *
   * @returns `p.byteLength`.
   * @throws {VsockError} `EPIPE` if the peer closed or reads no more, or after `closeWrite()`.
   */
  write(p: Uint8Array, options?: WriteOptions): Promise<number> {
    return this.#output.write(p, 0, options);
  }

  /**
   * Sends one message on a SEQPACKET connection, whole or not at all; wraps send(2). AF_VSOCK
   * cannot carry a message without bytes: that is a RangeError.
   *
   * @throws {TypeError} On a STREAM connection.
   * @throws {VsockError} `EMSGSIZE` if it is larger than `bufferSize` of either end, `EPIPE` if the
   * peer closed or reads no more.
   */
  sendMessage(data: Uint8Array, options?: SendMessageOptions): Promise<void> {
    return this.#output.sendMessage(data, options);
  }

  /**
   * Receives one message of a SEQPACKET connection; wraps recvmsg(2). Without `buffer` it asks how
   * long the message is and makes a buffer of that size.
   *
   * @returns The message, or `null` at end of stream.
   * @throws {TypeError} On a STREAM connection.
   *
   * @example Two messages, each of them received as it was sent
   * ```ts
   * import { connect, listen } from "@vsockit/vsockit";
   *
   * const options = { transport: "loopback", type: "seqpacket" } as const;
   * using listener = listen({ cid: 1, port: 5006 }, options);
   * using near = await connect({ cid: 1, port: 5006 }, options);
   * using far = await listener.accept();
   *
   * for (const text of ["hello", "world"]) {
   *   await near.sendMessage(new TextEncoder().encode(text));
   * }
   * await near.closeWrite();
   * for (let m = await far.receiveMessage(); m !== null; m = await far.receiveMessage()) {
   *   console.log(new TextDecoder().decode(m.data)); // hello, then world
   * }
   * ```
   */
  receiveMessage(options?: ReceiveMessageOptions): Promise<Message | null> {
    return this.#input.receiveMessage(options);
  }

  /**
   * Opens a receiver, which takes batches of packets, without a copy where the transport can. It
   * and `read()` take turns at best: use one of them.
   *
   * @returns The receiver. Its caller closes it; closing the connection does so too.
   * @throws {VsockError} `EOPNOTSUPP` if `mode` is `"map"` and this connection cannot: over VM
   * sockets it takes the option `zeroCopyReceive`.
   */
  receiver(options?: ReceiverOptions): Receiver {
    const forget = (): void => void this.#receivers.delete(receiver);
    const receiver = openReceiver(this.socket, options, forget);
    this.#receivers.add(receiver);
    return receiver;
  }

  /**
   * Ends what this end sends: the peer reads what is under way, then end of stream. Reading goes
   * on. A `write()` that is pending comes first, and no other begins. Wraps shutdown(2) with
   * `SHUT_WR`. It does nothing where both ends have closed already.
   *
   * @throws {VsockError} `ECONNRESET`, or what else has ended the connection before; not over
   * AF_UNIX, which does not tell.
   */
  async closeWrite(): Promise<void> {
    const rest = this.#output.end();
    if (rest !== undefined) await rest;
    await this.#shutdown(SHUT_WR);
  }

  /**
   * Reads no more, and loses what is queued: the peer's writes fail with EPIPE. Wraps shutdown(2)
   * with `SHUT_RD`, of which TCP does not tell the peer. Nor does AF_VSOCK where a write of the
   * peer waits for credit already: that one ends when this connection is closed, or by its
   * `timeoutMs`.
   */
  closeRead(): Promise<void> {
    return this.#shutdown(SHUT_RD);
  }

  // deno-lint-ignore require-await
  async #shutdown(how: number): Promise<void> {
    attempt("shutdown", this.remoteAddr, () => shutdownConnected(this.socket, how));
  }

  /**
   * The bytes as a byte stream, which takes buffers of the reader (BYOB). It reads when asked and
   * never ahead. At end of stream the connection stays open for writing, and is closed where
   * `writable` is or has failed; cancelling closes it, which leaving a `for await` does, unless
   * that is over `values({ preventCancel: true })`.
   *
   * @example Read until there is enough, then answer
   * ```ts
   * import { connect, listen } from "@vsockit/vsockit";
   *
   * using listener = listen({ cid: 1, port: 5005 }, { transport: "loopback" });
   * using near = await connect({ cid: 1, port: 5005 }, { transport: "loopback" });
   * using far = await listener.accept();
   *
   * await near.write(new TextEncoder().encode("hello\n"));
   * for await (const bytes of far.readable.values({ preventCancel: true })) {
   *   if (bytes.at(-1) === 10) break;
   * }
   * await far.write(new TextEncoder().encode("hello yourself\n"));
   * ```
   */
  get readable(): ReadableStream<Uint8Array<ArrayBuffer>> {
    return this.#readable ??= readableOf(this, () => this.#end("readable"));
  }

  /**
   * One `write()` for each chunk. Closing it is `closeWrite()`, and closes the connection where
   * `readable` has ended or failed too; aborting closes it at once.
   */
  get writable(): WritableStream<Uint8Array> {
    return this.#writable ??= this.writableOf();
  }

  /** A `writable` of its own with options, of the same connection: use one of them at a time. */
  writableOf(options?: WritableOptions): WritableStream<Uint8Array> {
    return writableOf(this, () => this.#end("writable"), options);
  }

  /** Nobody who had only the streams could close it. */
  #end(stream: "readable" | "writable"): void {
    this.#ended.add(stream);
    if (this.#ended.size === 2) this.close();
  }

  /** Waits of this connection keep the process alive, the default. */
  ref(): void {
    this.socket.ref();
  }

  /** Waits of this connection do not keep the process alive. */
  unref(): void {
    this.socket.unref();
  }

  /**
   * Closes it and its receivers; pending calls reject with EBADF. Wraps close(2); where the kernel
   * still reads the bytes of zero-copy writes, the descriptor stays open underneath until it does
   * not, and the peer sees the close at once. The second call does nothing.
   */
  close(): void {
    try {
      closeAll(this.#receivers);
    } finally {
      this.socket.close();
    }
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

/** Closes all of them, then throws what the first has thrown, if any has. */
function closeAll(receivers: Iterable<Receiver>): void {
  const failures: unknown[] = [];
  for (const receiver of receivers) {
    try {
      receiver.close();
    } catch (failure) {
      failures.push(failure);
    }
  }
  if (failures.length > 0) throw failures[0];
}
