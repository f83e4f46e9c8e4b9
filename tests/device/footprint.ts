/**
 * What is left behind: descriptors of this process, and mappings of guests' memory.
 *
 * @module
 */
import { readdirSync, readFileSync } from "node:fs";
import { assertEquals } from "@std/assert";
import { RAM_NAME } from "./ram.ts";

/** What this process holds. */
export interface Footprint {
  readonly descriptors: number;
  readonly mappings: number;
}

/** What this process holds now. */
export function footprint(): Footprint {
  const maps = readFileSync("/proc/self/maps", "utf8").split("\n");
  return {
    descriptors: readdirSync("/proc/self/fd").length,
    mappings: maps.filter((line) => line.includes(RAM_NAME)).length,
  };
}

/** Asserts that `use` leaves nothing behind: at once, or in the next turns of the event loop. */
export async function leavesNothing(use: () => Promise<void>): Promise<void> {
  const before = footprint();
  await use();
  for (let turn = 0; turn < 1_000 && !same(footprint(), before); turn++) {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  assertEquals(footprint(), before);
}

function same(a: Footprint, b: Footprint): boolean {
  return a.descriptors === b.descriptors && a.mappings === b.mappings;
}
