/**
 * Messages of a front end over a Unix socket, with the descriptors that come along.
 *
 * @module
 */
import {
  CMSG_SPACE,
  MSG_CMSG_CLOEXEC,
  MSG_CTRUNC,
  MSG_NOSIGNAL,
  SCM_RIGHTS,
  SHUT_RDWR,
  SOL_SOCKET,
} from "../../ffi/abi/socket.ts";
import { decodeControl } from "../../ffi/cmsg.ts";
import { SysError, WOULD_BLOCK } from "../../ffi/errno.ts";
import { recvmsg, send, shutdown } from "../../ffi/libc.ts";
import { Message } from "../../ffi/message.ts";
import { closePassed, SCM_MAX_FD } from "./passed_fds.ts";
import {
  FRAME_BODY_MAX,
  FRAME_HEADER_SIZE,
  FRAME_REPLY,
  FRAME_VERSION,
  FRAME_VERSION_MASK,
  FrontEndError,
  REGIONS_MAX,
} from "./protocol.ts";

/** One message. Who is given it closes the descriptors that it has not taken. */
export class Frame {
  readonly request: number;
  readonly flags: number;
  readonly body: DataView;
  readonly #fds: number[];

  constructor(request: number, flags: number, body: DataView, fds: number[]) {
    this.request = request;
    this.flags = flags;
    this.body = body;
    this.#fds = fds;
  }

  /** How many descriptors were not taken yet. */
  get fdsLeft(): number {
    return this.#fds.length;
  }

  /** The next descriptor, which the caller closes. */
  takeFd(): number {
    const fd = this.#fds.shift();
    if (fd === undefined) throw new FrontEndError("a descriptor must come along: there is none");
    return fd;
  }

  /** Closes what was not taken: how many. */
  closeRest(): number {
    const rest = this.#fds.splice(0);
    for (const fd of rest) closePassed(fd);
    return rest.length;
  }
}

/**
 * Reads messages as they come, in whatever pieces, and writes replies. The socket is the caller's.
 */
export class Channel {
  readonly #fd: number;
  readonly #header = new Uint8Array(FRAME_HEADER_SIZE);
  readonly #head = new DataView(this.#header.buffer);
  readonly #body = new Uint8Array(FRAME_BODY_MAX);
  readonly #control = new Uint8Array(CMSG_SPACE(4 * SCM_MAX_FD));
  readonly #message = new Message([this.#header], { control: this.#control });
  #headerRead = 0;
  #bodyRead = 0;
  #fds: number[] = [];
  #closed = false;

  /** Over `fd`, a connected stream socket that does not block. */
  constructor(fd: number) {
    this.#fd = fd;
  }

  /**
   * The next message; `undefined` where it is not all there, `null` at end of stream. Its body is
   * good until the next call.
   *
   * @throws {FrontEndError} If what came is no message.
   * @throws {SysError} What recvmsg(2) refuses, and EMFILE where it has no room for descriptors.
   */
  read(): Frame | null | undefined {
    while (this.#headerRead < FRAME_HEADER_SIZE) {
      const got = this.#readHeader();
      if (got <= 0) return this.#nothing(got);
    }
    const size = this.#requireHeader();
    while (this.#bodyRead < size) {
      const got = this.#readBody(size);
      if (got <= 0) return this.#nothing(got);
      this.#bodyRead += got;
    }
    const body = new DataView(this.#body.buffer, 0, size);
    const frame = new Frame(this.#head.getUint32(0, true), this.#flags, body, this.#fds);
    this.#headerRead = this.#bodyRead = 0;
    this.#fds = [];
    return frame;
  }

  /** Descriptors travel with the first byte of their message. */
  #readHeader(): number {
    const got = this.#receive(this.#header.subarray(this.#headerRead), this.#fds);
    if (got <= 0) return got;
    this.#headerRead += got;
    if (this.#fds.length > REGIONS_MAX) {
      throw new FrontEndError(`a message must have ${REGIONS_MAX} descriptors at most`);
    }
    return got;
  }

  /** Descriptors that come only with the body are of no message, and are closed. */
  #readBody(size: number): number {
    const late: number[] = [];
    try {
      return this.#receive(this.#body.subarray(this.#bodyRead, size), late);
    } finally {
      for (const fd of late) closePassed(fd);
    }
  }

  #receive(into: Uint8Array<ArrayBuffer>, fds: number[]): number {
    const got = this.#take(into, fds);
    if (got > 0 && (this.#message.flags & MSG_CTRUNC) !== 0) {
      throw new SysError("recvmsg", "EMFILE");
    }
    return got;
  }

  /** Wraps recvmsg(2); what comes along is put into `fds`, as far as there is room for it. */
  #take(into: Uint8Array<ArrayBuffer>, fds: number[]): number {
    const message = this.#message;
    message.buffers[0] = into;
    const got = recvmsg(this.#fd, message, MSG_CMSG_CLOEXEC);
    if (got <= 0) return got;
    const control = this.#control.subarray(0, message.controlLength);
    for (const { level, type, data } of decodeControl(control)) {
      if (level === SOL_SOCKET && type === SCM_RIGHTS) fds.push(...fdsOf(data));
    }
    return got;
  }

  get #flags(): number {
    return this.#head.getUint32(4, true);
  }

  #requireHeader(): number {
    const size = this.#head.getUint32(8, true);
    if ((this.#flags & FRAME_VERSION_MASK) !== FRAME_VERSION || this.#flags & FRAME_REPLY) {
      throw new FrontEndError(
        `a message must be a request of version 1: current flags are ${this.#flags}`,
      );
    }
    if (size > FRAME_BODY_MAX) {
      throw new FrontEndError(
        `payload must be at most ${FRAME_BODY_MAX} bytes: current value is ${size}`,
      );
    }
    return size;
  }

  #nothing(got: number): null | undefined {
    if (got === WOULD_BLOCK) return undefined;
    if (this.#headerRead > 0) throw new FrontEndError("a message must be whole: it ended within");
    return null;
  }

  /**
   * Sends a reply, unless whoever was told of the request has closed the channel.
   *
   * @throws {FrontEndError} If the front end does not read its replies.
   */
  reply(request: number, body: Uint8Array): void {
    if (this.#closed) return; // the descriptor may be somebody else's by now
    const bytes = new Uint8Array(FRAME_HEADER_SIZE + body.length);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, request, true);
    view.setUint32(4, FRAME_VERSION | FRAME_REPLY, true);
    view.setUint32(8, body.length, true);
    bytes.set(body, FRAME_HEADER_SIZE);
    if (send(this.#fd, bytes, MSG_NOSIGNAL) !== bytes.length) {
      throw new FrontEndError("replies must be read: there is no room for one more");
    }
  }

  /**
   * Sends no more, nor takes any, and closes the descriptors of what did not come to its end, or
   * was not read: the kernel would do so with the socket, and wait for them.
   */
  close(): void {
    this.#closed = true;
    try {
      shutdown(this.#fd, SHUT_RDWR);
      while (this.#take(this.#body, this.#fds) > 0) this.#closeFds();
    } catch (error) {
      if (!(error instanceof SysError)) throw error; // there is no more
    } finally {
      this.#closeFds();
    }
  }

  #closeFds(): void {
    for (const fd of this.#fds.splice(0)) closePassed(fd);
  }
}

function fdsOf(data: Uint8Array): number[] {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  return Array.from({ length: data.byteLength >> 2 }, (_, i) => view.getInt32(4 * i, true));
}
