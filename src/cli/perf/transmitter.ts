/**
 * The transmitting end: listens, accepts one connection, sends, and waits for the peer's close.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { POLLIN, POLLOUT } from "../../../ffi/abi/poll.ts";
import { SHUT_WR } from "../../../ffi/abi/socket.ts";
import { VMADDR_CID_ANY } from "../../../ffi/abi/vm_sockets.ts";
import { type Socket, WOULD_BLOCK } from "../../socket.ts";
import type { Transport } from "../../transport.ts";
import type { Control } from "./control.ts";
import { setCredit } from "./credit.ts";
import type { Plan, Transmitted } from "./plan.ts";
import { fileSource, patternSource, type Source } from "./source.ts";

/** Runs the transmitter of `plan` on this thread, blocking it. */
export function transmit(transport: Transport, plan: Plan, control: Control): Transmitted {
  const size = Math.min(plan.bytes, plan.txBufferBytes);
  using source = plan.file === undefined ? patternSource(size) : fileSource(plan.file, size);
  using listener = transport.socket(plan.type);
  setCredit(listener, plan.creditBytes); // the accepted socket inherits it
  listener.bind({ cid: VMADDR_CID_ANY, port: plan.port });
  listener.listen(1);
  control.announceListening();
  using socket = acceptOne(listener);
  const transmitted = sendAll(socket, source, plan, control);
  socket.shutdown(SHUT_WR);
  awaitClose(socket);
  return transmitted;
}

function acceptOne(listener: Socket): Socket {
  for (;;) {
    const socket = listener.accept();
    if (socket !== undefined) return socket;
    listener.waitSync(POLLIN, Infinity);
  }
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
