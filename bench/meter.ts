/**
 * What both kinds of receiver do with the bytes they get: the same code for either.
 *
 * @module
 */
import { createHash, type Hash } from "node:crypto";
import process from "node:process";
import type { Flow, Received } from "./flow.ts";

const CACHE_LINE = 64;
const RSS_EVERY_BYTES = 16 * 1024 * 1024;

/** Counts, times, and reads what it is told to read. */
export class Meter {
  readonly #flow: Flow;
  readonly #hash: Hash | undefined;
  #bytes = 0;
  #takes = 0;
  #start = 0;
  #startBytes = -1;
  #end = 0;
  #nextRssAt = 0;
  #firstRss = 0;
  #mostRss = 0;
  /** Keeps the reads from being optimised away. */
  #sum = 0;

  constructor(flow: Flow) {
    this.#flow = flow;
    this.#hash = flow.hash ? createHash("sha256") : undefined;
  }

  /** The next bytes. They are not kept. */
  take(data: Uint8Array): void {
    const { bytes, warmupBytes, touch } = this.#flow;
    if (touch) this.#sum += touchLines(data);
    this.#hash?.update(data);
    this.#bytes += data.length;
    this.#takes++;
    if (this.#bytes >= this.#nextRssAt) this.#lookAtRss();
    if (this.#startBytes < 0 && this.#bytes >= warmupBytes) {
      this.#startBytes = this.#bytes;
      this.#start = performance.now();
    }
    if (this.#bytes >= bytes) this.#end = performance.now();
  }

  /** What was measured. */
  result(): Received {
    const seconds = (this.#end - this.#start) / 1000;
    return {
      bytes: this.#sum < 0 ? 0 : this.#bytes,
      bytesPerSecond: (this.#bytes - this.#startBytes) / seconds,
      rssGrowth: this.#mostRss - this.#firstRss,
      takes: this.#takes,
      sha256: this.#hash?.digest("hex"),
    };
  }

  #lookAtRss(): void {
    const rss = process.memoryUsage.rss();
    if (this.#nextRssAt === 0) this.#firstRss = rss;
    this.#mostRss = Math.max(this.#mostRss, rss);
    this.#nextRssAt = this.#bytes + RSS_EVERY_BYTES;
  }
}

/** Reads one byte of every cache line. */
function touchLines(data: Uint8Array): number {
  let sum = 0;
  for (let at = 0; at < data.length; at += CACHE_LINE) sum += data[at]!;
  return sum;
}
