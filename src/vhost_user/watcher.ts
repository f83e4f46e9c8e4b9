/**
 * What a device waits for: descriptors, by the event loop, or while a thread blocks.
 *
 * @module
 */
import { setImmediate } from "node:timers/promises";
import { PollFds, POLLIN } from "../../ffi/abi/poll.ts";
import { poll } from "../../ffi/libc.ts";
import { SLICE_MS } from "../kernel/poll.ts";
import { Hold, reactor } from "../kernel/reactor.ts";

/** Times in a row that one descriptor is handled before the event loop gets a turn. */
const IN_A_ROW = 16;

/** The descriptors of one device. None of them keeps the process alive. */
export class Watcher {
  readonly #hold: Hold = new Hold();
  readonly #watched: Map<number, () => boolean> = new Map();
  /** All that is watched, for poll(2); made anew when that has changed. */
  #fds: PollFds | undefined;

  constructor() {
    this.#hold.unref();
  }

  /** Whether `fd` is watched. */
  has(fd: number): boolean {
    return this.#watched.has(fd);
  }

  /**
   * Calls `ready` whenever `fd` can be read, until `remove(fd)`; in the next turn of the event loop
   * where it gives `true`, as it had enough to do. `fail` is told where that cannot be waited for:
   * a VMM may send any descriptor.
   */
  add(fd: number, ready: () => boolean, fail: (error: Error) => void): void {
    this.#watched.set(fd, ready);
    this.#fds = undefined;
    this.#run(fd, ready).catch((error) => {
      if (this.#watched.get(fd) === ready) fail(error);
    });
  }

  /** Forgets `fd`, which can be closed then. */
  remove(fd: number): void {
    if (!this.#watched.delete(fd)) return;
    this.#fds = undefined;
    reactor().forget(fd);
  }

  /**
   * Blocks for at most `ms`, or a slice of that, until something can be read, and has it be
   * handled.
   */
  waitSync(ms: number): void {
    const fds = this.#fds ??= pollFdsOf([...this.#watched.keys()]);
    if (poll(fds, Math.min(ms, SLICE_MS)) === 0) return;
    let i = 0;
    for (const ready of this.#watched.values()) {
      if (fds.revents(i++) !== 0) ready();
      if (fds !== this.#fds) return; // others have taken their places
    }
  }

  async #run(fd: number, ready: () => boolean): Promise<void> {
    for (let count = 1; this.#watched.get(fd) === ready; count++) {
      await reactor().wait(fd, POLLIN, this.#hold);
      const enough = this.#watched.get(fd) === ready && ready();
      // One that is always ready would let nobody else run.
      if (enough || count % IN_A_ROW === 0) await setImmediate();
    }
  }
}

function pollFdsOf(fds: readonly number[]): PollFds {
  const all = new PollFds(fds.length);
  fds.forEach((fd, i) => all.set(i, fd, POLLIN));
  return all;
}
