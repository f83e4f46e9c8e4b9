/**
 * libc of which one call fails, once: to see what becomes of the rest.
 *
 * It takes the place of what `ffi/select.ts` has opened, for this thread alone: the thread of the
 * reactor opens libc by itself.
 *
 * @module
 */
import {
  SYS_io_destroy,
  SYS_io_getevents,
  SYS_io_setup,
  SYS_io_submit,
} from "../../ffi/abi/aio_abi.ts";
import { SYS_io_uring_enter, SYS_io_uring_setup } from "../../ffi/abi/io_uring.ts";
import { SYS_preadv2 } from "../../ffi/abi/uio.ts";
import { type Code, ERRNO } from "../../ffi/errno.ts";
import { library } from "../../ffi/select.ts";
import type { Libc } from "../../ffi/symbols.ts";

/** What can fail: a function of libc, or what syscall(2) is called for. */
export type CallName =
  | Exclude<keyof Libc, "syscall">
  | "io_destroy"
  | "io_getevents"
  | "io_setup"
  | "io_submit"
  | "io_uring_enter"
  | "io_uring_setup"
  | "preadv2";

const NUMBERS: ReadonlyMap<number, CallName> = new Map([
  [SYS_io_destroy, "io_destroy"],
  [SYS_io_getevents, "io_getevents"],
  [SYS_io_setup, "io_setup"],
  [SYS_io_submit, "io_submit"],
  [SYS_io_uring_enter, "io_uring_enter"],
  [SYS_io_uring_setup, "io_uring_setup"],
  [SYS_preadv2, "preadv2"],
]);

type Call = (...args: unknown[]) => unknown;
type Raw = Readonly<Record<string, Call>>;

/** What becomes of a call: the errno that it fails with, a result of its own, or what it does. */
export type Decision = Code | number | undefined;

/** Asked before each call; it may change the arguments. */
export type Judge = (name: CallName, args: unknown[]) => Decision;

/** Has the `nth` of those calls that are `call` fail with `code`, and no other. */
export function failOnce(call: CallName, code: Code, nth: number = 1): FaultyLibc {
  let calls = 0;
  return new FaultyLibc((name) => name === call && ++calls === nth ? code : undefined);
}

/** What libc does, as long as it is not disposed, is up to `judge`. */
export class FaultyLibc implements Disposable {
  /** Memory that is mapped: bytes by their address. */
  readonly mapped: Map<number, number> = new Map();
  readonly #opened = library() as unknown as { calls: Raw; errno(): number };
  readonly #calls = this.#opened.calls;
  readonly #errno = this.#opened.errno;
  #failed: Code | undefined;

  constructor(judge: Judge) {
    const wrapped = Object.keys(this.#calls).map((key): [string, Call] => {
      const call = this.#calls[key]!;
      return [key, (...args) => this.#call(key, call, args, judge)];
    });
    this.#opened.calls = Object.fromEntries(wrapped);
    this.#opened.errno = () =>
      this.#failed === undefined ? this.#errno.call(this.#opened) : ERRNO[this.#failed];
  }

  #call(key: string, call: Call, args: unknown[], judge: Judge): unknown {
    const name = key === "syscall" ? NUMBERS.get(Number(args[0])) : key as CallName;
    const decision = name === undefined ? undefined : judge(name, args);
    this.#failed = undefined;
    if (typeof decision === "number") return decision;
    if (decision === undefined || key === "close") {
      const result = call(...args);
      if (decision === undefined) return this.#note(key, args, result);
    }
    this.#failed = decision;
    return -1;
  }

  #note(key: string, args: unknown[], result: unknown): unknown {
    const at = Number(result);
    if (key === "munmap" && at === 0) this.mapped.delete(Number(args[0]));
    if (key === "mremap" && at !== -1) this.mapped.delete(Number(args[0]));
    if (key === "mmap" && at !== -1) this.mapped.set(at, Number(args[1]));
    if (key === "mremap" && at !== -1) this.mapped.set(at, Number(args[2]));
    return result;
  }

  [Symbol.dispose](): void {
    this.#opened.calls = this.#calls;
    this.#opened.errno = this.#errno;
  }
}
