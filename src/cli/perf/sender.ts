/**
 * How the transmitter hands bytes to its socket: copied, or lent (`--tx-zerocopy`).
 *
 * @module
 */
import { POLLOUT } from "../../../ffi/abi/poll.ts";
import type { AnySocket } from "../../socket.ts";

const SLICE_MS = 1_000;

/** Sends bytes of one socket. */
export interface Sender {
  /** Bytes that were copied after all; `undefined` where all are copied. */
  readonly copiedBytes: number | undefined;
  /** Bytes taken, or `WOULD_BLOCK`. */
  send(data: Uint8Array): number;
  /** Blocks until there may be room. */
  wait(): void;
  /** Blocks until the kernel reads nothing of what was sent. */
  settle(): void;
}

/** send(2). */
export function plainSender(socket: AnySocket): Sender {
  return {
    copiedBytes: undefined,
    send: (data) => socket.send(data, 0),
    wait: (): void => void socket.waitSync(POLLOUT, Infinity),
    settle: (): void => {},
  };
}

/**
 * send(2) with MSG_ZEROCOPY.
 *
 * @throws {Error} Where `socket` would copy everything.
 */
export function zeroCopySender(socket: AnySocket): Sender {
  const { zeroCopy } = socket;
  const unsupported = zeroCopy === undefined ? "there is none" : zeroCopy.unsupported;
  if (zeroCopy === undefined || unsupported !== undefined) {
    throw new Error(`cannot send with MSG_ZEROCOPY: ${unsupported}`);
  }
  let [pending, copiedBytes] = [0, 0];
  const done = (bytes: number, copied: boolean): void => {
    pending -= bytes;
    if (copied) copiedBytes += bytes;
  };
  return {
    get copiedBytes(): number {
      return copiedBytes;
    },
    send(data): number {
      const sent = zeroCopy.send(data, done);
      if (sent > 0) pending += sent;
      return sent;
    },
    wait(): void {
      if (zeroCopy.full) zeroCopy.reap(SLICE_MS);
      else socket.waitSync(POLLOUT, Infinity);
    },
    settle(): void {
      while (pending > 0) zeroCopy.reap(SLICE_MS);
    },
  };
}
