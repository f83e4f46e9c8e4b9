/**
 * How this runtime is started again.
 *
 * @module
 */

/** The arguments before the program: with every permission, and FFI. */
export function runtimeArgs(): readonly string[] {
  if ("Deno" in globalThis) return ["run", "--no-check", "-A"];
  return "Bun" in globalThis ? ["run"] : ["--no-warnings", "--experimental-ffi"];
}
