/**
 * Whether a wait in the kernel keeps the process alive.
 *
 * @module
 */
import { LoopHold, SocketHold } from "../wait/loop_hold.ts";

/** The one timer by which all waits of this thread hold its event loop. */
const loop: LoopHold = new LoopHold();

/** Whether some wait of this thread keeps the process alive. */
export function isHeld(): boolean {
  return loop.holders > 0;
}

/** Whether the waits of one socket of the kernel keep the process alive. */
export class Hold extends SocketHold {
  constructor() {
    super(loop);
  }
}
