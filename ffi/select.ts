/**
 * The one libc of this thread, by the backend of the runtime at hand, opened on first use.
 *
 * @module
 */
import { type Backend, FfiUnavailableError, LIBC_NAME, type Library } from "./backend.ts";
import { backend as bun } from "./backend_bun.ts";
import { backend as deno } from "./backend_deno.ts";
import { backend as node } from "./backend_node.ts";
import { backend as none } from "./backend_none.ts";
import { LIBC, type Libc } from "./symbols.ts";
import { isTooOld, runtimeHere } from "./versions.ts";

const BACKENDS: Readonly<Record<string, Backend>> = { deno, bun, node };

let forced: Backend | undefined;
let opened: Library<Libc> | undefined;

function choose(): Backend {
  const runtime = runtimeHere();
  if (runtime === undefined) return none;
  const { name, version } = runtime;
  if (isTooOld(runtime)) throw new FfiUnavailableError(`${name} ${version}`, LIBC_NAME, "");
  return BACKENDS[name] ?? none;
}

/** libc, opened by the first caller. Throws an `FfiUnavailableError` where it cannot be. */
export function library(): Library<Libc> {
  return opened ??= (forced ?? choose()).open(LIBC);
}

/**
 * Makes every later call of this thread fail as if the runtime had no FFI (`"none"`), or undoes
 * that (`undefined`): to see how a program behaves without it.
 */
export function forceBackend(name: "none" | undefined): void {
  forced = name === undefined ? undefined : none;
  opened = undefined;
}
