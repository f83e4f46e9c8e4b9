/**
 * The descriptors of a `vsockit` that is to run out of them.
 *
 * @module
 */
import { execFileSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { Running } from "./process.ts";

/** Lets a process have descriptors below `most`, beside those that it has. */
export function limit({ child }: Running, most: number): void {
  execFileSync("prlimit", ["--pid", String(child.pid), `--nofile=${most}:`]);
}

function descriptors({ child }: Running): string[] {
  return readdirSync(`/proc/${child.pid}/fd`);
}

/** The descriptor that a process gets next. */
export function nextDescriptor(process: Running): number {
  const open = new Set(descriptors(process));
  let next = 0;
  while (open.has(String(next))) next++;
  return next;
}

/** Waits until they have been the same for a while, and gives them. */
async function settled(process: Running): Promise<string> {
  let before = "";
  for (let same = 0; same < 10;) {
    const now = descriptors(process).join();
    same = now === before ? same + 1 : 0;
    before = now;
    await sleep(50);
  }
  return before;
}

/**
 * Has it `serve` until one more time changes nothing: it has all descriptors then that the runtime
 * wants for itself, and none of a connection's. Gives how many times that was.
 */
export async function untilSettled(process: Running, serve: () => Promise<void>): Promise<number> {
  for (let count = 1, before = "";; count++) {
    await serve();
    const now = await settled(process);
    if (now === before) return count;
    before = now;
  }
}
