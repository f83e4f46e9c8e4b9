/**
 * `<sys/epoll.h>`: readiness of many file descriptors; see epoll(7).
 *
 * @module
 */
import { X86_64 } from "../arch.ts";
import { requireUint } from "../arguments.ts";
import { type Layout, layout } from "../layout.ts";

/** epoll_ctl(2): add a file descriptor. */
export const EPOLL_CTL_ADD = 1;
/** epoll_ctl(2): remove a file descriptor. */
export const EPOLL_CTL_DEL = 2;
/** epoll_ctl(2): change what is waited for. */
export const EPOLL_CTL_MOD = 3;
/** epoll_create1(2): closed on exec. */
export const EPOLL_CLOEXEC = 0o2000000;
/** Data to read. */
export const EPOLLIN = 0x001;
/** Room to write. */
export const EPOLLOUT = 0x004;
/** An error is pending. Output only. */
export const EPOLLERR = 0x008;
/** Both directions are shut. Output only. */
export const EPOLLHUP = 0x010;
/** The peer sends no more. */
export const EPOLLRDHUP = 0x2000;
/** Report once, then wait for `EPOLL_CTL_MOD`. */
export const EPOLLONESHOT = 0x40000000;
/** Report changes only. */
export const EPOLLET = 0x80000000;

/** `struct epoll_event`: packed on x86-64, padded on arm64. */
export const EPOLL_EVENT: Layout<"events" | "data"> = layout(
  "struct epoll_event",
  "sys/epoll.h",
  {
    events: "u32", // EPOLL*
    data: "u64", // whatever epoll_ctl(2) was given
  },
  { packed: X86_64 },
);
const { at, size } = EPOLL_EVENT;

/** An array of `struct epoll_event` over its own bytes, used again from call to call. */
export class EpollEvents {
  /** How many there are. */
  readonly length: number;
  /** The array itself, to hand to epoll_ctl(2) and epoll_wait(2). */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly #view: DataView;

  /** `length` events, all zero. */
  constructor(length: number) {
    requireUint("length", length);
    this.length = length;
    this.bytes = new Uint8Array(length * size);
    this.#view = new DataView(this.bytes.buffer);
  }
  /**
   * Fills event `index`; `data` is an unsigned 32-bit number such as a file descriptor, and so is
   * `tag`, the upper half of `epoll_data_t`.
   */
  set(index: number, events: number, data: number, tag = 0): void {
    this.#view.setUint32(index * size + at.events, events, true);
    this.#view.setUint32(index * size + at.data, data, true);
    this.#view.setUint32(index * size + at.data + 4, tag, true);
  }
  /** What happened: `EPOLL*`. */
  events(index: number): number {
    return this.#view.getUint32(index * size + at.events, true);
  }
  /** The number that `set()` was given. */
  data(index: number): number {
    return this.#view.getUint32(index * size + at.data, true);
  }
  /** The tag that `set()` was given. */
  tag(index: number): number {
    return this.#view.getUint32(index * size + at.data + 4, true);
  }
}
