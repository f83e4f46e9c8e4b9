import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { assertEquals, assertMatch } from "@std/assert";
import { formatBytes, watchMoved } from "../../src/cli/cat/watch.ts";
import { endingSignals } from "../../src/cli/serving/signals.ts";
import { until } from "../helpers/until.ts";
import { vsockit } from "./captured.ts";
import { listening, type Place, testCat } from "./cat_cases.ts";
import { Running } from "./process.ts";

const LIMIT = { timeout: 120_000 };

/** A path of its own. */
function openPath(): Place {
  const folder = mkdtempSync(join(tmpdir(), "vsockit-cat-"));
  const address = `unix:${join(folder, "socket")}`;
  return {
    listen: address,
    connect: () => address,
    [Symbol.dispose]: (): void => rmSync(folder, { recursive: true }),
  };
}

testCat("AF_UNIX", openPath);

test("cat --keep --exec serves many, until SIGINT", LIMIT, async () => {
  using place = openPath();
  const [server, address] = await listening(place, "-k", "-e", "tr a-z A-Z; echo it >&2");
  using _server = server;
  const clients = ["one", "two", "three"].map((word) => {
    const client = new Running("cat", address);
    client.feed(word);
    return client;
  });
  for (const [index, client] of clients.entries()) {
    assertEquals([await client.ended, client.out], [0, ["ONE", "TWO", "THREE"][index]]);
  }
  await server.says(/(it\n[^]*){3}/);
  server.child.kill("SIGINT");
  assertEquals(await server.ended, 130);
  assertMatch(server.err, /^listening on .*\n(connected from .*\n|it\n){6}$/);
});

for (const [signal, code] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
  test(`cat --listen ends on ${signal} with ${code}, and removes its path`, LIMIT, async () => {
    using place = openPath();
    const [server] = await listening(place);
    using _server = server;
    process.kill(server.child.pid!, signal); // what Deno kills itself it takes for dead of that
    assertEquals([await server.ended, server.out], [code, ""]);
    assertEquals(existsSync(place.listen.slice("unix:".length)), false);
  });
}

for (
  const [signal, code] of [
    ["SIGINT", 130],
    ["SIGTERM", 143],
    ["SIGHUP", 129],
    ["SIGQUIT", 131],
  ] as const
) {
  const ignored = !endingSignals().includes(signal);
  const skip = ignored && `${signal} is ignored: run it without nohup`;
  test(
    `cat --exec ends on ${signal} with ${code}, and its command`,
    { ...LIMIT, skip },
    async () => {
      using place = openPath();
      const [server, address] = await listening(place, "-e", "sleep 600 & echo up >&2; wait");
      using _server = server;
      using client = new Running("cat", address); // it ends when nobody has the other end any more
      await server.says(/^up$/m);
      process.kill(server.child.pid!, signal);
      assertEquals([await client.ended, await server.ended], [0, code]);
    },
  );
}

test("cat --exec stops and goes on with its commands", LIMIT, async () => {
  using place = openPath();
  const command = "echo up $$ >&2; exec sleep 600";
  const [server, address] = await listening(place, "-k", "-e", command);
  using _server = server;
  const pids = [server.child.pid!];
  using _one = new Running("cat", address);
  pids.push(Number((await server.says(/^up (\d+)$/m))[1]));
  using _other = new Running("cat", address);
  pids.push(Number((await server.says(/^up \d+$[^]*^up (\d+)$/m))[1]));
  for (let times = 0; times < 2; times++) {
    process.kill(pids[0]!, "SIGTSTP");
    await until(() => pids.every(isStopped));
    process.kill(pids[0]!, "SIGCONT");
    await until(() => !pids.some(isStopped));
  }
  process.kill(pids[0]!, "SIGTERM");
  assertEquals(await server.ended, 143);
});

function isStopped(pid: number): boolean {
  return /^State:\s+T/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
}

