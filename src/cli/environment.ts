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

/**
 * Has Deno ask for the permission to use a port of `host`, for `doing` something there. Without it
 * the node:net of Deno would throw where nobody can catch it.
 *
 * @throws {Error} If it may not be used.
 */
export function requireNet(host: string, port: number, doing: string): void {
  const { Deno } = globalThis as { readonly Deno?: Permitting };
  const name = host.includes(":") ? `[${host}]` : host;
  const net = { name: "net", host: `${name}:${port}` } as const;
  const { state } = Deno?.permissions.requestSync(net) ?? GRANTED;
  if (state === GRANTED.state) return;
  throw new Error(`Cannot ${doing}: must run with --allow-net=${name}: current value is ${state}`);
}

function isGranted(path: string): boolean {
  const { Deno } = globalThis as { readonly Deno?: Permitting };
  const { state } = Deno?.permissions.querySync({ name: "read", path }) ?? GRANTED;
  return state === GRANTED.state;
}

const GRANTED = { state: "granted" };

/** What is used of Deno. */
interface Permitting {
  readonly permissions: {
    querySync(descriptor: { readonly name: "read"; readonly path: string }): Status;
    requestSync(descriptor: { readonly name: "net"; readonly host: string }): Status;
  };
}

interface Status {
  readonly state: string;
}
