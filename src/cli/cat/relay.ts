/**
 * Bytes, or messages, between a connection and two pipes, each direction until its own end.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { setTimeout as sleep } from "node:timers/promises";
import type { Address } from "../../address.ts";
import type { Conn } from "../../conn.ts";
import { peerGone } from "../../conn/gone.ts";
import { isVsockError, VsockError } from "../../error.ts";
import { orAborted } from "../../wait/waiting.ts";
import type { Pipes } from "./pipes.ts";

const BUFFER_BYTES = 65_536;
/** Fits as a message into what every socket has for a buffer. */
const MESSAGE_BYTES = 65_536;
/** How long input is read on once the peer has gone: if any comes, it is lost, and cat fails. */
const MORE_MS = 50;
const NEWLINE = 10;

/** How to relay. */
export interface RelayOptions {
  /** Whether each message is a line. */
  readonly lines: boolean;
  /** Whether to send nothing at all. */
  readonly receiveOnly: boolean;
  /** Ends it. */
  readonly signal: AbortSignal;
}

/**
 * Relays until both directions have ended, or the peer is gone. The connection stays the caller's.
 * Rejects with what a socket refuses, EPIPE where the peer has gone with a write under way; or with
 * the reason of `signal`.
 */
export async function relay(
  conn: Conn<Address>,
  pipes: Pipes,
  options: RelayOptions,
): Promise<void> {
  const over = new AbortController();
  const signal = AbortSignal.any([options.signal, over.signal]);
  const received = receiveAll(conn, pipes, { ...options, signal });
  let writing = false;
  const write = async (bytes: Uint8Array): Promise<void> => {
    writing = true;
    await conn.write(bytes, { signal });
    writing = false;
  };
  const sent = sendAll(conn, pipes, { ...options, signal }, write).catch((error) => {
    // A peer that reads no more may have something to say still.
    if (!isVsockError(error, "EPIPE")) throw error;
  });
  try {
    await Promise.race([received, sent.then(() => received)]);
    const gone = peerGone(conn.socket, signal).then(() => sleep(MORE_MS));
    await Promise.race([sent, gone]);
  } finally {
    over.abort(new Error("The connection is over"));
  }
  if (writing) throw new VsockError("send", "EPIPE", { address: conn.remoteAddr });
}

/** From the connection out, until the peer sends no more, which ends what goes out. */
async function receiveAll(
  conn: Conn<Address>,
  pipes: Pipes,
  options: RelayOptions,
): Promise<void> {
  await writeAll(conn, pipes, options);
  if (!options.receiveOnly) pipes.end(); // else more connections may come
}

async function writeAll(
  conn: Conn<Address>,
  pipes: Pipes,
  { lines, signal }: RelayOptions,
): Promise<void> {
  if (conn.type === "stream") {
    const buffer = new Uint8Array(BUFFER_BYTES);
    for (let n = await conn.read(buffer, { signal }); n !== null;) {
      await pipes.write(buffer.subarray(0, n), signal);
      n = await conn.read(buffer, { signal });
    }
  } else {
    for (let message = await conn.receiveMessage({ signal }); message !== null;) {
      const { data } = message;
      await pipes.write(lines ? Buffer.concat([data, Uint8Array.of(NEWLINE)]) : data, signal);
      message = await conn.receiveMessage({ signal });
    }
  }
}

/** From the pipe to the connection, until the end of the pipe. */
async function sendAll(
  conn: Conn<Address>,
  pipes: Pipes,
  { lines, receiveOnly, signal }: RelayOptions,
  write: (bytes: Uint8Array) => Promise<void>,
): Promise<void> {
  if (!receiveOnly) {
    const chunks = untilAborted(pipes.read(), signal);
    for await (const piece of lines ? splitLines(chunks) : chunks) {
      const most = lines ? piece.length : MESSAGE_BYTES;
      for (let at = 0; at < piece.length; at += most) {
        await write(piece.subarray(at, at + most));
      }
    }
  }
  await conn.closeWrite();
}

/** `chunks`, until `signal` ends them with an error: a terminal may never say more. */
async function* untilAborted(
  chunks: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  const iterator = chunks[Symbol.asyncIterator]();
  for (;;) {
    signal.throwIfAborted();
    // Not a race with one promise for all: that would keep what each of them has won.
    const next = await orAborted(iterator.next(), signal);
    if (next.done) return;
    yield next.value;
  }
}

/**
 * The lines of `chunks`, without what ends them; empty ones, which no message can be, are left out.
 */
async function* splitLines(
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  let begun: Uint8Array[] = [];
  for await (const chunk of chunks) {
    let start = 0;
    for (let end; (end = chunk.indexOf(NEWLINE, start)) >= 0; start = end + 1) {
      const line = Buffer.concat([...begun, chunk.subarray(start, end)]);
      begun = [];
      if (line.length > 0) yield line;
    }
    begun.push(chunk.slice(start));
  }
  const last = Buffer.concat(begun);
  if (last.length > 0) yield last;
}
