/**
 * Batches: what one dequeue brought, lent until it is released.
 *
 * @module
 */
/** One packet of a {@linkcode Batch}: a whole packet, or a piece of one that did not fit. */
export interface Packet {
  /**
   * The payload, exactly; lent until the batch is released, and the same array at each reading.
   * Its `buffer` may be larger, and hold bytes of the connection that came before: pass on `data`.
   *
   * Only to be read: the pages of a mapping are read-only, and a write into them ends the process
   * by a signal. A batch that was copied takes a write; do not count on which one it is.
   *
   * Afterwards reading it throws a `TypeError`, and an array kept from before has length 0 (unless
   * the batch is `volatile`).
   */
  readonly data: Uint8Array;
  /** Payload bytes; known without lending them. */
  readonly byteLength: number;
  /** `VIRTIO_VSOCK_SEQ_EOM` (1) and `VIRTIO_VSOCK_SEQ_EOR` (2); 0 on a stream. */
  readonly flags: number;
  /** SEQPACKET: a message ends with this packet. */
  readonly endOfMessage: boolean;
  /** SEQPACKET: that message was sent with `MSG_EOR`. Only together with `endOfMessage`. */
  readonly endOfRecord: boolean;
}

/**
 * What one dequeue brought: at least one packet, in the order of arrival. The receiver gives the
 * next one only after this one is released, exactly once: by `using`, or by `release()`.
 *
 * @example Hash everything that arrives
 * ```ts
 * import type { Receiver } from "@vsockit/vsockit";
 * import { createHash } from "node:crypto";
 *
 * export async function sha256(receiver: Receiver): Promise<string> {
 *   const hash = createHash("sha256");
 *   for await (const batch of receiver) {
 *     for (const { data } of batch) hash.update(data);
 *   }
 *   return hash.digest("hex");
 * }
 * ```
 */
export interface Batch extends Iterable<Packet>, Disposable {
  /** Payload bytes of all packets. */
  readonly byteLength: number;
  /** Pages of 4096 bytes that they take up; each packet starts on one of its own. */
  readonly pages: number;
  /** How many packets there are. */
  readonly packetCount: number;
  /**
   * `true`: these are the pages that the packets arrived in, no copy was made. Over TCP it may be
   * so of a part only, of `mappedBytes`. Writing there ends the process.
   */
  readonly mapped: boolean;
  /** Those of `byteLength` that lie in the pages that they arrived in; the others were copied. */
  readonly mappedBytes: number;
  /**
   * `true`: another thread or machine can write the bytes while they are read, and an array kept
   * after the release stays readable and shows whatever comes there next. Copy before checking.
   */
  readonly volatile: boolean;
  /** Whether it has been released. */
  readonly released: boolean;
  /**
   * Kills every view lent and gives the pages back; over TCP, where more is queued, the next
   * dequeue gives them back.
   *
   * @throws {TypeError} If it has been released before. `[Symbol.dispose]()` is silent then.
   */
  release(): void;
}
