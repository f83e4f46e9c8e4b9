/**
 * The transmitting end: sends, and waits for the peer's close.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { POLLIN } from "../../../ffi/abi/poll.ts";
import { FfiUnavailableError } from "../../../ffi/backend.ts";
import { MappedRegion } from "../../../ffi/memory.ts";
import { SHUT_WR } from "../../../ffi/abi/socket.ts";
import type { Address } from "../../address.ts";
import { type Socket, WOULD_BLOCK } from "../../socket.ts";
import type { Control } from "./control.ts";
import { meet, type Meeting } from "./meet.ts";
import type { Plan } from "./plan.ts";
import type { Transmitted } from "./result.ts";
import { plainSender, type Sender, zeroCopySender } from "./sender.ts";
import { bufferSize, fileSource, patternSource, type Source } from "./source.ts";

/** Runs the transmitter of `plan` on this thread, blocking it. */
export function transmit(meeting: Meeting, plan: Plan): Transmitted {
  const size = Math.min(plan.bytes, plan.txBufferBytes);
  using memory = openMemory(bufferSize(size));
  const { buffer } = memory;
  using source = plan.file === undefined
    ? patternSource(size, buffer)
    : fileSource(plan.file, size, buffer);
  using socket = meet(meeting, plan);
  const sender = plan.txZeroCopy ? zeroCopySender(socket) : plainSender(socket);
  const transmitted = sendAll(sender, source, plan, meeting.control);
  socket.shutdown(SHUT_WR);
  // Not before: a receiver may wait for more than the rest, by SO_RCVLOWAT, or for the end.
  sender.settle();
  awaitClose(socket);
  return { ...transmitted, copiedBytes: sender.copiedBytes };
}

interface Memory extends Disposable {
  readonly buffer: Uint8Array<ArrayBuffer>;
}

/**
 * Memory to send from, in pages with nothing else in them: a receiver can map what MSG_ZEROCOPY
 * lends of those. Without libc any memory will do, since the loopback copies.
 */
function openMemory(length: number): Memory {
  try {
    const region = new MappedRegion(length);
    return { buffer: region.lend(0, length), [Symbol.dispose]: () => region.unmap() };
  } catch (error) {
    if (!(error instanceof FfiUnavailableError)) throw error;
    return { buffer: new Uint8Array(length), [Symbol.dispose]: () => {} };
  }
}

/** The tx loop, whose time is A. Reading the file and hashing are inside. */
function sendAll(sender: Sender, source: Source, plan: Plan, control: Control): Transmitted {
  const hash = plan.verify ? createHash("sha256") : undefined;
  const start = performance.now();
  let [bytes, sendMs] = [0, 0];
  while (bytes < plan.bytes) {
    const chunk = source.next(plan.bytes - bytes);
    hash?.update(chunk);
    for (let rest = chunk; rest.length > 0;) {
      const before = performance.now();
      const sent = sender.send(rest);
      sendMs += performance.now() - before;
      if (sent === WOULD_BLOCK) {
        sender.wait();
      } else {
        rest = rest.subarray(sent);
        bytes += sent;
        control.reportSent(bytes);
      }
    }
  }
  return {
    bytes,
    seconds: (performance.now() - start) / 1000,
    sendSeconds: sendMs / 1000,
    sha256: hash?.digest("hex"),
  };
}

/** Waits until the receiver has taken everything and closed. */
function awaitClose(socket: Socket<Address>): void {
  const scratch = new Uint8Array(1);
  while (socket.recv(scratch, 0) !== 0) socket.waitSync(POLLIN, Infinity);
}
