/**
 * What a runtime owes, so that everything else in this library knows no runtime.
 *
 * A backend is one file, `backend_<runtime>.ts`, that exports one {@linkcode Backend} named
 * `backend`. It declares the types of the runtime's own FFI itself, just the members it uses. It
 * opens nothing before `open()`, and then owes:
 *
 * - **Calls** straight from the runtime, with nothing wrapped around them: an integer of 32 bits
 *   goes in and out as a number, 64 bits as what `wide()` gives (`Number()` reads either kind), a
 *   buffer as a typed array whose bytes the call may read and write until it returns. A result of
 *   -1 is -1 whatever its width.
 * - **errno** of the calling thread, right after a failed call and before any other one. It asks
 *   for the address once, a thread's for good, and then allocates nothing: a collection of garbage
 *   in between leaves an errno of its own there.
 * - **pointerOf()**, for structs that hold pointers. The view must stay reachable, with its buffer
 *   neither detached nor resized, until the call that reads the struct has returned.
 * - **bufferAt()**, an `ArrayBuffer` over memory that is not the runtime's. It frees nothing when
 *   it is collected, and `transfer(0)` detaches it.
 * - One refusal: where the runtime has no FFI or denies it, `open()` and `bufferAt()` throw an
 *   {@linkcode FfiUnavailableError}.
 *
 * libc by name is `libc.so.6`: musl's loader takes every name that begins with `libc.` for itself.
 * FFI in Deno needs `--allow-ffi`. Its narrowest form names the file, e.g.
 * `--allow-ffi=/lib/x86_64-linux-gnu/libc.so.6`, and is enough for all but `bufferAt()`: sockets
 * and copied receive work, memory mappings need `--allow-ffi` alone. Node before 26.9 needs
 * `--experimental-ffi`; with `--permission` any Node needs `--allow-ffi`.
 *
 * C's variadic calls (`fcntl`, `ioctl`, `mremap`, `syscall`) are declared like any other: on x86-64
 * and arm64 Linux, integers and pointers travel in the same registers either way.
 *
 * @module
 */
import { NEEDED } from "./versions.ts";

declare const wide: unique symbol;

/** A 64-bit integer or address in the form that the runtime's calls take fastest. */
export type Wide = (number | bigint) & { readonly [wide]: true };

/** The C types in use. `usize` is also every pointer that is given as an address. */
export type CType = "i32" | "u32" | "i64" | "usize" | "buffer";

/** How C declares a function. */
export interface Signature {
  /** Parameters, in order. */
  readonly args: readonly CType[];
  /** What it returns. */
  readonly result: Exclude<CType, "buffer">;
}

/** An opened libc. */
export interface Library<Calls> {
  /** The name that it was opened by, e.g. `"libc.so.6"`: another thread opens it by that too. */
  readonly name: string;
  /** The functions of the table that `open()` was given. */
  readonly calls: Calls;
  /** The calling thread's errno; only right after a failed call. */
  errno(): number;
  /** A safe integer as an argument of 64 bits; allocates nothing for a number used lately. */
  wide(value: number): Wide;
  /** Address of the first byte of `view`. */
  pointerOf(view: ArrayBufferView): number;
  /** A buffer over `length` (1 or more) bytes at `address`, which stay the caller's. */
  bufferAt(address: number, length: number): ArrayBuffer;
}

/** One runtime's way to libc. */
export interface Backend {
  /** Which runtime. */
  readonly runtime: "deno" | "bun" | "node" | "none";
  /** Opens libc; every key of `table` is the name of a function. */
  open<Calls>(table: Readonly<Record<keyof Calls & string, Signature>>): Library<Calls>;
}

/** libc by the name that a dynamic loader finds it by, musl's too. */
export const LIBC_NAME = "libc.so.6";

/** Where distributions keep libc, for permissions that name a file. */
export const LIBC_PATHS: readonly string[] = [
  "/lib/x86_64-linux-gnu/libc.so.6",
  "/lib/aarch64-linux-gnu/libc.so.6",
  "/usr/lib/x86_64-linux-gnu/libc.so.6",
  "/usr/lib/aarch64-linux-gnu/libc.so.6",
  "/lib64/libc.so.6",
  "/usr/lib/libc.so.6",
  "/lib/libc.musl-x86_64.so.1",
  "/lib/libc.musl-aarch64.so.1",
];

/** Whether `error` is a runtime's word for a permission that it lacks: Deno's, or Node's. */
export function isNotCapable(error: unknown): boolean {
  return error instanceof Error &&
    (error.name === "NotCapable" || "code" in error && error.code === "ERR_ACCESS_DENIED");
}

/** {@linkcode FfiUnavailableError.library} where memory is out of reach, and libc is not. */
export const MEMORY = "memory";

/**
 * What a person can do. Where no flag helps and there is a `cause`, there is an FFI, and what has
 * failed is opening libc.
 */
export function cureOf(
  { library, flag, cause }: Pick<FfiUnavailableError, "library" | "flag" | "cause">,
): string {
  if (flag !== "") return `run with ${flag}${library === MEMORY ? ", without a path" : ""}`;
  if (cause === undefined) return `use ${NEEDED}`;
  return cause instanceof Error && /\bJIT\b/.test(cause.message)
    ? "have its JIT, and no sandbox that denies memory to execute"
    : "use Linux, with glibc or musl";
}

/** libc cannot be called: no FFI in this runtime, no permission, or no such library. */
export class FfiUnavailableError extends Error {
  /** Always `"FfiUnavailableError"`. */
  override readonly name: string = "FfiUnavailableError";
  /** The runtime that runs this, e.g. `"deno"`. */
  readonly runtime: string;
  /** What was to be opened, e.g. `"libc.so.6"`. */
  readonly library: string;
  /** The command-line flag that helps, e.g. `"--allow-ffi"`; empty where none does. */
  readonly flag: string;
  /** `cause` is what the runtime said, if it said something. */
  constructor(runtime: string, library: string, flag: string, cause?: unknown) {
    const does = library === MEMORY ? "look at" : "call";
    const cure = cureOf({ library, flag, cause });
    const state = cause instanceof Error ? cause.message : flag === "" ? runtime : "no FFI";
    super(`Cannot ${does} ${library} on ${runtime}: must ${cure}: current value is ${state}`, {
      cause,
    });
    this.runtime = runtime;
    this.library = library;
    this.flag = flag;
  }
}

/** Whether `error` says that memory may not be looked at by its address, though libc is there. */
export function isDeniedMemory(error: unknown): boolean {
  return error instanceof FfiUnavailableError && error.library === MEMORY;
}

/** The rows of `table` in a runtime's own form. */
export function translate<Row>(
  table: Readonly<Record<string, Signature>>,
  convert: (signature: Signature) => Row,
): Record<string, Row> {
  return Object.fromEntries(
    Object.entries(table).map(([name, signature]) => [name, convert(signature)]),
  );
}
