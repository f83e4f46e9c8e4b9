/**
 * For processes that run out of descriptors, such as those of `runWithFewDescriptors()`.
 *
 * @module
 */
import { readdirSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { EFD_CLOEXEC } from "../../ffi/abi/eventfd.ts";
import { SysError } from "../../ffi/errno.ts";
import { close, eventfd } from "../../ffi/libc.ts";

/** How often to look, and how many times there is to be no change. */
const [LOOK_MS, LOOKS] = [50, 10];

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

/** Waits until those of a process have been the same for a while, and gives them. */
export async function settledDescriptors(pid: number | "self"): Promise<string> {
  let before = "";
  for (let same = 0; same < LOOKS;) {
    const now = readdirSync(`/proc/${pid}/fd`).join();
    same = now === before ? same + 1 : 0;
    before = now;
    await sleep(LOOK_MS);
  }
  return before;
}

/**
 * Waits until the runtime has begun: it may still open what it wants for that, and where it cannot,
 * Deno ends the process.
 */
export async function runtimeHasBegun(): Promise<void> {
  await settledDescriptors("self");
}
