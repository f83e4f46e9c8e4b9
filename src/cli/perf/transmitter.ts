/**
 * The transmitting end: sends, and waits for the peer's close.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { POLLIN, POLLOUT } from "../../../ffi/abi/poll.ts";
import { SHUT_WR } from "../../../ffi/abi/socket.ts";
import { type Socket, WOULD_BLOCK } from "../../socket.ts";
import type { Control } from "./control.ts";
import { setCredit } from "./credit.ts";
import { meet, type Meeting } from "./meet.ts";
import type { Plan, Transmitted } from "./plan.ts";
import { fileSource, patternSource, type Source } from "./source.ts";

/** Runs the transmitter of `plan` on this thread, blocking it. */
export function transmit(meeting: Meeting, plan: Plan): Transmitted {
  const size = Math.min(plan.bytes, plan.txBufferBytes);
  using source = plan.file === undefined ? patternSource(size) : fileSource(plan.file, size);
  using socket = meet(meeting, plan, (socket) => setCredit(socket, plan.creditBytes));
  const transmitted = sendAll(socket, source, plan, meeting.control);
  socket.shutdown(SHUT_WR);
  awaitClose(socket);
  return transmitted;
}

/** The tx loop, whose time is A. Reading the file and hashing are inside. */
function sendAll(socket: Socket, source: Source, plan: Plan, control: Control): Transmitted {
  const hash = plan.verify ? createHash("sha256") : undefined;
  const start = performance.now();
  let bytes = 0;
  while (bytes < plan.bytes) {
    const chunk = source.next(plan.bytes - bytes);
    hash?.update(chunk);
    for (let rest = chunk; rest.length > 0;) {
      const sent = socket.send(rest, 0);
      if (sent === WOULD_BLOCK) {
        socket.waitSync(POLLOUT, Infinity);
      } else {
        rest = rest.subarray(sent);
        bytes += sent;
        control.reportSent(bytes);
      }
    }
  }
  return { bytes, seconds: (performance.now() - start) / 1000, sha256: hash?.digest("hex") };
}

/** Waits until the receiver has taken everything and closed. */
function awaitClose(socket: Socket): void {
  const scratch = new Uint8Array(1);
  while (socket.recv(scratch, 0) !== 0) socket.waitSync(POLLIN, Infinity);
}
