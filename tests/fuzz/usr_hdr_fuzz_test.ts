/** Headers in page 0 that say anything. `VSOCKIT_SEED` replays a run. */
import process from "node:process";
import { test } from "node:test";
import { assert } from "@std/assert";
import { USR_HDR_MAX, USR_PAGE_SIZE, UsrHdrPage } from "../../ffi/abi/virtio_vsock_usr.ts";
import { VsockError } from "../../src/error.ts";
import { UsrHeaders } from "../../src/receive/usr_hdr.ts";

const SEED = Number(process.env["VSOCKIT_SEED"] ?? Date.now()) >>> 0;
const HEADERS = 10_000_000;
const FLAG_MASK = 3;

/** xorshift32: uniform unsigned 32-bit numbers. */
class Random {
  #state: number;
  constructor(seed: number) {
    this.#state = seed === 0 ? 1 : seed;
  }
  u32(): number {
    let state = this.#state;
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (this.#state = state) >>> 0;
  }
  below(limit: number): number {
    return this.u32() % limit;
  }
}

/**
 * Page 0 in the hands of an enemy: every word is drawn anew at each look, often at the edges where
 * a check can be off by one, and counted.
 */
class HostilePage extends UsrHdrPage {
  headersRead = 0;
  hdrNumRead = 0;
  readonly #random: Random;
  readonly #dataPages: number;
  #left = 0;

  constructor(random: Random, dataPages: number) {
    super(new Int32Array(USR_PAGE_SIZE / 4));
    this.#random = random;
    this.#dataPages = dataPages;
  }

  override get hdrNum(): number {
    this.hdrNumRead++;
    const kind = this.#random.below(8);
    if (kind === 0) return this.#random.u32();
    if (kind === 1) return this.#dataPages + this.#random.below(3);
    this.#left = 1 + this.#random.below(this.#dataPages);
    return this.#left;
  }

  override headerLength(index: number): number {
    assert(index === this.headersRead, `header ${index} is read out of turn`);
    assert(index < USR_HDR_MAX, `header ${index} is past page 0`);
    this.headersRead++;
    const kind = this.#random.below(1000);
    if (kind === 0) return this.#random.u32();
    if (kind === 1) return 0;
    if (kind === 2) return (this.#left * USR_PAGE_SIZE + this.#random.below(3) - 1) >>> 0;
    const length = 1 + this.#random.below(kind < 900 ? USR_PAGE_SIZE : 3 * USR_PAGE_SIZE);
    this.#left -= Math.ceil(length / USR_PAGE_SIZE);
    return length;
  }

  override headerFlags(): number {
    return this.#random.u32();
  }
}

/** Throws unless every view that `headers` lead to is within the mapping, and apart from others. */
function checkViews(headers: UsrHeaders, dataPages: number): void {
  const mapping = dataPages * USR_PAGE_SIZE;
  let [next, bytes] = [0, 0];
  for (let i = 0; i < headers.count; i++) {
    const [first, length] = [headers.firstPages[i]!, headers.lengths[i]!];
    if (first !== next || length === 0 || first * USR_PAGE_SIZE + length > mapping) {
      throw new Error(`packet ${i}: ${length} bytes at page ${first} of ${dataPages}`);
    }
    if (headers.flags[i]! > FLAG_MASK) throw new Error(`packet ${i}: flags ${headers.flags[i]}`);
    next = first + Math.ceil(length / USR_PAGE_SIZE);
    bytes += length;
  }
  assert(next === headers.pages && bytes === headers.byteLength, "the sums are wrong");
}

test(
  `UsrHeaders.read() gives no view outside of the mapping (seed ${SEED})`,
  { timeout: 300_000 },
  () => {
    const random = new Random(SEED);
    const headers = new UsrHeaders();
    let [headersRead, accepted, refused] = [0, 0, 0];
    while (headersRead < HEADERS) {
      const dataPages = 1 + random.below(1024);
      const page = new HostilePage(random, dataPages);
      try {
        headers.read(page, dataPages, FLAG_MASK);
        accepted++;
      } catch (error) {
        if (!(error instanceof VsockError) || error.code !== "EPROTO") throw error;
        assert(headers.count === 0, "a refused page leaves packets behind");
        refused++;
      }
      assert(page.hdrNumRead === 1, "hdr_num is read more than once");
      checkViews(headers, dataPages);
      headersRead += page.headersRead;
    }
    assert(accepted > 1000 && refused > 1000, `${accepted} pages accepted, ${refused} refused`);
    console.log(
      `seed ${SEED}: ${headersRead} headers, ${accepted} pages taken, ${refused} refused`,
    );
  },
);
