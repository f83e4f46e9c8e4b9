/**
 * The start of another thread.
 *
 * @module
 */
import type { Worker, WorkerOptions } from "node:worker_threads";
import { SysError } from "../../ffi/errno.ts";
import { threads } from "./builtins.ts";

/**
 * A Worker of `script`, which the caller ends. Throws `EAGAIN` of pthread_create(3) where there can
 * be no other thread, which each runtime says in its own way.
 */
export function startWorker(script: string | URL, options: WorkerOptions): Worker {
  try {
    return new (threads().Worker)(script, options);
  } catch (error) {
    const { code, message } = error as { readonly code?: unknown; readonly message?: unknown };
    const refused = code === "EAGAIN" || code === "ERR_WORKER_INIT_FAILED" ||
      message === "Failed to spawn worker thread";
    throw refused ? new SysError("pthread_create", "EAGAIN") : error;
  }
}
