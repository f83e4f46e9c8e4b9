/** `vsockit test` against the kernel's own `vsock_test`, each as client and as server. */
import "../vm/in_guest.ts";
import { createServer } from "node:net";
import { test } from "node:test";
import { assertEquals, assertMatch } from "@std/assert";
import { CASES } from "../../src/cli/test/cases.ts";
import { whyNotVsockTest } from "./kernel.ts";
import { type Ended, runCommand, runKernelProgram, type Watcher } from "./programs.ts";

const LIMIT = { timeout: 120_000 };
/** What C refuses to go on without. */
const skip = await whyNotVsockTest();
const HOST = "127.0.0.1";
const PASSED = CASES.map(({ name }, id) => `${id} - ${name}...ok`);

/** What a server prints once it listens. */
const LISTENING = "Control socket listening on";

type Start = (args: readonly string[], watcher?: Watcher) => Promise<Ended>;

const startC: Start = (args, watcher) => runKernelProgram("VSOCK_TEST", args, watcher);
const startOurs: Start = (args, watcher) => runCommand(["test", ...args], watcher);

/** One end of a run. */
interface Part {
  readonly start: Start;
  readonly args: readonly string[];
}

/** Starts the server, and the client once that listens; how they ended, the server first. */
async function runBoth(server: Part, client: Part): Promise<[Ended, Ended]> {
  const control = [`--control-host=${HOST}`, `--control-port=${await freePort()}`];
  const common = [...control, "--peer-cid=1", "--peer-port=61234"];
  const { promise: listening, resolve } = Promise.withResolvers<void>();
  const first = server.start(["--mode=server", ...common, ...server.args], (printed) => {
    if (printed.includes(LISTENING)) resolve();
  });
  await Promise.race([listening, first]);
  return await Promise.all([
    first,
    client.start(["--mode=client", ...common, ...client.args]),
  ]);
}

/** A TCP port that nobody listens on. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, HOST, resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** The lines about tests, without why one was skipped. */
function testLines({ printed }: Ended): string[] {
  return [...printed.matchAll(/^\d+ - .*?\.\.\.(ok|skipped)/gm)].map(([line]) => line);
}

for (
  const [name, server, client] of [
    ["a client of C's server", startC, startOurs],
    ["a server of C's client", startOurs, startC],
  ] as const
) {
  test(`test passes all tests as ${name}`, { ...LIMIT, skip }, async () => {
    const ends = await runBoth({ start: server, args: [] }, { start: client, args: [] });
    for (const end of ends) assertEquals([end.code, testLines(end)], [0, PASSED], end.printed);
    const ours = ends[server === startOurs ? 0 : 1];
    assertMatch(ours.printed, /\n26 passed, 0 skipped\n$/);
  });

  test(`test agrees on what is skipped, as ${name}`, LIMIT, async () => {
    const part = (start: Start): Part =>
      start === startC
        ? { start, args: ["--skip=2", "--skip=8"] }
        : { start, args: ["--pick=0", "--pick=1,2,3", "--skip=1"] };
    const wanted = CASES.map(({ name }, id) =>
      `${id} - ${name}...${id === 0 || id === 3 ? "ok" : "skipped"}`
    );
    for (const end of await runBoth(part(server), part(client))) {
      assertEquals([end.code, testLines(end)], [0, wanted], end.printed);
    }
  });
}
