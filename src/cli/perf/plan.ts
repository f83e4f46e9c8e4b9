/**
 * What one measurement does. Plain data: it crosses to the Workers by structured clone.
 *
 * @module
 */
import type { SocketType } from "../../socket.ts";

/** The most bytes that a receiver maps; a buffer to copy into has the same limit. */
export const BUFFER_MAX: number = (2 ** 18 - 1) * 4096;

/** How the receiver takes data. */
export type Mode = "copy" | "zerocopy" | "user-poll" | "auto";

/** What is said of a mode. */
interface ModeRow {
  readonly mode: Mode;
  /** Behind `-z`. */
  readonly letter: string;
  /** The RFC's name of its row. */
  readonly short: string;
  readonly words: string;
  /** The calls that C times. */
  readonly calls: string;
}

/** All modes, in the order of a sweep's rows. */
export const MODES: readonly ModeRow[] = [
  { mode: "copy", letter: "n", short: "C", words: "copy", calls: "recv" },
  {
    mode: "zerocopy",
    letter: "y",
    short: "ZC",
    words: "zero-copy, poll",
    calls: "getsockopt + madvise",
  },
  {
    mode: "user-poll",
    letter: "u",
    short: "ZU",
    words: "zero-copy, user poll",
    calls: "getsockopt + madvise",
  },
  {
    mode: "auto",
    letter: "a",
    short: "AU",
    words: "the cheaper one",
    calls: "recv, or getsockopt + madvise",
  },
];

/** What is said of `mode`. */
export function modeRow(mode: Mode): ModeRow {
  return MODES.find((row) => row.mode === mode)!;
}

/** What carries a measurement: an entry in `transports.ts`. */
export type TransportName = "loopback" | "vsock" | "device" | "tcp";

/** One measurement. */
export interface Plan {
  /** How the receiver takes data. */
  readonly mode: Mode;
  /** What carries it. */
  readonly transport: TransportName;
  /** STREAM, or SEQPACKET with messages of `bufferBytes`. */
  readonly type: SocketType;
  /** Where one end listens: the transmitter, where both are in this process. */
  readonly port: number;
  /** How much is sent; a receiver whose peer is elsewhere takes what comes. */
  readonly bytes: number;
  /** What is sent; without it, pseudo-random bytes. */
  readonly file?: string | undefined;
  /** The receiver's buffer, or in the mapped modes the data pages of its mapping. */
  readonly bufferBytes: number;
  /** `SO_RCVLOWAT` of the receiver. */
  readonly rcvlowatBytes: number;
  /** Socket buffer of both ends; 0 leaves it to the kernel. */
  readonly creditBytes: number;
  /** `TCP_MAXSEG` of both ends. */
  readonly maxSegment?: number | undefined;
  /** How much the transmitter hands to one send(2): with SEQPACKET a message of `bufferBytes`. */
  readonly txBufferBytes: number;
  /** Whether the transmitter sends with MSG_ZEROCOPY. */
  readonly txZeroCopy?: boolean | undefined;
  /** Whether both ends hash what passes. */
  readonly verify: boolean;
}

/** One end whose peer is another process. */
export interface Alone {
  /** Which end it is. */
  readonly role: "transmitter" | "receiver";
  /** The machine that it connects to; without it, it listens. */
  readonly machine?: string | undefined;
}

/** Packets of a wake-up, and bytes of each: enough that a device lends them. */
const [WARM_UP_PACKETS, WARM_UP_PACKET] = [8, 8_192];

/**
 * A short run like `plan`, on a connection of its own, after which the measured one runs compiled
 * code: `wakeups` wake-ups, several packets in each.
 */
export function warmUpOf(plan: Plan, wakeups: number): Plan {
  const wakeupBytes = WARM_UP_PACKETS * WARM_UP_PACKET;
  return {
    ...plan,
    bytes: wakeups * wakeupBytes,
    file: undefined,
    bufferBytes: wakeupBytes,
    rcvlowatBytes: wakeupBytes,
    creditBytes: plan.creditBytes && Math.max(plan.creditBytes, 8 * wakeupBytes),
    // Of each zero-copy send the kernel keeps a record, and it has little room for those.
    txBufferBytes: plan.txZeroCopy ? wakeupBytes : WARM_UP_PACKET,
    verify: false,
  };
}
