/**
 * `vsockit cat` at work: connections, made or waited for.
 *
 * @module
 */
import { type Address, formatAddress } from "../../address.ts";
import { stringifyAddress } from "../../address_text.ts";
import type { Conn } from "../../conn.ts";
import { connect } from "../../connect.ts";
import { listen } from "../../listen.ts";
import type { Listener } from "../../listener.ts";
import { withAny } from "../args/addresses.ts";
import { acceptPatiently } from "../serving/accept.ts";
import { requireReach } from "../serving/reach.ts";
import type { Terminal } from "../output/terminal.ts";
import { execOn } from "./exec.ts";
import type { CatOptions } from "./options.ts";
import type { Pipes } from "./pipes.ts";
import { relay } from "./relay.ts";
import { watchMoved } from "./watch.ts";

/** Where one run reads, writes, and is told to end. */
export interface Surroundings {
  readonly terminal: Terminal;
  readonly pipes: Pipes;
  /** Ends all. */
  readonly signal: AbortSignal;
}

/** Runs to the end; rejects with what failed, or with the reason of the signal. */
export async function runCat(options: CatOptions, around: Surroundings): Promise<void> {
  if (options.listen) return await serve(options, around);
  const { address, type, timeoutMs } = options;
  requireReach("connect", address);
  using conn = await connect(address, { type, timeoutMs, signal: around.signal });
  say(options, around, `connected to ${stringifyAddress(address)}`);
  await attend(conn, options, around);
}

async function serve(options: CatOptions, around: Surroundings): Promise<void> {
  const { address, type } = options;
  requireReach("listen", address);
  using listener = listen(address, { type });
  const { addr } = listener;
  say(options, around, `listening on ${withAny(stringifyAddress(addr, type))}`);
  if (options.keep) return await serveMany(listener, options, around);
  using conn = await accept(listener, options, around);
  listener.close();
  await attend(conn, options, around);
}

/** Until the signal. Commands run side by side; without one, connections take turns. */
async function serveMany(
  listener: Listener<Address>,
  options: CatOptions,
  around: Surroundings,
): Promise<void> {
  const running = new Set<Promise<void>>();
  try {
    for (;;) {
      const conn = await accept(listener, options, around);
      const attending = attend(conn, options, around).catch((error) => {
        around.signal.throwIfAborted();
        around.terminal.err(`vsockit cat: ${error instanceof Error ? error.message : error}\n`);
      }).finally(() => conn.close());
      if (options.exec === undefined) await attending;
      else {
        running.add(attending);
        attending.finally(() => running.delete(attending)).catch(() => {});
      }
    }
  } finally {
    await Promise.allSettled(running);
  }
}

async function accept(
  listener: Listener<Address>,
  options: CatOptions,
  around: Surroundings,
): Promise<Conn<Address>> {
  const { timeoutMs } = options;
  const { terminal, signal } = around;
  const onFull = ({ message }: Error, before: number): void => {
    if (before === 0) terminal.err(`vsockit cat: ${message}\n`);
  };
  const conn = await acceptPatiently(listener, onFull, { timeoutMs, signal });
  const peer = formatAddress(conn.remoteAddr) || "a socket without a name";
  say(options, around, `connected from ${peer}`);
  return conn;
}

/** Serves one connection to its end. */
async function attend(
  conn: Conn<Address>,
  options: CatOptions,
  { terminal, pipes, signal }: Surroundings,
): Promise<void> {
  const { exec, keep, lines, timeoutMs } = options;
  if (exec !== undefined) {
    const failure = await execOn(conn, exec, signal);
    signal.throwIfAborted();
    if (failure !== undefined) throw new Error(failure);
    return;
  }
  const idle = new AbortController();
  using _watching = watchMoved(conn, {
    terminal,
    shown: pipes.quiet,
    timeoutMs,
    onIdle: () => idle.abort(new Error(`Nothing moved for ${Number(timeoutMs) / 1000} s`)),
  });
  await relay(conn, pipes, {
    lines,
    receiveOnly: keep,
    signal: AbortSignal.any([signal, idle.signal]),
  });
}

function say({ verbose }: CatOptions, { terminal }: Surroundings, text: string): void {
  if (verbose) terminal.err(`${text}\n`);
}
