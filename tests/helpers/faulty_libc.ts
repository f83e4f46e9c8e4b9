/**
 * libc whose calls come to what a test says, as that one of them fails: to see what becomes of the
 * rest.
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

/** What opens a descriptor, and gives its number. */
const OPENERS: ReadonlySet<string> = new Set<CallName>([
  ...["socket", "accept4", "epoll_create1", "eventfd", "memfd_create", "io_uring_setup"] as const,
]);

/** Asked before each call; it may change the arguments. */
export type Judge = (name: CallName, args: unknown[]) => Decision;

/** Has the `nth` of those calls that are `call` fail with `code`, and no other. */
export function failOnce(call: CallName, code: Code, nth: number = 1): FaultyLibc {
  let calls = 0;
  return new FaultyLibc((name) => name === call && ++calls === nth ? code : undefined);
}

/** What libc does, as long as it is not disposed, is up to `judge`. */
export class FaultyLibc implements Disposable {
  /** Descriptors that were opened meanwhile, and are. */
  readonly open: Set<number> = new Set();
  /** Memory that was mapped meanwhile, and is: bytes by their address. */
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
    this.#failed = typeof decision === "string" ? decision : undefined;
    if (typeof decision === "number") return decision;
    if (name === "close") this.open.delete(Number(args[0])); // whatever it says
    if (decision !== undefined && name !== "close") return -1;
    const result = call(...args);
    if (decision !== undefined) return -1;
    this.#note(name, args, Number(result));
    return result;
  }

  #note(name: CallName | undefined, args: unknown[], result: number): void {
    if (result === -1 || name === undefined) return;
    if (OPENERS.has(name)) this.open.add(result);
    if (name === "munmap" || name === "mremap") this.mapped.delete(Number(args[0]));
    if (name === "mmap") this.mapped.set(result, Number(args[1]));
    if (name === "mremap") this.mapped.set(result, Number(args[2]));
  }

  [Symbol.dispose](): void {
    this.#opened.calls = this.#calls;
    this.#opened.errno = this.#errno;
  }
}
