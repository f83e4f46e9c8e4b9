/**
 * All benches, in the order of the table.
 *
 * @module
 */
import type { Bench } from "./bench.ts";
import { dequeue } from "./dequeue_bench.ts";
import { ffi } from "./ffi_bench.ts";
import { memory } from "./memory_bench.ts";
import { roundtrip } from "./roundtrip_bench.ts";
import { throughput } from "./throughput_bench.ts";

/** What `bench/run.ts` runs. */
export const BENCHES: readonly Bench[] = [throughput, dequeue, roundtrip, ffi, memory];
