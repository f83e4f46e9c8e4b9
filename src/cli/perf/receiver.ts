/**
 * The receiving end: takes data by copy or from a mapping until end of stream.
 *
 * @module
 */
import { createHash, type Hash } from "node:crypto";
import process from "node:process";
import { SocketOptions } from "../../options.ts";
import { readingMs } from "../../receive/clock.ts";
import { WOULD_BLOCK } from "../../socket.ts";
import type { Control } from "./control.ts";
import { type Dequeuer, openDequeuer } from "./dequeuer.ts";
import { meet, type Meeting } from "./meet.ts";
import type { Plan } from "./plan.ts";
import type { Received } from "./result.ts";

/** Runs the receiver of `plan` on this thread, blocking it. */
export function receive(meeting: Meeting, plan: Plan): Received {
  using socket = meet(meeting, plan);
  new SocketOptions(socket).rcvlowat = plan.rcvlowatBytes; // which accept(2) does not pass on
  using dequeuer = openDequeuer(socket, plan);
  const hash = plan.verify ? createHash("sha256") : undefined;
  const measured = receiveAll(dequeuer, hash, meeting.control);
  return { ...measured, sha256: hash?.digest("hex"), clockNs: Math.round(readingMs() * 1e6) };
}

/**
 * The rx loop, whose time is B. Hashing is inside, but outside of C; so is the last dequeue, which
 * finds the end of the stream and is no wake-up.
 */
function receiveAll(
  dequeuer: Dequeuer,
  hash: Hash | undefined,
  control: Control,
): Omit<Received, "sha256" | "clockNs"> {
  const cpuBefore = process.cpuUsage();
  let [bytes, mappedBytes, wakeups, dequeueMs] = [0, 0, 0, 0];
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
    mappedBytes += dequeuer.mappedBytes;
    dequeuer.giveBack();
    dequeueMs += spentMs + performance.now() - start;
    bytes += taken;
    wakeups++;
    control.reportReceived(bytes);
  }
  const seconds = (performance.now() - begin) / 1000;
  const { user, system } = process.cpuUsage(cpuBefore);
  const cpuSeconds = (user + system) / 1e6;
  return { bytes, mappedBytes, seconds, cpuSeconds, dequeueSeconds: dequeueMs / 1000, wakeups };
}
