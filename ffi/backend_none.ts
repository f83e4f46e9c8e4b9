/**
 * No way to libc: what there is where there is no FFI, or where it was switched off.
 *
 * @module
 */
import { type Backend, FfiUnavailableError, LIBC_NAME, type Library } from "./backend.ts";

const FLAGS: Readonly<Record<string, string>> = {
  deno: "--allow-ffi",
  node: "--experimental-ffi",
};

function runtime(): string {
  const { process } = globalThis as { process?: { versions?: Record<string, string> } };
  const versions = process?.versions ?? {};
  return ["deno", "bun", "node"].find((name) => versions[name] !== undefined) ?? "this runtime";
}

/** Opens nothing: every call throws an {@linkcode FfiUnavailableError}. */
export const backend: Backend = {
  runtime: "none",

  open<Calls>(): Library<Calls> {
    throw new FfiUnavailableError(runtime(), LIBC_NAME, FLAGS[runtime()] ?? "");
  },
};