test("cat --exec of a VM's port ends what the shell has started", LIMIT, async () => {
  using place = openPath();
  const path = place.listen.slice("unix:".length);
  const command = "sleep 600 & echo up >&2; wait";
  using server = new Running("cat", "-l", "-v", "-e", command, `hvsock://${path}:5000`);
  await server.says(/^listening on hvsock:/m);
  using client = new Running("cat", `unix:${path}_5000`);
  await server.says(/^up$/m);
  process.kill(server.child.pid!, "SIGTERM");
  // Whoever inherits its standard error keeps that open.
  assertEquals([await client.ended, await server.ended], [0, 143]);
});

test("cat --listen ends when nobody reads its output, and removes its path", LIMIT, async () => {
  using place = openPath();
  using server = new Running("cat", "-lv", place.listen);
  await server.says(/^listening on/m);
  server.child.stdout!.destroy();
  using client = new Running("cat", place.listen);
  client.feed("hello");
  await server.says(/^connected from/m);
  assertEquals([await server.ended, await client.ended], [0, 0]);
  assertMatch(server.err, /^listening on .*\nconnected from .*\n$/);
  assertEquals(existsSync(place.listen.slice("unix:".length)), false);
});

test("cat --keep ends when its reader has what it wants, and nobody comes", LIMIT, async () => {
  using place = openPath();
  const [server, address] = await listening(place, "--keep");
  using _server = server;
  const first = once(server.child.stdout!, "data");
  using client = new Running("cat", address);
  client.feed("READY=1\n");
  await first;
  server.child.stdout!.destroy();
  assertEquals([await server.ended, await client.ended], [0, 0]);
  assertEquals(existsSync(place.listen.slice("unix:".length)), false);
});

test("cat --keep receives from one after the other", LIMIT, async () => {
  using place = openPath();
  const [server, address] = await listening(place, "--keep");
  using _server = server;
  for (const word of ["one\n", "two\n"]) {
    using client = new Running("cat", address);
    client.feed(word);
    assertEquals([await client.ended, client.out], [0, ""]);
  }
  server.child.kill("SIGINT");
  assertEquals([await server.ended, server.out], [130, "one\ntwo\n"]);
});

test("cat --listen takes the path of one that was killed", LIMIT, async () => {
  using place = openPath();
  const [killed] = await listening(place);
  killed.child.kill("SIGKILL");
  await killed.ended;
  const [server, address] = await listening(place);
  using _server = server;
  using client = new Running("cat", address);
  client.feed("hello");
  server.feed("");
  assertEquals([await client.ended, await server.ended, server.out], [0, 0, "hello"]);
});

test("cat gives what a command failed with, and removes its path", LIMIT, async () => {
  using place = openPath();
  using server = new Running("cat", "-lve", "exit 3", place.listen);
  await server.says(/^listening on/m);
  using client = new Running("cat", place.listen);
  assertEquals([await client.ended, await server.ended], [0, 1]);
  assertMatch(server.err, /\nvsockit cat: the command ended with 3\n$/);
  using again = new Running("cat", place.listen);
  assertEquals(await again.ended, 1);
  assertMatch(again.err, /^vsockit cat: Cannot connect .*: ENOENT/);
});

test("cat --exec serves what a VM behind a path dials", LIMIT, async () => {
  using place = openPath();
  const path = place.listen.slice("unix:".length);
  using server = new Running("cat", "-l", "-v", "-e", "tr a-z A-Z", `hvsock://${path}:5000`);
  await server.says(/^listening on hvsock:/m);
  using client = new Running("cat", `unix:${path}_5000`);
  client.feed("hello\n".repeat(50_000));
  assertEquals([await client.ended, await server.ended], [0, 0]);
  assertEquals(client.out, "HELLO\n".repeat(50_000));
});

test("cat --exec ends with a command that reads nothing", LIMIT, async () => {
  using place = openPath();
  const path = place.listen.slice("unix:".length);
  using server = new Running("cat", "-l", "-v", "-e", "echo bye", `hvsock://${path}:5000`);
  await server.says(/^listening on hvsock:/m);
  using client = new Running("cat", `unix:${path}_5000`); // its standard input stays open
  assertEquals([await client.ended, client.out, await server.ended], [0, "bye\n", 0]);
});

