/**
 * The receiving end: connects, then takes data by copy or from a mapping until end of stream.
 *
 * @module
 */
import { createHash, type Hash } from "node:crypto";
import { POLLOUT } from "../../../ffi/abi/poll.ts";
import { VsockError } from "../../error.ts";
import { SocketOptions } from "../../options.ts";
import { type Socket, WOULD_BLOCK } from "../../socket.ts";
import type { Transport } from "../../transport.ts";
import { measureClock } from "./clock.ts";
import type { Control } from "./control.ts";
import { setCredit } from "./credit.ts";
import { type Dequeuer, openDequeuer } from "./dequeuer.ts";
import type { Plan, Received } from "./plan.ts";

const TIMEOUT_MS = 10_000;

/** Runs the receiver of `plan` on this thread, blocking it. */
export function receive(
  transport: Transport,
  cid: number,
  plan: Plan,
  control: Control,
): Received {
  if (!control.awaitListening(TIMEOUT_MS)) throw new Error("the transmitter never listened");
  using socket = transport.socket(plan.type);
  setCredit(socket, plan.creditBytes);
  const options = new SocketOptions(socket);
  options.rcvlowat = plan.rcvlowatBytes;
  if (plan.mode !== "copy") options.zeroCopyReceive = true; // possible before connect(2) only
  connect(socket, cid, plan.port);
  using dequeuer = openDequeuer(socket, plan);
  const hash = plan.verify ? createHash("sha256") : undefined;
  const measured = receiveAll(dequeuer, hash, control);
  return { ...measured, sha256: hash?.digest("hex"), clockNs: measureClock() };
}

function connect(socket: Socket, cid: number, port: number): void {
  if (socket.connect({ cid, port })) return;
  const events = socket.waitSync(POLLOUT, TIMEOUT_MS);
  const errno = events === 0 ? "ETIMEDOUT" : socket.takeError();
  if (errno !== 0) throw new VsockError("connect", errno, { address: { cid, port } });
}

/**
 * The rx loop, whose time is B. Hashing is inside, but outside of C; so is the last dequeue, which
 * finds the end of the stream and is no wake-up.
 */
function receiveAll(
  dequeuer: Dequeuer,
  hash: Hash | undefined,
  control: Control,
): Pick<Received, "bytes" | "seconds" | "dequeueSeconds" | "wakeups"> {
  let [bytes, wakeups, dequeueMs] = [0, 0, 0];
  const begin = performance.now();
  for (;;) {
    dequeuer.wait();
    let start = performance.now();
    const taken = dequeuer.take();
    if (taken === 0) break;
    if (taken === WOULD_BLOCK) continue;
    let spentMs = 0;
    if (hash !== undefined) {
      spentMs = performance.now() - start;
      dequeuer.show(hash);
      start = performance.now();
    }
    dequeuer.giveBack();
    dequeueMs += spentMs + performance.now() - start;
    bytes += taken;
    wakeups++;
    control.reportReceived(bytes);
  }
  const seconds = (performance.now() - begin) / 1000;
  return { bytes, seconds, dequeueSeconds: dequeueMs / 1000, wakeups };
}
