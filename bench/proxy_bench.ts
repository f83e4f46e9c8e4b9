/**
 * One stream through `vsockit proxy` against the same through socat(1), Unix socket to Unix socket.
 *
 * @module
 */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import type { UnixAddress } from "../src/address.ts";
import type { Conn } from "../src/conn.ts";
import { connect } from "../src/connect.ts";
import { listen } from "../src/listen.ts";
import { childCommand } from "../tests/helpers/child.ts";
import { TempFolder } from "../tests/helpers/temp_folder.ts";
import type { Bench, Round } from "./bench.ts";

const MIB = 2 ** 20;
const [WARMUP, MEASURED] = [512 * MIB, 1024 * MIB];
const CHUNK = new Uint8Array(64 * 1024).fill(0x5a);
/** How long a program may take to listen, in milliseconds. */
const START_MS = 10_000;

/** A command that connects who comes to one path with another path. */
type Command = (from: string, to: string) => readonly string[];

const MAIN = new URL("../src/cli/main.ts", import.meta.url);

/** `vsockit proxy` on the runtime that runs this. */
function ours(from: string, to: string): readonly string[] {
  return [...childCommand(MAIN), "proxy", `unix:${from}`, `unix:${to}`];
}

const socat = (...flags: string[]): Command => (from, to) => [
  ...["socat", ...flags, `UNIX-LISTEN:${from},fork`, `UNIX-CONNECT:${to}`],
];

const COMMANDS: Readonly<Record<string, Command>> = {
  ours,
  socat: socat(),
  socat128: socat("-b", "131072"),
};

/** GB/s of one connection through the proxy that `command` starts. */
async function speed(command: Command): Promise<number> {
  using folder = new TempFolder();
  const [from, to] = [folder.path("from"), folder.path("to")];
  using target = listen({ path: to });
  const [file = "", ...args] = command(from, to);
  const child = spawn(file, args, { stdio: ["ignore", "ignore", "ignore"] });
  const ended = new Promise((resolve) => child.once("exit", resolve));
  try {
    using near = await dial(from, child);
    using far = await target.accept();
    await transfer(near, far, WARMUP);
    const begin = performance.now();
    await transfer(near, far, MEASURED);
    return MEASURED / (performance.now() - begin) / 1e6;
  } finally {
    process.kill(child.pid!, "SIGTERM");
    await ended;
  }
}

/** Connects as soon as `child` listens on `path`. */
async function dial(path: string, child: ChildProcess): Promise<Conn<UnixAddress>> {
  for (const end = performance.now() + START_MS; performance.now() < end;) {
    if (child.exitCode !== null) break;
    if (existsSync(path)) {
      const conn = await connect({ path }).catch(() => undefined);
      if (conn !== undefined) return conn;
    }
    await sleep(20);
  }
  throw new Error(`Nothing listens on ${path}`);
}

/** Writes so many bytes, and reads them at the other end. */
async function transfer(
  near: Conn<UnixAddress>,
  far: Conn<UnixAddress>,
  bytes: number,
): Promise<void> {
  const into = new Uint8Array(256 * 1024);
  const write = async (): Promise<void> => {
    for (let sent = 0; sent < bytes; sent += CHUNK.length) await near.write(CHUNK);
  };
  const read = async (): Promise<void> => {
    for (let got = 0; got < bytes;) {
      const n = await far.read(into);
      if (n === null || into[n - 1] !== CHUNK[0]) throw new Error("It ended early, or is damaged");
      got += n;
    }
  };
  await Promise.all([write(), read()]);
}

const shared = {
  what: "proxy, one stream",
  unit: "GB/s",
  ours: "ours",
  note: "AF_UNIX to AF_UNIX; both ends of the stream are in one thread of this runtime",
};

/** The rows about the proxy. */
export const proxy: Bench = {
  rounds: 3,
  prove: (): Promise<void> => Promise.resolve(), // transfer() counts and looks
  async round(): Promise<Round> {
    const values: Record<string, number> = {};
    for (const [name, command] of Object.entries(COMMANDS)) values[name] = await speed(command);
    return values;
  },
  rows: [
    { ...shared, name: "proxy", peer: "socat", peerIs: "socat", target: { atLeast: 1 } },
    { ...shared, name: "proxy-128k", peer: "socat128", peerIs: "socat -b 131072" },
  ],
};
