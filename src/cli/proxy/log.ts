/**
 * What a proxy tells of its connections.
 *
 * @module
 */
import { withAny } from "../args/addresses.ts";
import { textLines } from "../output/log.ts";
import { lastOf } from "../output/repeats.ts";
import type { Terminal } from "../output/terminal.ts";

/** One thing that has happened; in JSON, an object a line with these members and `time`. */
export interface Entry {
  /** What it is. */
  readonly event: "listen" | "open" | "close" | "refuse" | "full" | "drain" | "stop";
  /** Where the proxy listens. */
  readonly address?: string | undefined;
  /** Which connection: counted from 1. */
  readonly id?: number | undefined;
  /** Who has connected. */
  readonly peer?: string | undefined;
  /** Where the connection goes. */
  readonly target?: string | undefined;
  /** Bytes that have gone to the target. */
  readonly sent?: number | undefined;
  /** Bytes that have come from there. */
  readonly received?: number | undefined;
  /** Milliseconds that the connection has lasted. */
  readonly ms?: number | undefined;
  /** Connections that are served. */
  readonly active?: number | undefined;
  /** Connections that were cut. */
  readonly cut?: number | undefined;
  /**
   * How many times it was so in that second, a peer refused or no descriptor left, of which this is
   * the last.
   * @default {1}
   */
  readonly count?: number | undefined;
  /** What broke the connection. */
  readonly reason?: string | undefined;
}

/** Takes what happens. */
export type Log = (entry: Entry) => void;

/** Lines for people on `err`: what goes wrong, and all of it where `verbose`. */
export function textLog(terminal: Terminal, verbose: boolean): Log {
  const write = textLines(terminal);
  return (entry) => {
    const { event, reason } = entry;
    if (!verbose && (event === "open" || (event === "close" && reason === undefined))) return;
    write(describe(entry));
  };
}

function describe(entry: Entry): string {
  const { event, address, id, peer, target, sent, received, ms, active, cut, reason } = entry;
  const why = reason === undefined ? "" : `: ${reason}`;
  switch (event) {
    case "listen":
      return `listening on ${withAny(address ?? "")}`;
    case "open":
      return `#${id} ${peer} to ${target}`;
    case "close":
      return `#${id} ${peer} closed after ${ms} ms: ${sent} bytes there, ${received} back${why}`;
    case "refuse":
      return `#${id} ${peer} refused${lastOf(entry)}${
        target === undefined ? "" : `: its target is ${target}`
      }`;
    case "full":
      return `no more descriptors${lastOf(entry)}${why}`;
    case "drain":
      return `draining: ${active} connections`;
    case "stop":
      return `stopped: ${cut} connections cut`;
  }
}
