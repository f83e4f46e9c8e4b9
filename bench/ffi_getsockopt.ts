/**
 * What the wrapped getsockopt(2) costs beside the bare call of the runtime's FFI.
 *
 * @module
 */
import { AF_UNIX, SO_TYPE, SOCK_STREAM, SOL_SOCKET } from "../ffi/abi/socket.ts";
import { close, getsockopt, socketpair } from "../ffi/libc.ts";
import { library } from "../ffi/select.ts";

/** Nanoseconds per call, system call included: the median of the rounds. */
export interface FfiCost {
  /** The runtime's own function, its errno not looked at. */
  readonly bareNs: number;
  /** `getsockopt()` of `ffi/libc.ts`. */
  readonly oursNs: number;
  /** `oursNs / bareNs`. */
  readonly ratio: number;
}

const ROUNDS = 31;
const CALLS = 20_000;

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN;
}

function timeNs(call: () => void): number {
  const start = performance.now();
  for (let done = 0; done < CALLS; done++) call();
  return ((performance.now() - start) * 1e6) / CALLS;
}

/** Measures both in turn, on one socket, after it has seen both give the right answer. */
export function measureGetsockopt(): FfiCost {
  const { calls } = library();
  const [fd, peer] = socketpair(AF_UNIX, SOCK_STREAM);
  const value = new Int32Array(1);
  const optlen = Uint32Array.of(value.byteLength);
  const bare = (): void => void calls.getsockopt(fd, SOL_SOCKET, SO_TYPE, value, optlen);
  const ours = (): void => void getsockopt(fd, SOL_SOCKET, SO_TYPE, value);
  try {
    for (const call of [bare, ours]) {
      value[0] = 0;
      call();
      if (value[0] !== SOCK_STREAM) throw new Error(`Cannot measure: SO_TYPE was ${value[0]}`);
    }
    const bareNs: number[] = [];
    const oursNs: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      bareNs.push(timeNs(bare));
      oursNs.push(timeNs(ours));
    }
    const [bareMedian, oursMedian] = [median(bareNs), median(oursNs)];
    return { bareNs: bareMedian, oursNs: oursMedian, ratio: oursMedian / bareMedian };
  } finally {
    close(fd);
    close(peer);
  }
}
