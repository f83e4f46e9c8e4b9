/**
 * Counting what is allocated, by how the heap grows between two collections.
 *
 * @module
 */
import process from "node:process";
import { RUNTIME } from "../tests/helpers/runtime.ts";

const CALLS = 1_000_000;

/** What a runtime tells about its heap. */
interface Gauge {
  /** Calls between two looks: few enough for no collection, and enough for a number. */
  readonly calls: number;
  /** Makes growth visible again. */
  settle(): void;
  /** Bytes of the heap now. */
  bytes(): number;
}

/** V8 counts every object at once. */
const v8: Gauge = {
  calls: 5_000,
  settle: (): void => {},
  bytes: (): number => process.memoryUsage().heapUsed,
};

/** JavaScriptCore counts what a collection left; until then only its blocks of 16 KiB tell. */
interface Jsc {
  gcAndSweep(): void;
  heapStats(): { readonly heapCapacity: number };
}

function gauge(): Gauge {
  if (RUNTIME !== "bun") return v8;
  const jsc = process.getBuiltinModule("bun:jsc" as "process") as unknown as Jsc;
  return {
    calls: 100_000,
    settle: (): void => jsc.gcAndSweep(),
    bytes: (): number => jsc.heapStats().heapCapacity,
  };
}

/** Bytes allocated per call, over a million calls. */
export function heapPerCall(call: () => void): number {
  const { calls, settle, bytes } = gauge();
  let grown = 0;
  for (let done = 0; done < CALLS; done += calls) {
    settle();
    const before = bytes();
    for (let i = 0; i < calls; i++) call();
    grown += Math.max(0, bytes() - before);
  }
  return grown / CALLS;
}
