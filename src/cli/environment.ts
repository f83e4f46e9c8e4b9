/**
 * The environment, as far as Deno lets it be read.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import process from "node:process";
import { isNotCapable } from "../../ffi/backend.ts";

/** The value of a variable; one that may not be read is as if it were not set. */
export function readVariable(name: string): string | undefined {
  try {
    return process.env[name];
  } catch (error) {
    if (isNotCapable(error)) return undefined;
    throw error;
  }
}

/** The text of a file; `undefined` where there is none, or where Deno would have to ask for it. */
export function readIfPermitted(path: string): string | undefined {
  if (!isGranted(path)) return undefined;
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

/** Descriptors that this process may have, `RLIMIT_NOFILE`; `Infinity` where that is not told. */
export function descriptorLimit(): number {
  const limits = readIfPermitted("/proc/self/limits") ?? "";
  const [, soft] = /^Max open files\s+(\d+)/m.exec(limits) ?? [];
  return soft === undefined ? Infinity : Number(soft);
}

function isGranted(path: string): boolean {
  const { Deno } = globalThis as { readonly Deno?: Permitting };
  return Deno === undefined ||
    Deno.permissions.querySync({ name: "read", path }).state === "granted";
}

/** What is used of Deno. */
interface Permitting {
  readonly permissions: {
    querySync(descriptor: { readonly name: "read"; readonly path: string }): {
      readonly state: string;
    };
  };
}
