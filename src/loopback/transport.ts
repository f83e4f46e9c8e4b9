/**
 * The loopback inside one event loop, as a transport.
 *
 * @module
 */
import { VMADDR_CID_HOST, VMADDR_CID_LOCAL } from "../../ffi/abi/vm_sockets.ts";
import { ChaosWire, type LoopbackFaults } from "./chaos.ts";
import {
  requireFunction,
  requireKnown,
  requireObject,
  requireU32,
  requireWithin,
} from "../arguments.ts";
import { type Clock, realClock } from "../stack/clock.ts";
import { firstPort, StackNode, type Tap } from "../stack/node.ts";
import { StackTransport } from "../stack/transport.ts";
import type { Transport } from "../transport.ts";
import { TIMER_MAX_MS } from "../wait/waiting.ts";
import { seeded } from "./random.ts";
import { Wire } from "./wire.ts";

/** How {@linkcode createLoopback} behaves. */
export interface LoopbackOptions {
  /**
   * Draws the order in which connections make progress, the faults, the delays and the first port
   * from this unsigned 32-bit number: the same seed replays the same run, of a program that does
   * nothing by the clock itself (`timeoutMs` and timers run in real time). Another runtime replays
   * it too, but not web streams, which take other turns there.
   *
   * @default {undefined} Packets are delivered in the order they were sent.
   */
  readonly seed?: number | undefined;
  /** The most that a packet is late, in milliseconds. @default {0} */
  readonly delayMs?: number | undefined;
  /** What goes wrong. @default {{}} Nothing. */
  readonly faults?: LoopbackFaults | undefined;
  /** `CAP_NET_BIND_SERVICE`: without it bind to a port up to 1023 is EACCES. @default {true} */
  readonly privileged?: boolean | undefined;
  /** The time it lives in. @default {realClock} */
  readonly clock?: Clock | undefined;
  /** Sees every packet just before it is delivered, with the time of the clock. */
  readonly tap?: Tap | undefined;
}

/** The transport of {@linkcode createLoopback}. */
export type LoopbackTransport = Transport;

/**
 * Makes a loopback: VM sockets inside this event loop, with no kernel and no permission.
 *
 * It has ports and options of its own; nothing reaches from one loopback to another. Both CID 1
 * and CID 2 are its own: a listener has the one it is bound to, or by `VMADDR_CID_ANY` both. There
 * is nothing to close.
 *
 * @throws {RangeError} If `seed`, `delayMs` or a fault is out of range.
 * @throws {TypeError} If one of them is no number, or there is no such fault.
 *
 * @example Listen and connect, with packets in an order that the seed draws
 * ```ts
 * import { connect, listen } from "@vsockit/vsockit";
 * import { createLoopback } from "@vsockit/vsockit/loopback";
 *
 * const transport = createLoopback({ seed: 7 });
 * using listener = listen({ cid: 1, port: 1024 }, { transport });
 * using conn = await connect({ cid: 1, port: 1024 }, { transport });
 * using peer = await listener.accept();
 * await conn.write(new TextEncoder().encode("hello"));
 * const buffer = new Uint8Array(16);
 * console.log(await peer.read(buffer)); // 5
 * ```
 */
export function createLoopback(options: LoopbackOptions = {}): LoopbackTransport {
  requireObject("options", options);
  const { seed, delayMs = 0, faults = {}, clock = realClock, tap, privileged } = options;
  if (seed !== undefined) requireU32("seed", seed);
  requireWithin("delayMs", delayMs, 0, TIMER_MAX_MS);
  requireFaults(faults);
  requireObject("clock", clock);
  requireFunction("clock.now", clock.now);
  requireFunction("clock.after", clock.after);
  if (tap !== undefined) requireFunction("tap", tap);
  const random = seeded(seed ?? 0);
  const node = new StackNode({
    cids: [VMADDR_CID_LOCAL, VMADDR_CID_HOST],
    privileged,
    firstPort: firstPort(seed === undefined ? Math.random : random),
    clock,
    tap,
    replays: seed !== undefined,
    shorten: shortener(faults, random),
  });
  const calm = seed === undefined && delayMs === 0 && Object.keys(faults).length === 0;
  node.useWire(
    calm ? new Wire(node) : new ChaosWire(node, {
      random,
      clock,
      delayMs,
      faults,
      shuffle: seed !== undefined,
      turns: node.turns,
    }),
  );
  return new StackTransport("loopback", node);
}

function shortener(
  { shortReads = 0, shortWrites = 0 }: LoopbackFaults,
  random: () => number,
): ((what: "read" | "write", n: number) => number) | undefined {
  if (shortReads === 0 && shortWrites === 0) return undefined;
  return (what, n) => {
    const probability = what === "read" ? shortReads : shortWrites;
    return random() < probability ? 1 + Math.floor(random() * n) : n;
  };
}

const PROBABILITIES = ["refuse", "shortReads", "shortWrites"] as const;
const BYTE_COUNTS = ["resetAfterBytes", "dropAfterBytes", "creditLimit"] as const;

function requireFaults(faults: LoopbackFaults): void {
  requireKnown("faults", faults, [...PROBABILITIES, ...BYTE_COUNTS]);
  for (const name of PROBABILITIES) requireWithin(name, faults[name] ?? 0, 0, 1);
  for (const name of BYTE_COUNTS) requireWithin(name, faults[name] ?? 0, 0, Infinity);
}
