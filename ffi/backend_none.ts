/**
 * No way to libc: what there is where there is no FFI, or where it was switched off.
 *
 * @module
 */
import { type Backend, FfiUnavailableError, LIBC_NAME, type Library } from "./backend.ts";
import { runtimeHere } from "./versions.ts";

const FLAGS: Readonly<Record<string, string>> = {
  deno: "--allow-ffi",
  node: "--experimental-ffi",
};

/** Opens nothing: every call throws an {@linkcode FfiUnavailableError}. */
export const backend: Backend = {
  runtime: "none",

  open<Calls>(): Library<Calls> {
    const { name } = runtimeHere() ?? { name: "this runtime" };
    throw new FfiUnavailableError(name, LIBC_NAME, FLAGS[name] ?? "");
  },
};
