/**
 * What tells one address family of the kernel from another.
 *
 * @module
 */
import type { Address } from "../address.ts";

/** One family of sockets; `A` is what it has for addresses. */
export interface Family<A extends Address = Address> {
  /** The name of its transport: `"vsock"`, `"tcp"`, `"unix"`. */
  readonly name: string;
  /** `AF_*`. */
  readonly domain: number;
  /**
   * Whether a non-blocking send(2) of a SEQPACKET message takes a part of it where there is no room
   * for all, and glues the next one to that.
   */
  readonly cutsMessages: boolean;
  /**
   * Whether poll(2) tells a sender that waits for room of the peer's `SHUT_RD` only once there is
   * some: what is queued has to go then.
   */
  readonly tellsLate?: boolean;
  /** Whether a message can have no bytes. */
  readonly emptyMessages?: boolean;
  /** How it sends with MSG_ZEROCOPY; without it the family does not. */
  readonly zeroCopy?: {
    /** Bytes to hand to one send(2) at most. */
    readonly mostBytes: number;
    /** Whether the kernel copies a send of which it takes a part. */
    readonly copiesParts: boolean;
  } | undefined;
  /** Has the kernel give up in the end on what a peer never takes of `fd`, which was shut down. */
  abandon?(fd: number): void;
  /** The `struct sockaddr_*` of `address`, which has been checked for type and range. */
  encode(address: A): Uint8Array<ArrayBuffer>;
  /** The address that `call` fills into bytes; it gives the length that it really has. */
  read(call: (bytes: Uint8Array<ArrayBuffer>) => number): A;
}
