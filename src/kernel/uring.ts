/**
 * An io_uring(7): sendmsg(2) that the kernel goes on with by itself.
 *
 * @module
 */
import {
  IO_CQRING_OFFSETS,
  IO_SQRING_OFFSETS,
  IO_URING_CQE,
  IO_URING_PARAMS,
  IO_URING_SQE,
  IORING_ENTER_GETEVENTS,
  IORING_FEAT_NODROP,
  IORING_OFF_CQ_RING,
  IORING_OFF_SQ_RING,
  IORING_OFF_SQES,
  IORING_OP_SENDMSG,
  IORING_SETUP_CQSIZE,
  IORING_SQ_CQ_OVERFLOW,
} from "../../ffi/abi/io_uring.ts";
import { isDeniedMemory } from "../../ffi/backend.ts";
import { SysError } from "../../ffi/errno.ts";
import { close, io_uring_enter, io_uring_setup } from "../../ffi/libc.ts";
import { MappedRegion } from "../../ffi/memory.ts";
import type { Message } from "../../ffi/message.ts";
import { pointerOf } from "../../ffi/call.ts";
import { atThreadEnd } from "../runtime/thread_end.ts";

/** One, used again by each call, which submits it at once; members that none writes stay zero. */
const ENTRIES = 1;
/** Completions that fit; more are kept by the kernel. */
const COMPLETIONS = 256;
const WORD = 4;

/** Gets what the call came to: its result, or a negative errno. */
export type Done = (result: number) => void;

/** The ring of a thread, for its life; it takes one descriptor. */
export class Uring {
  /** Readable by poll(2) while there are completions to {@linkcode Uring.reap}. */
  readonly fd: number;
  readonly #sq: Uint32Array;
  readonly #cq: DataView;
  readonly #sqe: DataView;
  readonly #at: { readonly sqTail: number; readonly sqFlags: number };
  readonly #cqAt: { readonly head: number; readonly tail: number; readonly cqes: number };
  readonly #cqWords: Uint32Array;
  readonly #cqMask: number;
  readonly #calls: Map<number, Done> = new Map();
  readonly #regions: MappedRegion[] = [];
  #last = 0;

  /** @throws {SysError} `ENOSYS` or `EPERM` where io_uring is not there or not allowed. */
  constructor() {
    const params = new DataView(new ArrayBuffer(IO_URING_PARAMS.size));
    const of = (member: keyof typeof IO_URING_PARAMS.at, inner = 0): number =>
      params.getUint32(IO_URING_PARAMS.at[member] + inner, true);
    params.setUint32(IO_URING_PARAMS.at.flags, IORING_SETUP_CQSIZE, true);
    params.setUint32(IO_URING_PARAMS.at.cq_entries, COMPLETIONS, true);
    this.fd = io_uring_setup(ENTRIES, params);
    try {
      if ((of("features") & IORING_FEAT_NODROP) === 0) {
        throw new SysError("io_uring_setup", "ENOSYS");
      }
      const { at: sq } = IO_SQRING_OFFSETS;
      const { at: cq } = IO_CQRING_OFFSETS;
      this.#at = {
        sqTail: of("sq_off", sq.tail) / WORD,
        sqFlags: of("sq_off", sq.flags) / WORD,
      };
      this.#cqAt = {
        head: of("cq_off", cq.head) / WORD,
        tail: of("cq_off", cq.tail) / WORD,
        cqes: of("cq_off", cq.cqes),
      };
      this.#cqMask = of("cq_entries") - 1;
      this.#sq = new Uint32Array(this.#map(IORING_OFF_SQ_RING, of("sq_off", sq.array) + WORD));
      const cqBytes = this.#cqAt.cqes + of("cq_entries") * IO_URING_CQE.size;
      this.#cq = new DataView(this.#map(IORING_OFF_CQ_RING, cqBytes));
      this.#cqWords = new Uint32Array(this.#cq.buffer, 0, Math.floor(this.#cqAt.cqes / WORD));
      this.#sqe = new DataView(this.#map(IORING_OFF_SQES, IO_URING_SQE.size));
    } catch (error) {
      for (const region of this.#regions) region.unmap();
      close(this.fd);
      throw error;
    }
  }

  /**
   * Begins a sendmsg(2), and ends it where it does not block: `done` is called by `reap()`, in this
   * call at the earliest. Where it would block, the kernel goes on later from where it was, so the
   * bytes that `message` points to stay in use until `done`. There is one buffer in `message`.
   *
   * @throws {SysError} What io_uring_enter(2) refuses, `EAGAIN` without memory: nothing has begun.
   */
  sendmsg(fd: number, message: Message, flags: number, done: Done): void {
    const id = this.#last = (this.#last + 1) >>> 0;
    const { at } = IO_URING_SQE;
    const sqe = this.#sqe;
    message.fill(pointerOf);
    sqe.setUint8(at.opcode, IORING_OP_SENDMSG);
    sqe.setInt32(at.fd, fd, true);
    sqe.setBigUint64(at.addr, BigInt(pointerOf(message.bytes)), true);
    sqe.setUint32(at.len, 1, true);
    sqe.setUint32(at.msg_flags, flags, true);
    sqe.setUint32(at.user_data, id, true);
    Atomics.add(this.#sq, this.#at.sqTail, 1);
    this.#calls.set(id, done);
    try {
      io_uring_enter(this.fd, 1, 0);
    } catch (error) {
      Atomics.sub(this.#sq, this.#at.sqTail, 1);
      this.#calls.delete(id);
      throw error;
    } finally {
      message.settle();
    }
    this.reap();
  }

  /** Tells all calls that are over. */
  reap(): void {
    for (;;) {
      while (this.#reapOne());
      if ((Atomics.load(this.#sq, this.#at.sqFlags) & IORING_SQ_CQ_OVERFLOW) === 0) return;
      io_uring_enter(this.fd, 0, IORING_ENTER_GETEVENTS);
    }
  }

  #reapOne(): boolean {
    const { head, tail, cqes } = this.#cqAt;
    const first = Atomics.load(this.#cqWords, head);
    if (first === Atomics.load(this.#cqWords, tail)) return false;
    const cqe = cqes + (first & this.#cqMask) * IO_URING_CQE.size;
    const id = this.#cq.getUint32(cqe + IO_URING_CQE.at.user_data, true);
    const result = this.#cq.getInt32(cqe + IO_URING_CQE.at.res, true);
    Atomics.store(this.#cqWords, head, first + 1);
    const done = this.#calls.get(id);
    this.#calls.delete(id);
    done?.(result);
    return true;
  }

  #map(offset: number, length: number): ArrayBuffer {
    const region = new MappedRegion(length, { fd: this.fd, offset });
    this.#regions.push(region);
    return region.lend(0, length).buffer;
  }
}

/** Refusals that stay; others, such as of descriptors or memory, are of the moment. */
const LASTING: ReadonlySet<string> = new Set(["ENOSYS", "EPERM", "EACCES"]);

let own: Uring | null | undefined;

/** The ring of this thread, made on first use; `null` where there can be none, or none just now. */
export function uring(): Uring | null {
  if (own !== undefined) return own;
  try {
    own = new Uring();
  } catch (error) {
    if (isDeniedMemory(error)) return own = null;
    if (!(error instanceof SysError)) throw error;
    if (LASTING.has(error.code)) own = null;
    return null;
  }
  const { fd } = own;
  // A Worker that ends leaves its descriptors to the process.
  atThreadEnd(() => close(fd));
  return own;
}
