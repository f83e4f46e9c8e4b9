/**
 * What a chain is by virtio 1.2, told another way than `src/virtio/chain.ts` does: for the fuzz.
 */
import type { Segment } from "../../src/virtio/chain.ts";

const [NEXT, WRITE, INDIRECT] = [1, 2, 4];

interface Desc {
  readonly addr: bigint;
  readonly len: number;
  readonly flags: number;
  readonly next: number;
}

/** What the rules are applied to. */
export interface Guest {
  /** All of it; guest-physical 0 is its first byte. */
  readonly memory: DataView;
  /** Where the descriptor table is. */
  readonly desc: number;
  readonly size: number;
  readonly indirect: boolean;
}

function descAt({ memory }: Guest, at: number): Desc {
  return {
    addr: memory.getBigUint64(at, true),
    len: memory.getUint32(at + 8, true),
    flags: memory.getUint16(at + 12, true),
    next: memory.getUint16(at + 14, true),
  };
}

/** The chain from `index` of the table of `entries` at `table`; `undefined` if that is no chain. */
function walk(guest: Guest, table: number, entries: number, index: number): Desc[] | undefined {
  const chain: Desc[] = [];
  for (;;) {
    if (index >= entries || chain.length > guest.size) return undefined;
    const desc = descAt(guest, table + 16 * index);
    chain.push(desc);
    if ((desc.flags & NEXT) === 0) return chain;
    index = desc.next;
  }
}

/** With what is in the indirect table at its end, where there is one, in place of that. */
function flat(guest: Guest, chain: readonly Desc[]): readonly Desc[] | undefined {
  const at = chain.findIndex(({ flags }) => (flags & INDIRECT) !== 0);
  if (at < 0) return chain;
  const { addr, len, flags } = chain[at]!;
  if (!guest.indirect || (flags & NEXT) !== 0) return undefined;
  if (len === 0 || len % 16 !== 0 || len / 16 > guest.size) return undefined;
  if (addr + BigInt(len) > BigInt(guest.memory.byteLength)) return undefined;
  const inside = walk(guest, Number(addr), len / 16, 0);
  if (inside?.some(({ flags }) => (flags & INDIRECT) !== 0) ?? true) return undefined;
  return [...chain.slice(0, at), ...inside!];
}

/** The buffers of the chain at `head`; `undefined` where a driver may not have made that. */
export function model(guest: Guest, head: number): Segment[] | undefined {
  const chain = walk(guest, guest.desc, guest.size, head);
  const descs = chain === undefined ? undefined : flat(guest, chain);
  if (descs === undefined || descs.length > guest.size) return undefined;
  if (descs.some(({ addr, len }) => addr + BigInt(len) > 2n ** 53n - 1n)) return undefined;
  const segments = descs.filter(({ len }) => len > 0).map(({ addr, len, flags }) => ({
    address: Number(addr),
    length: len,
    writable: (flags & WRITE) !== 0,
  }));
  const first = segments.findIndex(({ writable }) => writable);
  if (first >= 0 && segments.slice(first).some(({ writable }) => !writable)) return undefined;
  const bytes = segments.reduce((sum, { length }) => sum + length, 0);
  return bytes > 2 ** 32 ? undefined : segments;
}
