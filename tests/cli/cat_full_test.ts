/** `vsockit cat --keep` where descriptors run out for a while. */
import { execFileSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { assertEquals } from "@std/assert";
import { UnixFolder } from "../helpers/unix_folder.ts";
import { Running } from "./process.ts";

const WAIT = { timeout: 60_000 };
const PLENTY = 256;

/** Lets a process have descriptors below `most`, beside those that it has. */
function limit({ child }: Running, most: number): void {
  execFileSync("prlimit", ["--pid", String(child.pid), `--nofile=${most}:`]);
}

function descriptors({ child }: Running): string[] {
  return readdirSync(`/proc/${child.pid}/fd`);
}

/** The descriptor that a process gets next. */
function nextDescriptor(process: Running): number {
  const open = new Set(descriptors(process));
  let next = 0;
  while (open.has(String(next))) next++;
  return next;
}

/** A client that has sent "hello" and its end. */
function greet(address: string): Running {
  const client = new Running("cat", address);
  client.feed("hello");
  return client;
}

/** Waits until its descriptors have been the same for a while, and gives them. */
async function settled(server: Running): Promise<string> {
  let before = "";
  for (let same = 0; same < 10;) {
    const now = descriptors(server).join();
    same = now === before ? same + 1 : 0;
    before = now;
    await sleep(50);
  }
  return before;
}

/**
 * Has it serve until one more client changes nothing: it has all descriptors then that the runtime
 * wants for itself, and none of a connection's. Gives how many it has served.
 */
async function warmUp(server: Running, address: string): Promise<number> {
  await server.says(/^listening on/m);
  for (let count = 1, before = "";; count++) {
    using client = greet(address);
    assertEquals(await client.ended, 0);
    const now = await settled(server);
    if (now === before) return count;
    before = now;
  }
}

for (const flags of [[], ["-e", "cat"]] as const) {
  const name = ["cat --keep", ...flags].join(" ");
  test(`${name} tells of a passing failure of accept(), and goes on`, WAIT, async () => {
    using folder = new UnixFolder();
    const address = `unix:${folder.path("s")}`;
    using server = new Running("cat", "-lkv", ...flags, address);
    const served = await warmUp(server, address);
    limit(server, nextDescriptor(server));
    using client = greet(address);
    await server.says(/(^vsockit cat: Cannot accept .*: EMFILE.*\n)/m);
    limit(server, PLENTY);
    assertEquals([await client.ended, client.err], [0, ""]);
    server.child.kill("SIGINT");
    assertEquals(await server.ended, 130);
    const written = flags.length > 0 ? "hello" : "hello".repeat(served + 1);
    assertEquals(client.out + server.out, written);
  });
}

for (const family of ["unix", "hvsock"] as const) {
  test(`cat -k -e over ${family} goes on where a command cannot be started`, WAIT, async () => {
    using folder = new UnixFolder();
    const path = folder.path("s");
    const [listen, to] = family === "unix"
      ? [`unix:${path}`, `unix:${path}`]
      : [`hvsock://${path}:5000`, `unix:${path}_5000`];
    using server = new Running("cat", "-lkv", "-e", "cat", listen);
    await warmUp(server, to);
    limit(server, nextDescriptor(server) + 1);
    using refused = new Running("cat", to);
    refused.feed(""); // Bun may find out once the command runs, which serves it then
    await server.says(/^vsockit cat: .*(EMFILE|too many open files).*\n/im);
    assertEquals([await refused.ended, refused.out], [0, ""]);
    limit(server, PLENTY);
    using client = greet(to);
    assertEquals([await client.ended, client.out, client.err], [0, "hello", ""]);
    server.child.kill("SIGINT");
    assertEquals(await server.ended, 130);
  });
}
