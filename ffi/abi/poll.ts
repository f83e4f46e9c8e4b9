/**
 * `<poll.h>`: what poll(2) can wait for, Linux values.
 *
 * @module
 */
import { requireInt, requireUint } from "../arguments.ts";
import { type Layout, layout } from "../layout.ts";

/** Data to read; on a listener, a connection to accept. */
export const POLLIN = 0x001;
/** Urgent data; never on AF_VSOCK. */
export const POLLPRI = 0x002;
/** Room to write. */
export const POLLOUT = 0x004;
/** An error is pending, or the error queue has something. Output only. */
export const POLLERR = 0x008;
/** Both directions are shut. Output only. */
export const POLLHUP = 0x010;
/** The file descriptor is not open. Output only. */
export const POLLNVAL = 0x020;
/** Normal data; set together with `POLLIN`. */
export const POLLRDNORM = 0x040;
/** Room for normal data; set together with `POLLOUT`. */
export const POLLWRNORM = 0x100;
/** The peer sends no more. */
export const POLLRDHUP = 0x2000;

/** `struct pollfd`. */
export const POLLFD: Layout<"fd" | "events" | "revents"> = layout("struct pollfd", "poll.h", {
  fd: "i32", // negative: left out
  events: "i16", // in: POLL*
  revents: "i16", // out: POLL*
});
const { at, size } = POLLFD;

/** An array of `struct pollfd` over its own bytes, used again from call to call. */
export class PollFds {
  /** How many there are. */
  readonly length: number;
  /** The array itself, to hand to poll(2). */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly #view: DataView;

  /** `length` entries that wait for nothing: their `fd` is -1. */
  constructor(length: number) {
    requireUint("length", length);
    this.length = length;
    this.bytes = new Uint8Array(length * size);
    this.#view = new DataView(this.bytes.buffer);
    for (let index = 0; index < length; index++) this.set(index, -1, 0);
  }
  /** Makes entry `index` wait for `events` of `fd`; clears what happened. */
  set(index: number, fd: number, events: number): void {
    requireInt("fd", fd); // one that turns into 0 would be somebody else's file
    this.#view.setInt32(index * size + at.fd, fd, true);
    this.#view.setInt16(index * size + at.events, events, true);
    this.#view.setInt16(index * size + at.revents, 0, true);
  }
  /** File descriptor of entry `index`, -1 for none. */
  fd(index: number): number {
    return this.#view.getInt32(index * size + at.fd, true);
  }
  /** What happened to entry `index`: `POLL*`. */
  revents(index: number): number {
    return this.#view.getUint16(index * size + at.revents, true);
  }
}
