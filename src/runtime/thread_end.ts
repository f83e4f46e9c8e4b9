/**
 * The end of a thread, and what it leaves to others.
 *
 * @module
 */
import { process, threads } from "./builtins.ts";

/**
 * A web Worker of Deno calls itself the main thread, and tells of its end by an event of its own.
 */
function isWebWorker(): boolean {
  return "WorkerGlobalScope" in globalThis;
}

/** Whether the process ends with this thread, all memory and all descriptors with it. */
export function endsProcess(): boolean {
  return threads().isMainThread && !isWebWorker();
}

/**
 * Calls `end` before this thread ends by itself; nothing tells of `terminate()` or `self.close()`.
 */
export function atThreadEnd(end: () => void): void {
  if (isWebWorker()) globalThis.addEventListener("unload", end, { once: true });
  else process().once("exit", end);
}
