import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { CASES } from "../../src/cli/test/cases.ts";
import { runLocally } from "../../src/cli/test/local.ts";
import type { Role } from "../../src/cli/test/options.ts";
import { createLoopback, createLoopbackLink, type LoopbackEnd } from "../../src/loopback/mod.ts";
import { vsockit } from "./captured.ts";

/** The tests that make calls on a file descriptor. */
const RAW = [9, 12, 13, 18, 19, 20];

/** What a run over a loopback prints of each test. */
const LINES = CASES.map(({ name }, id) =>
  RAW.includes(id) ? `${id} - ${name}...skipped` : `${id} - ${name}...ok`
);

/** The lines about tests, without why one is skipped. */
function testLines(printed: string): string[] {
  return [...printed.matchAll(/^\d+ - .*?\.\.\.(ok|skipped)\b/gm)].map(([line]) => line);
}

test("test passes on the loopback, both ends in one process", { timeout: 60_000 }, async () => {
  const { code, out, err } = await vsockit(["test"]);
  assertEquals([code, err], [0, ""]);
  assertEquals(testLines(out), LINES);
  assertMatch(out, /\n20 passed, 6 skipped\n$/);
  assertMatch(out, /skipped: it sends with MSG_ZEROCOPY, which needs a file descriptor\n/);
});

test("test passes between two threads, over a loopback link", { timeout: 60_000 }, async () => {
  const [serverEnd, clientEnd] = createLoopbackLink();
  const role = { controlHost: "127.0.0.1", controlPort: 0 };
  const server = new Running(serverEnd, { ...role, mode: "server", peerCid: clientEnd.cid });
  const controlPort = await server.controlPort;
  const client = new Running(clientEnd, {
    ...role,
    controlPort,
    mode: "client",
    peerCid: serverEnd.cid,
  });
  for (const printed of await Promise.all([server.printed, client.printed])) {
    assertEquals(testLines(printed), LINES, printed);
  }
});

/** One end, on a thread of its own. */
class Running {
  /** The TCP port of a server, once it listens. */
  readonly controlPort: Promise<number>;
  /** All that it prints, once it is done. */
  readonly printed: Promise<string>;

  constructor(end: LoopbackEnd, role: Role) {
    const url = new URL("vsock_test_worker.ts", import.meta.url);
    const worker = new Worker(url, { workerData: { end, role } });
    const listening = Promise.withResolvers<number>();
    const done = Promise.withResolvers<string>();
    let printed = "";
    worker.on("message", (text: string | null) => {
      if (text === null) return done.resolve(printed);
      printed += text;
      const [, port] = /listening on 127\.0\.0\.1:(\d+)/.exec(text) ?? [];
      if (port !== undefined) listening.resolve(Number(port));
    });
    worker.once("error", done.reject);
    this.controlPort = listening.promise;
    this.printed = done.promise;
  }
}

test("test fails where a test does, and neither end waits", { timeout: 60_000 }, async () => {
  const options = { peerPort: 1234, chosen: (id: number): boolean => id === 2 };
  let printed = "";
  const running = runLocally(
    options,
    (text) => void (printed += text),
    createLoopback({ faults: { refuse: 1 } }),
  );
  await assertRejects(() => running, Error, "client: connect: expected connected, got ECONNRESET");
  assertMatch(printed, /2 - SOCK_STREAM client close\.\.\.$/);
});

test("test --list prints what vsock_test prints", async () => {
  const { code, out, err } = await vsockit(["test", "--list"]);
  assertEquals([code, err], [0, ""]);
  const lines = out.trimEnd().split("\n");
  assertEquals(lines.length, 27);
  assertEquals(lines[0], "ID\tTest name");
  assertEquals(lines[1], "0\tSOCK_STREAM connection reset");
  assertEquals(lines[26], "25\tSOCK_SEQPACKET ioctl(SIOCOUTQ) 0 unsent bytes");
});

test("test --skip leaves out, --pick leaves out all others", { timeout: 60_000 }, async () => {
  const picked = await vsockit(["test", "--pick", "1", "--pick=2", "--pick", "3,5", "--skip", "3"]);
  assertEquals(picked.code, 0);
  const ok = testLines(picked.out).filter((line) => line.endsWith("ok"));
  assertEquals(ok.map((line) => parseInt(line)), [1, 2, 5]);
  assertMatch(picked.out, /^3 - SOCK_STREAM server close\.\.\.skipped: not asked for$/m);
  assertMatch(picked.out, /\n3 passed, 23 skipped\n$/);
});

test("test explains itself, in lines that fit a terminal", async () => {
  const { code, out } = await vsockit(["test", "--help"]);
  assertEquals(code, 0);
  assertMatch(out, /^Usage: vsockit test /);
  assertEquals(out.split("\n").filter(({ length }) => length > 80), []);
});
