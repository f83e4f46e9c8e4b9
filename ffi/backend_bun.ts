/**
 * libc through `bun:ffi`.
 *
 * @module
 */
import { MAP_ANONYMOUS, MAP_NORESERVE, MAP_PRIVATE, PROT_NONE } from "./abi/mman.ts";
import {
  type Backend,
  type CType,
  FfiUnavailableError,
  LIBC_NAME,
  type Library,
  type Signature,
  translate,
  type Wide,
} from "./backend.ts";
import { bufferOf } from "./view.ts";

interface BunSignature {
  readonly args: readonly string[];
  readonly returns: string;
}

/** What the adapter itself calls, beside the table it is given. */
interface Own {
  __errno_location(): number;
  mmap(at: number, length: number, prot: number, flags: number, fd: number, from: number): number;
}

/** The members of `bun:ffi` in use. */
interface BunFfi {
  dlopen(name: string, symbols: Record<string, BunSignature>): { symbols: unknown };
  ptr(view: ArrayBufferView): number;
  toArrayBuffer(address: number, offset: number, length: number): ArrayBuffer;
  readonly read: { i32(address: number, offset: number): number };
}

const ARGS: Readonly<Record<CType, string>> = {
  i32: "i32",
  u32: "u32",
  i64: "i64",
  usize: "u64",
  buffer: "buffer",
};

/** The `_fast` types give a number where it is exact, and a BigInt past 2^53. */
const RESULTS: Readonly<Record<Signature["result"], string>> = {
  i32: "i32",
  u32: "u32",
  i64: "i64_fast",
  usize: "u64_fast",
};

/**
 * The collector counts each such buffer's bytes as if it had to free them. With a small heap it
 * runs after every 8 MiB of them, which would cost a receiver more than all else it does; the
 * larger the heap, the more it lets pass. So from the first large buffer on, one of this many bytes
 * is kept: address space that nobody can touch.
 */
const BALLAST_BYTES = 64 * 1024 * 1024;
const LARGE_BYTES = 64 * 1024;
let ballast: ArrayBuffer | undefined;

function unavailable(cause: unknown): FfiUnavailableError {
  return new FfiUnavailableError("bun", LIBC_NAME, "", cause);
}

function bunFfi(): BunFfi {
  const { process } = globalThis as unknown as {
    process: { getBuiltinModule(name: string): unknown };
  };
  const ffi = process.getBuiltinModule("bun:ffi");
  if (ffi === undefined) throw unavailable(undefined);
  return ffi as BunFfi;
}

function opened(ffi: BunFfi, symbols: Record<string, BunSignature>): unknown {
  try {
    return ffi.dlopen(LIBC_NAME, symbols).symbols;
  } catch (cause) {
    throw unavailable(cause);
  }
}

/** Bun's way to libc. */
export const backend: Backend = {
  runtime: "bun",

  open<Calls>(table: Readonly<Record<keyof Calls & string, Signature>>): Library<Calls> {
    const ffi = bunFfi();
    const symbols = translate<BunSignature>(table, ({ args, result }) => ({
      args: args.map((type) => ARGS[type]),
      returns: RESULTS[result],
    }));
    const own = {
      __errno_location: { args: [], returns: "u64_fast" },
      mmap: { args: ["u64", "u64", "i32", "i32", "i32", "i64"], returns: "i64_fast" },
    };
    const calls = opened(ffi, { ...symbols, ...own });
    const { __errno_location, mmap } = calls as Own;
    const errnoAddress = __errno_location();
    const makeBallast = (): ArrayBuffer => {
      const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
      const address = mmap(0, BALLAST_BYTES, PROT_NONE, flags, -1, 0);
      // Of no use where there is no room for it.
      return address === -1 ? new ArrayBuffer(0) : ffi.toArrayBuffer(address, 0, BALLAST_BYTES);
    };
    return {
      name: LIBC_NAME,
      calls: calls as Calls,
      // Bun converts a number to 64 bits exactly, and faster than a BigInt.
      wide: (value: number): Wide => value as Wide,
      errno: (): number => ffi.read.i32(errnoAddress, 0),
      pointerOf(view: ArrayBufferView): number {
        // A small view has no buffer until it is asked for one, and moves its bytes then.
        bufferOf(view);
        return ffi.ptr(view);
      },
      bufferAt(address: number, length: number): ArrayBuffer {
        if (length >= LARGE_BYTES) ballast ??= makeBallast();
        return ffi.toArrayBuffer(address, 0, length);
      },
    };
  },
};
