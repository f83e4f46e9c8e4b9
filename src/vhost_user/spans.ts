/**
 * Bytes of a chain, wherever its segments lie.
 *
 * @module
 */
import { type Chain, type GuestMemory, refuse } from "../virtio/chain.ts";
import type { Span } from "./borrowed.ts";

/**
 * `bytes` of `memory`, which a descriptor names: the guest has broken its ring where there are
 * none.
 */
export function requireBytes(memory: GuestMemory, address: number, length: number): Uint8Array {
  return memory.bytes(address, length) ?? refuse("a buffer", "within guest memory", address);
}

/** Where `length` bytes lie from byte `offset` of `chain` on. */
export function spansOf({ segments }: Chain, offset: number, length: number): Span[] {
  const spans: Span[] = [];
  let skip = offset;
  let rest = length;
  for (let i = 0; i < segments.length && rest > 0; i++) {
    const segment = segments[i]!;
    if (skip >= segment.length) {
      skip -= segment.length;
      continue;
    }
    const address = segment.address + skip;
    const take = Math.min(segment.length - skip, rest);
    skip = 0;
    rest -= take;
    spans.push({ address, length: take });
  }
  return spans;
}

/** The same with what lies side by side in one: `has` tells what is of one piece. */
export function joined(
  spans: readonly Span[],
  has: (address: number, length: number) => boolean,
): Span[] {
  const runs: Span[] = [];
  for (const { address, length } of spans) {
    const last = runs.at(-1);
    const whole = last === undefined ? 0 : last.length + length;
    if (last !== undefined && last.address + last.length === address && has(last.address, whole)) {
      runs[runs.length - 1] = { address: last.address, length: whole };
    } else {
      runs.push({ address, length });
    }
  }
  return runs;
}

/** Copies `into.length` bytes from byte `offset` of `chain` on. It has as many. */
export function gather(memory: GuestMemory, chain: Chain, offset: number, into: Uint8Array): void {
  let at = 0;
  for (const { address, length } of spansOf(chain, offset, into.length)) {
    into.set(requireBytes(memory, address, length), at);
    at += length;
  }
}

/** Copies `from` to byte `offset` of `chain` and on. It has room. */
export function scatter(
  memory: GuestMemory,
  chain: Chain,
  offset: number,
  from: Uint8Array,
): void {
  let at = 0;
  for (const { address, length } of spansOf(chain, offset, from.length)) {
    requireBytes(memory, address, length).set(from.subarray(at, at + length));
    at += length;
  }
}
