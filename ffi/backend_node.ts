/**
 * libc through `node:ffi`: from Node 26.1 on by `--experimental-ffi`, from 26.9 on without.
 *
 * @module
 */
import {
  type Backend,
  type CType,
  FfiUnavailableError,
  LIBC_NAME,
  type Library,
  type Signature,
  translate,
} from "./backend.ts";
import { bufferOf } from "./view.ts";
import { toWide } from "./wide.ts";

interface NodeSignature {
  readonly arguments: readonly string[];
  readonly return: string;
}

/** The members of `node:ffi` in use. */
interface NodeFfi {
  dlopen(name: string, symbols: Record<string, NodeSignature>): { functions: unknown };
  getRawPointer(view: ArrayBufferView): bigint;
  toArrayBuffer(address: bigint, length: number, copy: boolean): ArrayBuffer;
}

const TYPES: Readonly<Record<CType, string>> = {
  i32: "int32",
  u32: "uint32",
  i64: "int64",
  usize: "uint64",
  buffer: "buffer",
};

const ACCESS_DENIED = "ERR_ACCESS_DENIED";

function isDenied(error: unknown): boolean {
  return error instanceof Error && (error as { code?: unknown }).code === ACCESS_DENIED;
}

function nodeFfi(): NodeFfi {
  const { process } = globalThis as unknown as {
    process: { getBuiltinModule(name: string): unknown };
  };
  const ffi = process.getBuiltinModule("node:ffi");
  if (ffi === undefined) throw new FfiUnavailableError("node", LIBC_NAME, "--experimental-ffi");
  return ffi as NodeFfi;
}

function opened(ffi: NodeFfi, functions: Record<string, NodeSignature>): unknown {
  try {
    return ffi.dlopen(LIBC_NAME, functions).functions;
  } catch (cause) {
    const flag = isDenied(cause) ? "--allow-ffi" : "";
    throw new FfiUnavailableError("node", LIBC_NAME, flag, cause);
  }
}

/** Node's way to libc. */
export const backend: Backend = {
  runtime: "node",

  open<Calls>(table: Readonly<Record<keyof Calls & string, Signature>>): Library<Calls> {
    const ffi = nodeFfi();
    const symbols = translate<NodeSignature>(table, ({ args, result }) => ({
      arguments: args.map((type) => TYPES[type]),
      return: TYPES[result],
    }));
    const own = { __errno_location: { arguments: [], return: "uint64" } };
    const calls = opened(ffi, { ...symbols, ...own });
    const { __errno_location } = calls as { __errno_location(): bigint };
    const errno = new Int32Array(
      ffi.toArrayBuffer(__errno_location(), Int32Array.BYTES_PER_ELEMENT, false),
    );
    return {
      name: LIBC_NAME,
      calls: calls as Calls,
      wide: toWide,
      errno: (): number => errno[0] ?? 0,
      pointerOf(view: ArrayBufferView): number {
        // A small view has no buffer until it is asked for one, and moves its bytes then.
        bufferOf(view);
        return Number(ffi.getRawPointer(view));
      },
      bufferAt: (address: number, length: number): ArrayBuffer =>
        ffi.toArrayBuffer(toWide(address) as bigint, length, false),
    };
  },
};
