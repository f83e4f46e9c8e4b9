/**
 * What our libc layer adds to a call: time, and heap.
 *
 * @module
 */
import { AF_UNIX, SO_TYPE, SOCK_STREAM, SOL_SOCKET } from "../ffi/abi/socket.ts";
import { close, getsockopt, socketpair } from "../ffi/libc.ts";
import { library } from "../ffi/select.ts";
import { type Bench, median, type Round } from "./bench.ts";
import { heapPerCall } from "./heap.ts";

const ROUNDS = 31;
const CALLS = 20_000;

/** getsockopt(2) of a socket: by our libc layer, and by the runtime's own function. */
interface Calls extends Disposable {
  /** What both fill in. */
  readonly value: Int32Array;
  ours(): void;
  /** Its errno is not looked at. */
  bare(): void;
}

function openCalls(): Calls {
  const { calls } = library();
  const [fd, peer] = socketpair(AF_UNIX, SOCK_STREAM);
  const value = new Int32Array(1);
  const optlen = Uint32Array.of(value.byteLength);
  return {
    value,
    ours: () => void getsockopt(fd, SOL_SOCKET, SO_TYPE, value),
    bare: () => void calls.getsockopt(fd, SOL_SOCKET, SO_TYPE, value, optlen),
    [Symbol.dispose](): void {
      close(fd);
      close(peer);
    },
  };
}

function timeNs(call: () => void): number {
  const start = performance.now();
  for (let done = 0; done < CALLS; done++) call();
  return ((performance.now() - start) * 1e6) / CALLS;
}

/** Both give the right answer; and a counter that sees nothing would prove nothing. */
// deno-lint-ignore require-await
async function prove(): Promise<void> {
  using calls = openCalls();
  for (const call of [calls.bare, calls.ours]) {
    calls.value[0] = 0;
    call();
    if (calls.value[0] !== SOCK_STREAM) throw new Error(`SO_TYPE was ${calls.value[0]}`);
  }
  const kept: unknown[] = [];
  const seen = heapPerCall(() => kept[0] = { bytes: kept.length, more: 1 });
  if (seen < 8) throw new Error(`The heap does not show an object per call: ${seen} bytes`);
}

/** Our libc layer beside a bare call. */
export const ffi: Bench = {
  rounds: 3,
  prove,
  // deno-lint-ignore require-await
  async round(): Promise<Round> {
    using calls = openCalls();
    const { ours, bare } = calls;
    const [oursNs, bareNs]: [number[], number[]] = [[], []];
    for (let round = 0; round < ROUNDS; round++) {
      bareNs.push(timeNs(bare));
      oursNs.push(timeNs(ours));
    }
    // That of the runtime's own function is none of ours: it allocates in Node.
    const bareHeap = heapPerCall(bare);
    const heap = Math.max(0, heapPerCall(ours) - bareHeap);
    return { oursNs: median(oursNs), bareNs: median(bareNs), heap };
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
