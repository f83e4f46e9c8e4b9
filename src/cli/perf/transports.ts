/**
 * What `vsockit perf` can measure. A transport joins by one entry.
 *
 * @module
 */
import { VIRTIO_VSOCK_MAX_PKT_BUF_SIZE } from "../../../ffi/abi/virtio_vsock.ts";
import { VMADDR_CID_LOCAL } from "../../../ffi/abi/vm_sockets.ts";
import { KernelTransport, openVsock } from "../../kernel/transport.ts";
import { createLoopbackLink, type LoopbackEnd, openLoopback } from "../../loopback/mod.ts";
import type { Transport } from "../../transport.ts";
import type { Plan } from "./plan.ts";

/** Two ends that can reach each other; plain data, for the Workers. */
export interface Link {
  /** For `open()` in the transmitter's Worker. */
  readonly transmitter: unknown;
  /** For `open()` in the receiver's Worker. */
  readonly receiver: unknown;
  /** Where the receiver connects to. */
  readonly cid: number;
}

/** One way to carry a measurement. */
export interface PerfTransport {
  /** A new link for one measurement. */
  link(plan: Plan): Link;
  /** Opens one end of a link on the Worker that uses it. The caller closes it. */
  open(end: unknown): Transport & Disposable;
  /** Whether an end can meet one of another process; then `open(undefined)` makes it. */
  readonly reachesOut: boolean;
  /** Whether it has MSG_ZEROCOPY, for `--tx-zerocopy`. */
  readonly lends?: boolean;
  /** Why it cannot map packets, which `-z y` and `-z u` need; `undefined` where it can. */
  whyNoMapping(): string | undefined;
  /** How many wake-ups a warm-up has. */
  readonly warmUpWakeups: number;
}

/** All of them, by the name that `--transport` takes. */
export const TRANSPORTS: ReadonlyMap<string, PerfTransport> = new Map<string, PerfTransport>([
  ["loopback", {
    link(plan: Plan): Link {
      const [transmitter, receiver] = createLoopbackLink({ largeBlocks: blocksFor(plan) });
      return { transmitter, receiver, cid: transmitter.cid };
    },
    open: (end: unknown): Transport & Disposable => openLoopback(end as LoopbackEnd),
    reachesOut: false,
    whyNoMapping: (): undefined => undefined,
    warmUpWakeups: 10_000,
  }],
  ["vsock", {
    link: (): Link => ({ transmitter: undefined, receiver: undefined, cid: VMADDR_CID_LOCAL }),
    open: (): Transport & Disposable => new OpenVsock(),
    reachesOut: true,
    lends: true,
    whyNoMapping: (): string | undefined => openVsock().capabilities.mapRx ? undefined : NO_MAPPING,
    warmUpWakeups: 1_000,
  }],
]);

const NO_MAPPING = "this kernel has no SO_VM_SOCKETS_ZEROCOPY, as no released one has";

/** There is nothing to close. */
class OpenVsock extends KernelTransport {
  [Symbol.dispose](): void {}
}

const [FEWEST_BLOCKS, MOST_BLOCKS, SPARE_BLOCKS] = [96, 65_536, 32];

/** Blocks that a link needs so that all the packets fit which the receiver waits for at once. */
function blocksFor({ type, rcvlowatBytes, bufferBytes, txBufferBytes }: Plan): number {
  const packet = Math.min(txBufferBytes, VIRTIO_VSOCK_MAX_PKT_BUF_SIZE);
  const awaited = type === "seqpacket" ? Math.max(rcvlowatBytes, bufferBytes) : rcvlowatBytes;
  const blocks = Math.ceil(awaited / packet) + SPARE_BLOCKS;
  return Math.min(Math.max(blocks, FEWEST_BLOCKS), MOST_BLOCKS);
}
