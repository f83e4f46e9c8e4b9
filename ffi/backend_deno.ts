/**
 * libc through `Deno.dlopen`.
 *
 * `Deno.UnsafePointer` asks for `--allow-ffi` without a path, so all but `bufferAt()` can do
 * without it: memcpy(3) gives the address of the buffer it is handed, and copies errno out.
 *
 * @module
 */
import {
  type Backend,
  type CType,
  FfiUnavailableError,
  isNotCapable,
  LIBC_NAME,
  LIBC_PATHS,
  type Library,
  MEMORY,
  type Signature,
  translate,
  type Wide,
} from "./backend.ts";
import { bufferOf, byteOffsetOf } from "./view.ts";
import { toWide } from "./wide.ts";

interface DenoSignature {
  readonly name?: string;
  readonly parameters: readonly CType[];
  readonly result: CType;
}

/** The members of the `Deno` namespace in use. */
interface DenoFfi {
  dlopen(path: string, symbols: Record<string, DenoSignature>): { symbols: unknown };
  readonly permissions: {
    querySync(descriptor: { name: "ffi"; path?: string }): { state: string };
  };
  readonly UnsafePointer: { create(address: bigint): object };
  readonly UnsafePointerView: { getArrayBuffer(pointer: object, length: number): ArrayBuffer };
}

/** What the adapter itself calls, beside the table it is given. */
interface Own {
  __errno_location(): Wide;
  copyOut(to: Int32Array, from: Wide, length: Wide): Wide;
  addressOf(buffer: Whole, same: Whole, length: Wide): Wide;
}

/** A buffer; a shared one goes through a view alone. */
type Whole = ArrayBuffer | Uint8Array;

const OWN: Readonly<Record<keyof Own, DenoSignature>> = {
  __errno_location: { parameters: [], result: "usize" },
  copyOut: { name: "memcpy", parameters: ["buffer", "usize", "usize"], result: "usize" },
  addressOf: { name: "memcpy", parameters: ["buffer", "buffer", "usize"], result: "usize" },
};

function deno(): DenoFfi {
  return (globalThis as unknown as { Deno: DenoFfi }).Deno;
}

function unavailable(library: string, cause: unknown): FfiUnavailableError {
  return new FfiUnavailableError("deno", library, isGranted() ? "" : "--allow-ffi", cause);
}

function isGranted(path?: string): boolean {
  const descriptor = path === undefined ? {} : { path };
  return deno().permissions.querySync({ name: "ffi", ...descriptor }).state === "granted";
}

/** The name is for the loader and a permission for all; else a permission names some paths. */
function names(): readonly string[] {
  if (isGranted()) return [LIBC_NAME];
  const granted = LIBC_PATHS.filter(isGranted);
  return granted.length > 0 ? granted : [LIBC_NAME];
}

/** The first of `names()` that opens; the error is of the first. */
function opened(symbols: Record<string, DenoSignature>): { name: string; symbols: unknown } {
  let first: FfiUnavailableError | undefined;
  for (const name of names()) {
    try {
      return { name, symbols: deno().dlopen(name, symbols).symbols };
    } catch (error) {
      first ??= unavailable(name, error);
      if (isNotCapable(error)) break;
    }
  }
  throw first;
}

function bufferAt(address: number, length: number): ArrayBuffer {
  try {
    const pointer = deno().UnsafePointer.create(toWide(address) as bigint);
    return deno().UnsafePointerView.getArrayBuffer(pointer, length);
  } catch (error) {
    throw isNotCapable(error) ? unavailable(MEMORY, error) : error;
  }
}

/** errno where it is, or a copy of it where memory may not be looked at. */
function errnoReader(own: Own): () => number {
  const address = own.__errno_location();
  if (isGranted()) {
    const cell = new Int32Array(bufferAt(Number(address), Int32Array.BYTES_PER_ELEMENT));
    return () => cell[0] ?? 0;
  }
  const copy = new Int32Array(1);
  const length = toWide(copy.byteLength);
  return () => {
    own.copyOut(copy, address, length);
    return copy[0] ?? 0;
  };
}

/** Deno's way to libc. */
export const backend: Backend = {
  runtime: "deno",

  open<Calls>(table: Readonly<Record<keyof Calls & string, Signature>>): Library<Calls> {
    const symbols = translate(table, ({ args, result }) => ({ parameters: args, result }));
    const library = opened({ ...symbols, ...OWN });
    const own = library.symbols as Own;
    const none = toWide(0);
    return {
      name: library.name,
      calls: library.symbols as Calls,
      wide: toWide,
      bufferAt,
      errno: errnoReader(own),
      pointerOf(view: ArrayBufferView): number {
        const buffer = bufferOf(view);
        const whole = buffer instanceof ArrayBuffer ? buffer : new Uint8Array(buffer);
        return Number(own.addressOf(whole, whole, none)) + byteOffsetOf(view);
      },
    };
  },
};
