/**
 * Signals, as commands that serve take them.
 *
 * @module
 */
import { constants } from "node:os";
import process from "node:process";
import { EXIT_SIGNAL } from "../command.ts";
import { readIfPermitted } from "../environment.ts";

/** The signals that end a server: SIGTERM, SIGINT and, unless it is ignored, SIGHUP. */
export class Signals implements Disposable {
  /** Resolves at the first one. */
  readonly first: Promise<void>;
  readonly #second: AbortController = new AbortController();
  readonly #listening: Disposable;

  constructor() {
    const { promise, resolve } = Promise.withResolvers<void>();
    let count = 0;
    this.first = promise;
    const names = endingSignals().filter((name) => name !== "SIGQUIT");
    this.#listening = listenFor(names, (name) => {
      count += 1;
      if (count === 1) resolve();
      else if (name !== "SIGHUP") this.#second.abort(); // the shell may add one to the terminal's
    });
  }

  /** Aborted at the second one, but for SIGHUP. */
  get second(): AbortSignal {
    return this.#second.signal;
  }

  [Symbol.dispose](): void {
    this.#listening[Symbol.dispose]();
  }
}

/** Calls `f` at each of those signals until disposed. */
function listenFor(
  names: readonly NodeJS.Signals[],
  f: (name: NodeJS.Signals) => void,
): Disposable {
  for (const name of names) process.on(name, f);
  return {
    [Symbol.dispose](): void {
      for (const name of names) process.off(name, f);
    },
  };
}

/**
 * The signals that a terminal ends its programs by, and SIGTERM. SIGHUP is left out where it is
 * ignored, as by nohup(1), or where Deno does not let that be seen: to listen for it would be to
 * ignore it no longer. Node never ignores it, whatever it was started with.
 */
export function endingSignals(): readonly NodeJS.Signals[] {
  const others = ["SIGTERM", "SIGINT", "SIGQUIT"] as const;
  return isHeeded("SIGHUP") ? [...others, "SIGHUP"] : others;
}

let hangupKept = false;

/**
 * Ignores SIGHUP to the end where this process has begun so, as by nohup(1): Deno undoes that with
 * its first Worker, and with the first listener for any signal.
 */
export function keepHangupIgnored(): void {
  if (process.versions["deno"] === undefined) return;
  const status = readIfPermitted("/proc/self/status") ?? "";
  hangupKept = isIgnored(constants.signals.SIGHUP, status);
  if (hangupKept) process.on("SIGHUP", () => {});
}

/** Whether this process is known not to ignore that signal. */
function isHeeded(name: NodeJS.Signals): boolean {
  if (hangupKept && name === "SIGHUP") return false;
  const status = readIfPermitted("/proc/self/status");
  return status !== undefined && !isIgnored(constants.signals[name], status);
}

/** Whether the process with that `/proc/PID/status` ignores `signal`. */
export function isIgnored(signal: number, status: string): boolean {
  const [, mask = "0"] = /^SigIgn:\s*(\w+)$/m.exec(status) ?? [];
  return (BigInt(`0x${mask}`) >> BigInt(signal - 1) & 1n) === 1n;
}

/** Calls `f` before one of those signals ends this process, until disposed. */
export function beforeEnding(f: () => void): Disposable {
  return listenFor(endingSignals(), (name) => {
    f();
    process.exit(EXIT_SIGNAL + constants.signals[name]);
  });
}

/**
 * Has what `tell` reaches stop and go on with this process, unless that ignores Ctrl-Z, which
 * reaches only who has the terminal.
 */
export function onStop(tell: (signal: "SIGSTOP" | "SIGCONT") => void): Disposable {
  const stop = (): void => {
    tell("SIGSTOP");
    process.kill(process.pid, "SIGSTOP");
  };
  const resume = (): void => tell("SIGCONT");
  if (isHeeded("SIGTSTP")) process.on("SIGTSTP", stop).on("SIGCONT", resume);
  return { [Symbol.dispose]: () => void process.off("SIGTSTP", stop).off("SIGCONT", resume) };
}

/**
 * Calls `f` at each SIGUSR2 until disposed; never where there is no such signal. SIGUSR1 will not
 * do: it may open the debugger of Deno and Node, to whoever can reach its port.
 */
export function onSigusr2(f: () => void): Disposable {
  try {
    return listenFor(["SIGUSR2"], f);
  } catch {
    return { [Symbol.dispose](): void {} };
  }
}
