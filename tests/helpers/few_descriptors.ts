/**
 * Where all descriptors are taken, in a process that may have few: see `runWithFewDescriptors()`.
 *
 * @module
 */
import { readdirSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { EFD_CLOEXEC } from "../../ffi/abi/eventfd.ts";
import { SysError } from "../../ffi/errno.ts";
import { close, eventfd } from "../../ffi/libc.ts";

/** How often to look, and for how long there is to be no change. */
const [LOOK_MS, LOOKS] = [10, 20];

/** Opens descriptors until there are no more but `spare`. The caller closes them. */
export function takeDescriptors(spare: number = 0): number[] {
  const fds: number[] = [];
  try {
    for (;;) fds.push(eventfd(0, EFD_CLOEXEC));
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
  }
  for (const fd of fds.splice(fds.length - spare)) close(fd);
  return fds;
}

/**
 * Waits until the runtime has begun: it may still open what it wants for that, and where it cannot,
 * Deno ends the process.
 */
export async function runtimeHasBegun(): Promise<void> {
  for (let before = "", same = 0; same < LOOKS;) {
    const now = readdirSync("/proc/self/fd").join();
    same = now === before ? same + 1 : 0;
    before = now;
    await sleep(LOOK_MS);
  }
}
