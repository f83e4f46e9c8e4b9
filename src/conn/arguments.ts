/**
 * What the calls of a connection are given, checked before anything is touched.
 *
 * @module
 */
import { bufferOf, byteLengthOf, kindOf, plainView } from "../../ffi/view.ts";
import { shown } from "../shown.ts";
import type { AnySocket } from "../socket.ts";

/**
 * The bytes of `p`, whatever its class makes of them: see `plainView()`.
 *
 * @throws {TypeError} Unless `p` is a Uint8Array, of any realm, that still has its bytes, and as
 * many as it says: a pool's memory behind them may hold somebody else's.
 */
export function requireUint8Array(use: string, p: Uint8Array): Uint8Array {
  const bytes = lengthOf(p);
  if (bytes === undefined) {
    throw new TypeError(`Cannot ${use}: must be a Uint8Array: current value is ${shown(p)}`);
  }
  if (bytes !== p.length) {
    throw new TypeError(
      `Cannot ${use}: must have as many bytes as its length says: ` +
        `current value is ${bytes}, not ${p.length}`,
    );
  }
  if (bytes === 0) requireBuffer(use, p);
  return plainView(p);
}

/** Bytes of `p`; `undefined` unless it is a Uint8Array, as a Proxy of one is not. */
function lengthOf(p: Uint8Array): number | undefined {
  if (!(p instanceof Uint8Array) && kindOf(p) !== "Uint8Array") return undefined;
  try {
    return byteLengthOf(p);
  } catch {
    return undefined; // an instance it may be
  }
}

/** Throws a TypeError where an empty `p` is all that is left of one that had bytes. */
function requireBuffer(use: string, p: Uint8Array): void {
  try {
    Uint8Array.prototype.at.call(p, 0);
  } catch (cause) {
    const detached = (bufferOf(p) as ArrayBuffer).detached;
    const state = detached ? "bytes that were transferred away" : "bytes past the end of it";
    throw new TypeError(`Cannot ${use}: must have its buffer: current value is ${state}`, {
      cause,
    });
  }
}

/** Throws a TypeError where `p` has lost its buffer during a wait, or all but less than `least`. */
export function requireKept(use: string, p: Uint8Array, least: number): void {
  requireUint8Array(use, p);
  if (p.length >= least) return;
  throw new TypeError(
    `Cannot ${use}: must keep ${least} or more bytes meanwhile: current value is ${p.length}`,
  );
}

/** Throws a TypeError unless `socket` keeps the bounds of messages. */
export function requireSeqpacket(verb: string, socket: AnySocket): void {
  if (socket.type !== "seqpacket") {
    throw new TypeError(
      `Cannot ${verb} a message: must be a seqpacket connection: current value is ${socket.type}`,
    );
  }
}