for (const wait of ["", "sleep 1; "]) {
  const when = wait === "" ? "gone" : "gone before it says anything";
  test(`cat --exec of a VM's port ends a command whose client is ${when}`, LIMIT, async () => {
    using place = openPath();
    const path = place.listen.slice("unix:".length);
    const command = `${wait}yes; echo over >&2`;
    using server = new Running("cat", "-l", "-k", "-v", "-e", command, `hvsock://${path}:5000`);
    await server.says(/^listening on hvsock:/m);
    using client = new Running("cat", `unix:${path}_5000`);
    await server.says(/^connected from/m);
    client.child.kill("SIGKILL");
    await server.says(/^over$/m);
    process.kill(server.child.pid!, "SIGTERM");
    assertEquals(await server.ended, 143);
  });
}

test("cat --timeout fails when nobody comes, and when nothing moves", LIMIT, async () => {
  using place = openPath();
  using alone = new Running("cat", "--listen", "--timeout", "0.2", place.listen);
  assertEquals(await alone.ended, 1);
  assertMatch(alone.err, /ETIMEDOUT/);

  using server = new Running("cat", "--listen", "--verbose", place.listen);
  await server.says(/^listening on/m);
  using client = new Running("cat", "-w0.3", place.listen);
  assertEquals([await client.ended, client.err], [1, "vsockit cat: Nothing moved for 0.3 s\n"]);
});

test("cat fails where nobody listens, by the name of the address", async () => {
  using place = openPath();
  const { code, out, err } = await vsockit(["cat", place.listen]);
  assertEquals([code, out], [1, ""]);
  assertMatch(err, /^vsockit cat: Cannot connect \/.*\/socket: ENOENT/);
});

const LONG = `unix:${"x".repeat(125)}`;

for (
  const [args, reason] of [
    [[], "Missing operand: ADDRESS"],
    [["2:1", "2:2"], "Unexpected operand: 2:2"],
    [["nowhere"], "Cannot parse address"],
    [["-k", "2:1"], "Cannot use --keep: must be with --listen"],
    [["--lines", "2:1"], "Cannot use --lines: must be with --seqpacket"],
    [["-w", "0", "2:1"], "Cannot use --timeout: must be seconds"],
    [["-w", "soon", "2:1"], "Cannot use --timeout: must be seconds"],
    [["-e", "", "2:1"], "Cannot use --exec: must be a command"],
    [["-lx", "2:1"], "Unknown option: -x"],
    [["-l", "tcp:localhost:0"], "Cannot use hostname: must be an IP address"],
    [[LONG], "Cannot use path: must be at most 107 bytes"],
    [["-l", LONG], "Cannot use path: must be at most 107 bytes"],
    [["-l", `hvsock:/${"x".repeat(104)}:80`], "Cannot use path: must be at most 107 bytes"],
    [["--seqpacket", "tcp:localhost:1"], "Cannot use ADDRESS: must be vsock or unix"],
    [["--seqpacket", "vsock-stream:2:1"], "Cannot use --seqpacket: must be as in ADDRESS"],
  ] as const
) {
  test(`cat ${args.join(" ")} is a wrong usage`, async () => {
    const { code, out, err } = await vsockit(["cat", ...args]);
    assertEquals([code, out], [2, ""]);
    assertEquals(err.startsWith(`vsockit cat: ${reason}`), true, err);
  });
}

test("watchMoved() shows no more than fits in one line of the terminal", LIMIT, async () => {
  const { promise, resolve } = Promise.withResolvers<string>();
  const terminal = {
    ...{ out: (): void => {}, err: resolve },
    ...{ interactive: true, color: false, columns: 10 },
  };
  const moved = { bytesRead: 0, bytesWritten: 0 };
  using _watching = watchMoved(moved, { terminal, shown: true, onIdle: () => {} });
  assertEquals(await promise, "\r\x1b[K0 B sent,"); // the last column stays free
});

test("formatBytes() writes sizes for people", () => {
  assertEquals([0, 1023, 1024, 1.5 * 2 ** 20, 2 ** 41].map(formatBytes), [
    ...["0 B", "1023 B", "1.0 KiB", "1.5 MiB", "2.0 TiB"],
  ]);
});
