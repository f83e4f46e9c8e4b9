/**
 * Eventfds counted up by the kernel, at the end of a poll(2) that ends at once: unlike write(2)
 * that never waits for room in the counter, whatever O_NONBLOCK says.
 *
 * @module
 */
import { IO_EVENT, IOCB, IOCB_CMD_POLL, IOCB_FLAG_RESFD } from "../../ffi/abi/aio_abi.ts";
import { EFD_CLOEXEC, EFD_NONBLOCK } from "../../ffi/abi/eventfd.ts";
import { POLLIN, POLLOUT } from "../../ffi/abi/poll.ts";
import { io_destroy, io_getevents, io_setup, io_submit } from "../../ffi/aio_calls.ts";
import { pointerOf } from "../../ffi/call.ts";
import { SysError } from "../../ffi/errno.ts";
import { close, eventfd, read } from "../../ffi/libc.ts";
import { atThreadEnd } from "../runtime/thread_end.ts";

/** Ends that are taken together. */
const ENDS = 64;
const COUNTER_SIZE = 8;

/** The context of a thread, for its life. */
export class Signaller {
  readonly #context: number = io_setup(ENDS);
  readonly #iocb: DataView = new DataView(new ArrayBuffer(IOCB.size));
  readonly #iocbs: DataView = new DataView(new ArrayBuffer(8));
  readonly #ends: DataView = new DataView(new ArrayBuffer(ENDS * IO_EVENT.size));
  #count = 0;

  /** @throws {SysError} Where there is no asynchronous I/O, no more of it, or not of this kind. */
  constructor() {
    const { at } = IOCB;
    this.#iocb.setUint16(at.aio_lio_opcode, IOCB_CMD_POLL, true);
    this.#iocb.setUint32(at.aio_buf, POLLIN | POLLOUT, true); // an eventfd has one of them always
    this.#iocb.setUint32(at.aio_flags, IOCB_FLAG_RESFD, true);
    this.#iocbs.setBigUint64(0, BigInt(pointerOf(this.#iocb)), true);
    try {
      this.#try();
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Counts one more in the eventfd `fd`, unless it is full. */
  signal(fd: number): void {
    this.#iocb.setUint32(IOCB.at.aio_fildes, fd, true);
    this.#iocb.setUint32(IOCB.at.aio_resfd, fd, true);
    if (this.#count >= ENDS) this.#count -= io_getevents(this.#context, this.#ends, ENDS);
    io_submit(this.#context, this.#iocbs);
    this.#count++;
  }

  /** Gives the context back. */
  close(): void {
    io_destroy(this.#context);
  }

  /** Not every kernel knows this operation, nor does everything that calls itself Linux. */
  #try(): void {
    const fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    try {
      this.signal(fd);
      if (read(fd, new Uint8Array(COUNTER_SIZE)) === COUNTER_SIZE) return;
      throw new SysError("io_submit", "ENOSYS");
    } finally {
      close(fd);
    }
  }
}

/** What passes: no memory, no descriptor, or too many contexts of others. */
const PASSING: ReadonlySet<string> = new Set(["EAGAIN", "EMFILE", "ENFILE", "ENOMEM"]);
/** Calls until it is tried again: a try may take long. */
const TRY_AGAIN = 1_024;

let own: Signaller | null | undefined;
let left = 0;

/** The one of this thread; `null` where there can be none, or none now. */
export function signaller(): Signaller | null {
  if (own === undefined && --left < 0) own = opened();
  return own ?? null;
}

function end(): void {
  own?.close();
  own = null; // another thread may get a context of the same number
}

function opened(): Signaller | null | undefined {
  try {
    const signaller = new Signaller();
    atThreadEnd(end);
    return signaller;
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    left = TRY_AGAIN;
    return PASSING.has(error.code) ? undefined : null;
  }
}
