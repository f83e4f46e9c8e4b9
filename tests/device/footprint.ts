/**
 * What is left behind: descriptors of this process, and mappings of guests' memory.
 *
 * @module
 */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { assertEquals } from "@std/assert";
import { RAM_NAME } from "./ram.ts";

/** What this process holds. */
export interface Footprint {
  /** What they are of, in order; without files, which only the runtime and its report have. */
  readonly descriptors: readonly string[];
  readonly mappings: number;
}

/** What this process holds now. */
export function footprint(): Footprint {
  const maps = readFileSync("/proc/self/maps", "utf8").split("\n");
  return {
    descriptors: readdirSync("/proc/self/fd").map(target).filter(isNoFile).sort(),
    mappings: maps.filter((line) => line.includes(RAM_NAME)).length,
  };
}

/**
 * Asserts that `use` leaves nothing behind: at once, or in the next turns of the event loop. What
 * else goes meanwhile, such as a Worker of the test before, is no matter. What comes is held to
 * come of `use` where it comes each time: the runtime opens what a Worker needs in its own time.
 */
export async function leavesNothing(use: () => Promise<void>): Promise<void> {
  const first = await leftBy(use);
  if (first !== NOTHING) assertEquals(await leftBy(use), NOTHING, `and ${first} before`);
}

/** What `use` leaves behind, or the runtime adds meanwhile. */
async function leftBy(use: () => Promise<void>): Promise<string> {
  const before = footprint();
  await use();
  for (let turn = 0; turn < 1_000 && added(before) !== NOTHING; turn++) {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  return added(before);
}

const NOTHING = "0 mappings, no descriptor";

/** What there is more than before. */
function added({ descriptors, mappings }: Footprint): string {
  const now = footprint();
  const known = [...descriptors];
  const fresh = now.descriptors.filter((one) => {
    const at = known.indexOf(one);
    if (at >= 0) known.splice(at, 1);
    return at < 0;
  });
  return `${Math.max(0, now.mappings - mappings)} mappings, ${fresh.join() || "no descriptor"}`;
}

/** Whether it has no place in the file system. */
function isNoFile(target: string): boolean {
  return !target.startsWith("/") || target.startsWith("/memfd:");
}

/** What a descriptor is of, without its number. */
function target(fd: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`).replace(/:\[\d+\]$/, "");
  } catch {
    return "a folder that was read"; // this one
  }
}
