/**
 * The descriptors of a `vsockit` that is to run out of them.
 *
 * @module
 */
import { execFileSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { settledDescriptors } from "../helpers/few_descriptors.ts";
import type { Running } from "./process.ts";

/** Lets a process have descriptors below `most`, beside those that it has. */
export function limit({ child }: Running, most: number): void {
  execFileSync("prlimit", ["--pid", String(child.pid), `--nofile=${most}:`]);
}

/** The descriptor that a process gets next. */
export function nextDescriptor({ child }: Running): number {
  const open = new Set(readdirSync(`/proc/${child.pid}/fd`));
  let next = 0;
  while (open.has(String(next))) next++;
  return next;
}

/**
 * Has it `serve` until one more time changes nothing: it has all descriptors then that the runtime
 * wants for itself, and none of a connection's. Gives how many times that was.
 */
export async function untilSettled(process: Running, serve: () => Promise<void>): Promise<number> {
  for (let count = 1, before = "";; count++) {
    await serve();
    const now = await settledDescriptors(process.child.pid!);
    if (now === before) return count;
    before = now;
  }
}
