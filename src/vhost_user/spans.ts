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

/** Calls `use` for each run of the `length` bytes from byte `offset` of `chain` on. */
function walk(
  { segments }: Chain,
  offset: number,
  length: number,
  use: (address: number, length: number, at: number) => void,
): void {
  let skip = offset;
  let at = 0;
  for (let i = 0; i < segments.length && at < length; i++) {
    const segment = segments[i]!;
    const take = Math.min(segment.length - skip, length - at);
    if (take > 0) {
      use(segment.address + skip, take, at);
      at += take;
    }
    skip = Math.max(0, skip - segment.length);
  }
}

/**
 * Where `length` bytes lie from byte `offset` of `chain` on. What lies side by side is one, where
 * `joins` tells that it is of one piece.
 */
export function spansOf(
  chain: Chain,
  offset: number,
  length: number,
  joins: (address: number, length: number) => boolean,
): Span[] {
  const spans: Span[] = [];
  let end = -1;
  walk(chain, offset, length, (address, length) => {
    const last = spans.length - 1;
    const whole = address === end ? spans[last]!.length + length : 0;
    if (whole > 0 && joins(end + length - whole, whole)) {
      spans[last] = { address: end + length - whole, length: whole };
    } else {
      spans.push({ address, length });
    }
    end = address + length;
  });
  return spans;
}

/** Copies `into.length` bytes from byte `offset` of `chain` on. It has as many. */
export function gather(memory: GuestMemory, chain: Chain, offset: number, into: Uint8Array): void {
  walk(chain, offset, into.length, (address, length, at) => {
    into.set(requireBytes(memory, address, length), at);
  });
}

/** Copies `from` to byte `offset` of `chain` and on. It has room. */
export function scatter(
  memory: GuestMemory,
  chain: Chain,
  offset: number,
  from: Uint8Array,
): void {
  walk(chain, offset, from.length, (address, length, at) => {
    requireBytes(memory, address, length).set(from.subarray(at, at + length));
  });
}
