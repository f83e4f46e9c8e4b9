/**
 * The receiving half of a connection: one read at a time, tried before it waits.
 *
 * @module
 */
import { MSG_EOR, MSG_PEEK, MSG_TRUNC } from "../../ffi/abi/socket.ts";
import { plainView } from "../../ffi/view.ts";
import type { Address } from "../address.ts";
import { toVsockError } from "../error.ts";
import { shown } from "../shown.ts";
import { type AnySocket, type MessageFlags, WOULD_BLOCK } from "../socket.ts";
import { PendingCall } from "../wait/pending_call.ts";
import { requireWaitOptions, type WaitOptions } from "../wait/waiting.ts";
import { requireKept, requireSeqpacket, requireUint8Array } from "./arguments.ts";
import { isEnd, nextLength, recvConnected } from "./recv.ts";

/** For `Conn.read()`. */
export interface ReadOptions extends WaitOptions {
  /** Leaves the bytes queued, `MSG_PEEK`. @default {false} */
  readonly peek?: boolean | undefined;
}

/** For `Conn.receiveMessage()`. */
export interface ReceiveMessageOptions extends WaitOptions {
  /** Where the message goes; at least one byte. @default {a new buffer of the right size} */
  readonly buffer?: Uint8Array | undefined;
  /** Bytes to take of the message at most, without `buffer`. @default {Infinity} */
  readonly maxBytes?: number | undefined;
  /** Leaves the message queued. @default {false} */
  readonly peek?: boolean | undefined;
}

/** One message of a SEQPACKET connection. */
export interface Message {
  /** Its bytes, or as many as there was room for. */
  readonly data: Uint8Array;
  /** How many bytes it had when it was sent. */
  readonly length: number;
  /** Whether `data` is shorter than `length`: the rest is lost, unless this was a peek. */
  readonly truncated: boolean;
  /** Whether it was sent as the end of a record, `MSG_EOR`; `false` over AF_UNIX. */
  readonly endOfRecord: boolean;
}

/** Reads of one connected socket. */
export class Input {
  /** Bytes that reads have given. */
  bytes = 0;
  readonly #socket: AnySocket;
  readonly #peer: Address;
  readonly #flags: MessageFlags = { flags: 0 };
  readonly #probe: Uint8Array = new Uint8Array(1);
  readonly #pending: PendingCall;

  /** Of a socket that stays its caller's; `peer` is for errors. */
  constructor(socket: AnySocket, peer: Address) {
    this.#socket = socket;
    this.#peer = peer;
    this.#pending = new PendingCall("recv", socket, peer);
  }

  /** recv(2), then poll(2) and again while there is nothing. */
  read(p: Uint8Array, options: ReadOptions | undefined): Promise<number | null> {
    let peek = false;
    let bytes: Uint8Array;
    try {
      if (options !== undefined) {
        requireWaitOptions(options);
        peek = options.peek === true;
      }
      bytes = requireUint8Array("read into p", p);
      this.#pending.requireNone();
      const n = this.#tryRead(bytes, peek);
      if (n !== undefined) return this.#socket.turns.give(n);
      if (bytes.length === 0) return this.#socket.turns.give(0);
    } catch (cause) {
      return Promise.reject(toVsockError("recv", cause, this.#peer));
    }
    return this.#pending.wait(() => {
      requireKept("read into p", bytes, 1);
      return this.#tryRead(bytes, peek);
    }, options);
  }

  /** recvmsg(2) with MSG_TRUNC, then poll(2) and again while there is no message. */
  receiveMessage(options: ReceiveMessageOptions | undefined): Promise<Message | null> {
    let asked: Asked;
    try {
      requireSeqpacket("receive", this.#socket);
      if (options !== undefined) requireWaitOptions(options);
      asked = readAsked(options);
      this.#pending.requireNone();
      const message = this.#tryMessage(asked);
      if (message !== undefined) return this.#socket.turns.give(message);
    } catch (cause) {
      return Promise.reject(toVsockError("recv", cause, this.#peer));
    }
    return this.#pending.wait(() => {
      if (asked.buffer !== undefined) requireKept("receive into buffer", asked.buffer, 1);
      return this.#tryMessage(asked);
    }, options);
  }

  #tryRead(p: Uint8Array, peek: boolean): number | null | undefined {
    // AF_UNIX would throw a message away for which there is no room at all.
    const n = recvConnected(this.#socket, p, peek || p.length === 0 ? MSG_PEEK : 0);
    if (n === WOULD_BLOCK) return undefined;
    if (n === 0) return this.#emptyOrEnd(p);
    if (!peek) this.bytes += n;
    return n;
  }

  #tryMessage({ buffer, maxBytes, peek }: Asked): Message | null | undefined {
    let into = buffer;
    if (into === undefined) {
      const length = nextLength(this.#socket, this.#probe);
      if (length === WOULD_BLOCK) return undefined;
      into = new Uint8Array(Math.max(1, Math.min(length, maxBytes)));
    }
    const length = recvConnected(
      this.#socket,
      into,
      peek ? MSG_PEEK | MSG_TRUNC : MSG_TRUNC,
      this.#flags,
    );
    if (length === WOULD_BLOCK) return undefined;
    const endOfRecord = (this.#flags.flags & MSG_EOR) !== 0;
    if (length === 0 && !endOfRecord && isEnd(this.#socket)) return null;
    const data = startOf(into, length, buffer === undefined);
    if (!peek) this.bytes += data.length;
    return { data, length, truncated: length > data.length, endOfRecord };
  }

  /** What a recv of 0 bytes means: no room in `p`, a message without bytes, or the end. */
  #emptyOrEnd(p: Uint8Array): 0 | null {
    if (p.length === 0) return 0;
    return this.#socket.type === "stream" || isEnd(this.#socket) ? null : 0;
  }
}

/** What a call of `receiveMessage()` asks for. */
interface Asked {
  readonly buffer: Uint8Array | undefined;
  readonly maxBytes: number;
  readonly peek: boolean;
}

/** Reads each option once: a getter may give something else the next time. */
function readAsked(options: ReceiveMessageOptions | undefined): Asked {
  const { maxBytes = Infinity, peek = false, buffer } = options ?? {};
  if (buffer !== undefined) {
    requireUint8Array("receive into buffer", buffer);
    if (buffer.length > 0) return { buffer, maxBytes, peek };
    throw new RangeError("Cannot receive into buffer: must have a byte: current value is 0 bytes");
  }
  if (maxBytes === Infinity || (Number.isInteger(maxBytes) && maxBytes > 0)) {
    return { buffer, maxBytes, peek };
  }
  throw new RangeError(
    `Cannot use maxBytes: must be a positive integer or Infinity: current value is ${
      shown(maxBytes)
    }`,
  );
}

/**
 * The first `length` bytes of `bytes`, or all. A buffer of `ours` that is longer is not kept for
 * them: they are copied. The caller's may be of a subclass whose `subarray()` gives other bytes.
 */
function startOf(bytes: Uint8Array, length: number, ours: boolean): Uint8Array {
  if (ours && length < bytes.length) return bytes.slice(0, length);
  const { buffer, byteOffset } = bytes;
  const size = Math.min(length, bytes.length);
  const start = bytes.subarray(0, size);
  const same = start.buffer === buffer && start.byteOffset === byteOffset && start.length === size;
  return same ? start : plainView(bytes).subarray(0, size);
}
