/**
 * What comes from one socket goes to another, both ways.
 *
 * @module
 */
import { setImmediate } from "node:timers/promises";
import { POLLIN, POLLOUT } from "../../../ffi/abi/poll.ts";
import { SHUT_RD, SHUT_WR, SO_LINGER, SOL_SOCKET } from "../../../ffi/abi/socket.ts";
import { isSysError } from "../../../ffi/errno.ts";
import { whenGone } from "../../conn/gone.ts";
import { recvConnected } from "../../conn/recv.ts";
import { ignoreRefusal } from "../../kernel/refusal.ts";
import { type AnySocket, WOULD_BLOCK } from "../../socket.ts";

/** What has gone one way so far. */
export interface Flow {
  /** Bytes that the receiving socket has taken. */
  bytes: number;
}

/** Bytes that are read at a time. */
const CHUNK = 128 * 1024;
/** Chunks in a row, after which others have their turn. */
const CHUNKS_IN_A_ROW = 8;
/** Chunks of what nobody reads that are thrown away at most: more than any queue of AF_UNIX has. */
const DISCARDED_MAX = 64;
/** One will do: what is read is sent, or kept aside, before anything else is read. */
const chunk: Uint8Array<ArrayBuffer> = new Uint8Array(CHUNK);

/** One of the two directions of a connection. */
export interface Direction {
  /** The socket that it comes from. */
  readonly from: AnySocket;
  /** Passes on what comes, until that ends or nobody takes it any more. */
  pass(): Promise<void>;
  /** Stops the other direction: who would get its data has closed. */
  stopOther(): void | Promise<void>;
}

/** Moves bytes between two sockets: see {@linkcode relayBoth}. */
export function relayBytes(
  near: AnySocket,
  far: AnySocket,
  out: Flow,
  back: Flow,
): Promise<Error | undefined> {
  const direction = (from: AnySocket, to: AnySocket, flow: Flow): Direction => ({
    from,
    pass: () => pump(from, to, flow),
    stopOther: () => stopReading(to),
  });
  return relayBoth([direction(near, far, out), direction(far, near, back)]);
}

/**
 * Runs both directions, each until its own end, and closes both sockets then.
 *
 * @returns What broke the connection; `undefined` where each ended by itself.
 */
export async function relayBoth(
  directions: readonly [Direction, Direction],
): Promise<Error | undefined> {
  let failure: Error | undefined;
  let left = directions.length;
  const over = new AbortController();
  const run = async (direction: Direction): Promise<void> => {
    try {
      await direction.pass();
    } catch (error) {
      failure ??= error as Error;
      // One end is gone: the other is to know at once, and not to take that for a clean end.
      for (const { from } of directions) reset(from);
    }
    if (--left === 0) over.abort();
    else await whenGone(direction.from, over.signal, () => direction.stopOther());
  };
  await Promise.all(directions.map(run));
  for (const { from } of directions) from.close();
  return failure;
}

/** Moves bytes one way until `from` ends, and then ends `to`; never reads what cannot go on. */
async function pump(from: AnySocket, to: AnySocket, flow: Flow): Promise<void> {
  let kept: Uint8Array = new Uint8Array(0);
  for (let chunks = 1;; chunks++) {
    const n = recvConnected(from, chunk, 0);
    if (n === 0) return shutdown(to, SHUT_WR);
    if (n === WOULD_BLOCK) {
      await from.wait(POLLIN);
      chunks = 0;
      continue;
    }
    const sent = send(to, chunk.subarray(0, n));
    if (sent === undefined) return stopReading(from);
    flow.bytes += sent;
    if (sent < n) {
      // Others use the chunk meanwhile.
      if (kept.length < n - sent) kept = new Uint8Array(Math.max(4_096, n - sent));
      kept.set(chunk.subarray(sent, n));
      if (!await sendAll(to, kept.subarray(0, n - sent), flow)) return stopReading(from);
      chunks = 0;
    } else if (chunks % CHUNKS_IN_A_ROW === 0) {
      await setImmediate();
    }
  }
}

/** Sends all of `bytes`; `false` where nobody reads them any more. */
async function sendAll(to: AnySocket, bytes: Uint8Array, flow: Flow): Promise<boolean> {
  for (let done = 0; done < bytes.length;) {
    await to.wait(POLLOUT);
    const sent = send(to, bytes.subarray(done));
    if (sent === undefined) return false;
    flow.bytes += sent;
    done += sent;
  }
  return true;
}

/** send(2): bytes taken, 0 where there is no room, `undefined` where nobody reads them any more. */
function send(to: AnySocket, bytes: Uint8Array): number | undefined {
  try {
    return Math.max(0, to.send(bytes, 0));
  } catch (error) {
    if (isSysError(error, "EPIPE")) return undefined;
    throw error;
  }
}

/** shutdown(2); a peer that has gone altogether needs none. */
function shutdown(socket: AnySocket, how: number): void {
  try {
    socket.shutdown(how);
  } catch (error) {
    if (!isSysError(error, "ENOTCONN")) throw error;
  }
}

/**
 * Tells who sends that nobody reads any more. What is queued is thrown away: poll(2) of AF_UNIX
 * does not tell a sender that waits for room before there is some.
 */
function stopReading(from: AnySocket): void {
  shutdown(from, SHUT_RD);
  for (let chunks = 0; chunks < DISCARDED_MAX && recvConnected(from, chunk, 0) > 0; chunks++);
}

/** close(2) by a reset, where the family has such a thing: no peer takes that for a clean end. */
export function reset(socket: AnySocket): void {
  const linger = new Uint8Array(Int32Array.of(1, 0).buffer);
  ignoreRefusal(() => socket.setsockopt(SOL_SOCKET, SO_LINGER, linger));
  socket.close();
}
