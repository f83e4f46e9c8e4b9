/**
 * The seam between the receiver and the ways to fill a batch.
 *
 * @module
 */
import type { LentBatch } from "./lent_batch.ts";

/** One way to fill a batch. The receiver keeps the order: one dequeue, one release, and so on. */
export interface Source {
  /** See `Batch.mapped`. */
  readonly mapped: boolean;
  /** Whether `readable()` makes no system call and turns `true` while this thread does nothing. */
  readonly spins: boolean;
  /** Whether a dequeue is worth while now, as poll(2) and `SO_RCVLOWAT` have it. May be wrong. */
  readable(): boolean;
  /**
   * Takes what is queued, whatever `SO_RCVLOWAT` is: a batch of at least one packet, `null` at end
   * of stream, `undefined` where nothing is queued. An error that lost data is thrown again by
   * every later call.
   */
  dequeue(): LentBatch | null | undefined;
  /**
   * Gives back pages of released batches that its own next dequeue would else give back: called
   * where the next dequeue is another source's.
   */
  discardStale?(): void;
  /** Gives the memory back; the open batch has been released. The second call does nothing. */
  close(): void;
}
