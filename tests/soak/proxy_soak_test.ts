/**
 * Many streams at a time through `vsockit proxy` over hybrid sockets. A few seconds of it belong to
 * the suite; `deno task soak` is a minute with 1000.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import process from "node:process";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { assert, assertEquals } from "@std/assert";
import type { Entry } from "../../src/cli/proxy/log.ts";
import { connect } from "../../src/connect.ts";
import { VsockError } from "../../src/error.ts";
import { createVmm } from "../../src/hybrid/vmm.ts";
import { listen } from "../../src/listen.ts";
import type { Transport } from "../../src/transport.ts";
import { VSOCKIT } from "../cli/process.ts";
import { TempFolder } from "../helpers/temp_folder.ts";
import { until } from "../helpers/until.ts";
import { type AnyConn, planOf, runClient, runServer } from "./streams.ts";

const SECONDS = Number(process.env["VSOCKIT_SOAK_SECONDS"] ?? 3);
const STREAMS = Number(process.env["VSOCKIT_SOAK_STREAMS"] ?? 100);
const SEED = Number(process.env["VSOCKIT_SEED"] ?? Math.floor(Math.random() * 2 ** 29));
const MIB = 2 ** 20;
/** How often a full queue is tried again, 10 ms between. */
const TRIES = 3_000;
/** What a heap may differ by, whenever its collector comes, in bytes. */
const HEAP_NOISE = 160 * MIB;

/** A proxy in a process of its own. */
class Child implements Disposable {
  readonly exitCode: Promise<number | null>;
  readonly events: Map<Entry["event"], Entry[]> = new Map();
  readonly #process: ChildProcess;

  constructor(...args: readonly string[]) {
    const [file = "", ...before] = VSOCKIT;
    const command = [...before, "proxy", "--json", ...args];
    this.#process = spawn(file, command, { stdio: ["ignore", "pipe", "inherit"] });
    this.exitCode = new Promise((resolve) => this.#process.on("exit", resolve));
    createInterface({ input: this.#process.stdout! }).on("line", (line) => {
      const entry = JSON.parse(line) as Entry;
      this.events.set(entry.event, [...(this.events.get(entry.event) ?? []).slice(-4), entry]);
    });
  }

  async event(name: Entry["event"]): Promise<Entry> {
    await until(() => this.events.has(name));
    return this.events.get(name)![0]!;
  }

  terminate(): void {
    process.kill(this.#process.pid!, "SIGTERM");
  }

  get descriptors(): number {
    return readdirSync(`/proc/${this.#process.pid}/fd`).length;
  }

  get residentBytes(): number {
    const pages = readFileSync(`/proc/${this.#process.pid}/statm`, "utf8").split(" ")[1];
    return Number(pages) * 4_096;
  }

  [Symbol.dispose](): void {
    if (this.#process.exitCode === null) this.#process.kill("SIGKILL");
  }
}

/** Streams one after the other, until the time is over. */
async function stream(
  transport: Transport,
  first: number,
  until: number,
  counts: Map<string, number>,
): Promise<void> {
  for (let seed = first; performance.now() < until; seed += STREAMS) {
    const conn = await open(transport);
    await runClient(conn, seed);
    const { kind } = planOf(seed);
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
}

/** Connects, again where the queue of the proxy was full. */
async function open(transport: Transport): Promise<AnyConn> {
  for (let tries = 1;; tries++) {
    try {
      return await connect({ cid: 2, port: 5_000 }, { transport });
    } catch (error) {
      const full = error instanceof VsockError && error.code === "ECONNRESET";
      if (!full || tries === TRIES) throw error;
      await sleep(10);
    }
  }
}

const what = `vsockit proxy carries ${STREAMS} streams at a time for ${SECONDS} s, then drains`;
test(what, { timeout: (SECONDS + 120) * 1_000 }, async (context) => {
  context.diagnostic?.(`VSOCKIT_SEED=${SEED}`);
  using folder = new TempFolder();
  const [near, far] = [folder.path("near"), folder.path("far")];
  using clients = createVmm(near);
  using servers = createVmm(far);
  using listener = listen({ cid: 3, port: 1_024 }, { transport: servers.guest, backlog: 4_096 });
  const failures: unknown[] = [];
  const serving = (async (): Promise<void> => {
    for await (const conn of listener) {
      runServer(conn).catch((error) => failures.push(error));
    }
  })();
  // The first second of so many on a machine that has other work can be a long one.
  const flags = ["-n", `${2 * STREAMS}`, "--connect-timeout", "60000"];
  using child = new Child(...flags, `hvsock:${near}:5000`, `hvsock:${far}:1024`);
  await child.event("listen");

  const counts = new Map<string, number>();
  const round = async (seconds: number, from: number): Promise<void> => {
    const until = performance.now() + seconds * 1_000;
    const first = (SEED + from) >>> 0;
    await Promise.all(
      Array.from({ length: STREAMS }, (_, at) => stream(clients.guest, first + at, until, counts)),
    );
    await idle(child);
  };
  await round(SECONDS / 3, 0);
  const [descriptors, before] = [child.descriptors, child.residentBytes];
  await round(SECONDS * 2 / 3, 2 ** 29);
  await until(() => child.descriptors <= descriptors, () => `${child.descriptors} descriptors`);
  const growth = child.residentBytes - before;
  assert(growth < HEAP_NOISE, `the proxy grew by ${growth / MIB} MiB`);
  console.log(
    `streams: ${JSON.stringify(Object.fromEntries(counts))}, ${descriptors} descriptors, ` +
      `${Math.round(before / MIB)} MiB, then ${Math.round(growth / MIB)} MiB more`,
  );

  await drains(child, clients.guest);
  assertEquals(failures, []);
  listener.close();
  await serving;
});

/** Waits until the proxy has closed all it had. */
async function idle(child: Child): Promise<void> {
  for (let last = -1, same = 0; same < 5; same += 1) {
    await sleep(50);
    const { descriptors } = child;
    if (descriptors !== last) same = 0;
    last = descriptors;
  }
}

/** What is under way at SIGTERM goes on to its end; nothing new is taken. */
async function drains(child: Child, transport: Transport): Promise<void> {
  const seeds: number[] = [];
  for (let seed = SEED; seeds.length < 20; seed++) {
    const { kind } = planOf(seed);
    if (kind !== "reset" && kind !== "dropped") seeds.push(seed);
  }
  const conns = await Promise.all(seeds.map(() => open(transport)));
  // What one has sent has come through, so that each is served.
  await Promise.all(conns.slice(1).map((conn, at) => runClient(conn, seeds[at + 1]!)));
  child.terminate();
  await child.event("drain");
  const refused = await connect({ cid: 2, port: 5_000 }, { transport }).catch((error) => error);
  assertEquals((refused as VsockError).code, "ECONNRESET");
  await runClient(conns[0]!, seeds[0]!);
  assertEquals((await child.event("stop")).cut, 0);
  assertEquals(await child.exitCode, 0);
}
