/**
 * The sockets of this thread, which end with it.
 *
 * @module
 */
import { endSends } from "../send/zero_copy.ts";
import { atThreadEnd, endsProcess } from "../runtime/thread_end.ts";

/** How to end each, by its descriptor: two sockets over one would close a third's. */
const owned: Map<number, () => void> = new Map();
let watched = false;

/** Notes that a socket has `fd`; `end` closes it, whatever is under way. */
export function own(fd: number, end: () => void): void {
  owned.set(fd, end);
  if (watched) return;
  watched = true;
  if (endsProcess()) return; // the kernel closes them
  // Nobody else knows of them: peers would wait for ever, and nobody could listen there again.
  atThreadEnd(() => {
    endSends();
    for (const end of owned.values()) end();
  });
}

/** A socket closes `fd`: whether it still had it. */
export function disown(fd: number): boolean {
  return owned.delete(fd);
}

/** Throws a RangeError where a socket of this thread has `fd`. */
export function requireUnowned(fd: number): void {
  if (!owned.has(fd)) return;
  throw new RangeError(
    `Cannot adopt fd ${fd}: must not belong to a socket here: current value is one that does`,
  );
}
