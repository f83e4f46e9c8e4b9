/**
 * What our libc layer adds to a call: time, and heap.
 *
 * @module
 */
import { AF_UNIX, SO_TYPE, SOCK_STREAM, SOL_SOCKET } from "../ffi/abi/socket.ts";
import { close, getsockopt, socketpair } from "../ffi/libc.ts";
import { library } from "../ffi/select.ts";
import type { Bench, Round } from "./bench.ts";
import { measureGetsockopt } from "./ffi_getsockopt.ts";
import { heapPerCall } from "./heap.ts";

/** Heap of our getsockopt(2) beyond that of the runtime's own, which allocates in Node. */
function addedHeap(): number {
  const { calls } = library();
  const [fd, peer] = socketpair(AF_UNIX, SOCK_STREAM);
  const value = new Int32Array(1);
  const optlen = Uint32Array.of(value.byteLength);
  try {
    const bare = heapPerCall(() => void calls.getsockopt(fd, SOL_SOCKET, SO_TYPE, value, optlen));
    const ours = heapPerCall(() => void getsockopt(fd, SOL_SOCKET, SO_TYPE, value));
    return Math.max(0, ours - bare);
  } finally {
    close(fd);
    close(peer);
  }
}

/** A counter that sees nothing would prove nothing. */
// deno-lint-ignore require-await
async function prove(): Promise<void> {
  const kept: unknown[] = [];
  const seen = heapPerCall(() => kept[0] = { bytes: kept.length, more: 1 });
  if (seen < 8) throw new Error(`The heap does not show an object per call: ${seen} bytes`);
}

/** Row 5 of the table. `measureGetsockopt()` proves its own answer. */
export const ffi: Bench = {
  rounds: 3,
  prove,
  // deno-lint-ignore require-await
  async round(): Promise<Round> {
    const { oursNs, bareNs } = measureGetsockopt();
    return { oursNs, bareNs, heap: addedHeap() };
  },
  rows: [{
    name: "ffi",
    what: "getsockopt(2) through our libc layer",
    ours: "oursNs",
    peer: "bareNs",
    peerIs: "bare FFI call",
    unit: "ns",
    target: { atMost: 1.3 },
    note: "SO_TYPE of an AF_UNIX socket, system call included",
  }, {
    name: "ffi-heap",
    what: "heap per call beyond the bare call",
    ours: "heap",
    unit: "B",
    target: { atMost: 1 },
    note: "the counter's own noise is below 1 B",
  }],
};
