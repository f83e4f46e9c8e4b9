/**
 * The ways of the receiver to wait for data and to take it.
 *
 * @module
 */
import type { Hash } from "node:crypto";
import { POLLIN } from "../../../ffi/abi/poll.ts";
import type { Address } from "../../address.ts";
import type { Batch } from "../../receive/batch.ts";
import { openReceiver } from "../../receive/receiver.ts";
import { type Socket, WOULD_BLOCK } from "../../socket.ts";
import type { Plan } from "./plan.ts";

/** Waiting and dequeuing, as one mode does it. */
export interface Dequeuer extends Disposable {
  /** Blocks until `SO_RCVLOWAT` is met, or the stream ends. */
  wait(): void;
  /** One dequeue: bytes that can be read now, 0 at end of stream, or `WOULD_BLOCK`. */
  take(): number;
  /** Of what `take()` brought, the bytes that were not copied. */
  readonly mappedBytes: number;
  /** Lets `hash` read what `take()` brought. */
  show(hash: Hash): void;
  /** Ends the use of what `take()` brought; part of the dequeue. */
  giveBack(): void;
}

/** The dequeuer of `plan.mode`. The caller closes it before the socket. */
export function openDequeuer(socket: Socket<Address>, plan: Plan): Dequeuer {
  return plan.mode === "copy" ? copying(socket, plan) : mapping(socket, plan);
}

/** poll(2), then recv(2). */
function copying(socket: Socket<Address>, { bufferBytes }: Plan): Dequeuer {
  const buffer = new Uint8Array(bufferBytes);
  let length = 0;
  return {
    wait: (): void => void socket.waitSync(POLLIN, Infinity),
    mappedBytes: 0,
    take: (): number => length = socket.recv(buffer, 0),
    show: (hash: Hash): void => void hash.update(buffer.subarray(0, length)),
    giveBack: (): void => {},
    [Symbol.dispose]: (): void => {},
  };
}

/**
 * poll(2) or a spin on `poll_value`, then `SO_VM_SOCKETS_MAP_RX`, and madvise(2) at the end; in
 * mode `"auto"` recv(2) in their place where that is cheaper.
 */
function mapping(socket: Socket<Address>, { bufferBytes, mode }: Plan): Dequeuer {
  const receiver = openReceiver(socket, { mode: mode === "auto" ? "auto" : "map", bufferBytes });
  const wait = { wait: mode === "user-poll" ? "spin" : "poll" } as const;
  let batch: Batch | null | undefined;
  return {
    wait: (): void => void receiver.waitSync(wait),
    get mappedBytes(): number {
      return batch?.mappedBytes ?? 0;
    },
    take(): number {
      batch = receiver.tryReceive();
      if (batch === undefined) return WOULD_BLOCK;
      if (batch === null) return 0;
      for (const packet of batch) packet.data; // makes the views: only then can the bytes be read
      return batch.byteLength;
    },
    show(hash: Hash): void {
      for (const { data } of batch ?? []) hash.update(data);
    },
    giveBack: (): void => batch?.release(),
    [Symbol.dispose]: (): void => receiver[Symbol.dispose](),
  };
}
