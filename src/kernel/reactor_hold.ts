/**
 * Whether a wait in the kernel keeps the process alive.
 *
 * @module
 */
import { LoopHold } from "../wait/loop_hold.ts";

/** The one timer by which all waits of this thread hold its event loop. */
const loop: LoopHold = new LoopHold();

/** Whether some wait of this thread keeps the process alive. */
export function isHeld(): boolean {
  return loop.holders > 0;
}

/** Whether the waits of one socket keep the process alive; may change while they wait. */
export class Hold {
  #waits = 0;
  #refed = true;

  /** A wait begins; `release()` must follow. */
  acquire(): void {
    this.#waits += 1;
    if (this.#refed) loop.acquire();
  }

  /** A wait is over. */
  release(): void {
    this.#waits -= 1;
    if (this.#refed) loop.release();
  }

  /** Waits keep the process alive from now on, those that are pending too (the default). */
  ref(): void {
    if (this.#refed) return;
    this.#refed = true;
    for (let wait = 0; wait < this.#waits; wait++) loop.acquire();
  }

  /** Waits do not keep the process alive from now on, those that are pending neither. */
  unref(): void {
    if (!this.#refed) return;
    this.#refed = false;
    for (let wait = 0; wait < this.#waits; wait++) loop.release();
  }
}
