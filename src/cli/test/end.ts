/**
 * One end of a run: its sockets and the control socket, with the calls that block in C as promises.
 *
 * @module
 */
import { POLLHUP, POLLIN, POLLOUT, POLLRDHUP } from "../../../ffi/abi/poll.ts";
import { VMADDR_CID_ANY } from "../../../ffi/abi/vm_sockets.ts";
import { errnoName, SysError } from "../../../ffi/errno.ts";
import type { VsockAddress } from "../../address.ts";
import { KernelSocket } from "../../kernel/socket.ts";
import { KernelTransport } from "../../kernel/transport.ts";
import { type MessageFlags, type Socket, type SocketType, WOULD_BLOCK } from "../../socket.ts";
import type { Transport } from "../../transport.ts";
import { pause } from "../../wait/pause.ts";
import type { Mode } from "./case.ts";
import { expect } from "./check.ts";
import { type Control, TIMEOUT_MS } from "./control.ts";

/** The byte of the tests that send one. */
export const A = 0x41;
/** What `tryConnect()` gives for success. */
export const CONNECTED = "connected";

/** What an {@linkcode End} is made of. */
export interface EndParts {
  /** Client or server. */
  readonly mode: Mode;
  /** Makes the sockets. */
  readonly transport: Transport;
  /** Where the server listens, as the client reaches it. */
  readonly peer: VsockAddress;
  /** Stays the caller's. */
  readonly control: Control;
  /** Ends every wait. */
  readonly signal?: AbortSignal | undefined;
}

/** One end. What its methods open, their callers close. */
export class End {
  /** Client or server. */
  readonly mode: Mode;
  /** The way to the other end. */
  readonly control: Control;
  /** Where the client connects to, and the port on which the server listens. */
  readonly peer: VsockAddress;
  /** Whether its sockets are the kernel's: `fdOf()` works. */
  readonly hasFds: boolean;
  readonly #parts: EndParts;

  /** Opens nothing. */
  constructor(parts: EndParts) {
    this.#parts = parts;
    this.mode = parts.mode;
    this.control = parts.control;
    this.peer = parts.peer;
    this.hasFds = parts.transport instanceof KernelTransport;
  }

  /** The file descriptor of `socket`, for calls that the contract has not. */
  fdOf(socket: Socket): number {
    if (socket instanceof KernelSocket) return socket.fd;
    throw new TypeError(`Cannot use socket: must be the kernel's: current value is ${socket}`);
  }

  /** socket(2). */
  socket(type: SocketType = "stream"): Socket {
    return this.#parts.transport.socket(type);
  }

  /** A socket bound to `port` of any CID. */
  bind(port: number = this.peer.port, type: SocketType = "stream"): Socket {
    const socket = this.socket(type);
    try {
      socket.bind({ cid: VMADDR_CID_ANY, port });
      return socket;
    } catch (error) {
      socket.close();
      throw error;
    }
  }

  /** A listener on the peer port: `vsock_listen()`. */
  listen(type: SocketType = "stream"): Socket {
    const socket = this.bind(this.peer.port, type);
    try {
      socket.listen(1);
      return socket;
    } catch (error) {
      socket.close();
      throw error;
    }
  }

  /** The first connection to the peer port: `vsock_accept()`. */
  async accept(type: SocketType = "stream"): Promise<Socket> {
    using listener = this.listen(type);
    this.control.send("LISTENING");
    return await this.acceptFrom(listener);
  }

  /** accept(2). */
  async acceptFrom(listener: Socket): Promise<Socket> {
    for (;;) {
      const socket = listener.accept();
      if (socket !== undefined) return socket;
      await this.wait(listener, POLLIN);
    }
  }

  /** A connection to the peer, once it listens: `vsock_connect()`. */
  async connect(type: SocketType = "stream"): Promise<Socket> {
    await this.control.expect("LISTENING");
    const socket = this.socket(type);
    try {
      expect("connect", await this.tryConnect(socket), CONNECTED);
      return socket;
    } catch (error) {
      socket.close();
      throw error;
    }
  }

  /** connect(2) to the peer: `"connected"`, or the errno that it ends with. */
  async tryConnect(socket: Socket): Promise<string> {
    try {
      if (socket.connect(this.peer)) return CONNECTED;
    } catch (error) {
      if (error instanceof SysError) return error.code;
      throw error;
    }
    await this.wait(socket, POLLOUT);
    const errno = socket.takeError();
    return errno === 0 ? CONNECTED : errnoName(errno) ?? `E${errno}`;
  }

  /** poll(2): what holds of `events`, once something does. Fails past `TIMEOUT_MS`. */
  async wait(socket: Socket, events: number): Promise<number> {
    const found = await this.poll(socket, events, TIMEOUT_MS);
    if (found === 0) throw new Error(`poll for 0x${events.toString(16)} timed out`);
    return found;
  }

  /** poll(2) for at most `timeoutMs`: 0 when nothing of `events` holds by then. */
  async poll(socket: Socket, events: number, timeoutMs: number): Promise<number> {
    const late = AbortSignal.timeout(timeoutMs);
    const { signal } = this.#parts;
    try {
      return await socket.wait(events, signal ? AbortSignal.any([signal, late]) : late);
    } catch (error) {
      if (late.aborted && error === late.reason) return 0;
      throw error;
    }
  }

  /** Waits until the peer has closed: `vsock_wait_remote_close()`. */
  async waitRemoteClose(socket: Socket): Promise<void> {
    await this.wait(socket, POLLRDHUP | POLLHUP);
  }

  /** Calls `ready` until it gives `true`, for as long as one step may take. */
  async until(socket: Socket, what: string, ready: () => boolean): Promise<void> {
    const deadline = performance.now() + TIMEOUT_MS;
    for (let vain = 0; !ready(); vain++) {
      if (performance.now() > deadline) throw new Error(`${what} timed out`);
      await pause(socket, vain, this.#parts.signal);
    }
  }

  /** send(2) of all of `data`. */
  async send(socket: Socket, data: Uint8Array, flags = 0): Promise<void> {
    for (let sent = 0; sent < data.length;) {
      const taken = socket.send(data.subarray(sent), flags);
      if (taken === WOULD_BLOCK) await this.wait(socket, POLLOUT);
      else sent += taken;
    }
  }

  /** recv(2), once. */
  async receive(
    socket: Socket,
    buffer: Uint8Array,
    flags = 0,
    out: MessageFlags = { flags: 0 },
  ): Promise<number> {
    for (;;) {
      const received = socket.recv(buffer, flags, out);
      if (received !== WOULD_BLOCK) return received;
      await this.wait(socket, POLLIN);
    }
  }

  /** recv(2) until `length` bytes are there; fewer at end of stream only. */
  async receiveAll(socket: Socket, length: number, flags = 0): Promise<Uint8Array> {
    const buffer = new Uint8Array(length);
    let got = 0;
    while (got < length) {
      const received = await this.receive(socket, buffer.subarray(got), flags);
      if (received === 0) break;
      got += received;
    }
    return buffer.subarray(0, got);
  }

  /** Sends the letter A. */
  async sendByte(socket: Socket): Promise<void> {
    await this.send(socket, Uint8Array.of(A));
  }

  /** Fails unless an A comes. */
  async receiveByte(socket: Socket): Promise<void> {
    const [byte] = await this.receiveAll(socket, 1);
    expect("recv: byte", byte ?? "end of stream", A);
  }

  /** Fails unless the stream has ended. */
  async receiveEnd(socket: Socket): Promise<void> {
    expect("recv at the end", await this.receive(socket, new Uint8Array(1)), 0);
  }
}
