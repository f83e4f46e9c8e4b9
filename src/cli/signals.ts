/**
 * Signals, as commands that serve take them.
 *
 * @module
 */
import process from "node:process";

const NAMES = ["SIGTERM", "SIGINT"] as const;

/** The signals that end a server. */
export class Signals implements Disposable {
  /** Resolves at the first one. */
  readonly first: Promise<void>;
  readonly #second: AbortController = new AbortController();
  readonly #onSignal: () => void;

  constructor() {
    const { promise, resolve } = Promise.withResolvers<void>();
    let count = 0;
    this.first = promise;
    this.#onSignal = (): void => {
      count += 1;
      if (count === 1) resolve();
      else this.#second.abort();
    };
    for (const name of NAMES) process.on(name, this.#onSignal);
  }

  /** Aborted at the second one. */
  get second(): AbortSignal {
    return this.#second.signal;
  }

  [Symbol.dispose](): void {
    for (const name of NAMES) process.off(name, this.#onSignal);
  }
}

/**
 * Calls `f` at each SIGUSR2 until disposed; never where there is no such signal. SIGUSR1 will not do:
 * it may open the debugger of Deno and Node, to whoever can reach its port.
 */
export function onSigusr2(f: () => void): Disposable {
  try {
    process.on("SIGUSR2", f);
  } catch {
    return { [Symbol.dispose](): void {} };
  }
  return { [Symbol.dispose]: () => void process.off("SIGUSR2", f) };
}
