/** `vsockit cat` where nobody reads its standard output, which stays open. */
import { once } from "node:events";
import { createConnection, type Socket } from "node:net";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { assertEquals } from "@std/assert";
import { UnixFolder } from "../unit/unix_folder.ts";
import { Running } from "./process.ts";

const WAIT = { timeout: 60_000 };
/** More than sockets and pipes hold. */
const FLOOD = new Uint8Array(4 * 1_048_576);
const PIECE = 4_096;

/** Sends to `path` until nothing is taken any more for a while. */
async function stuff(path: string): Promise<Socket> {
  const client = createConnection(path);
  client.on("error", () => {}); // its peer is going to be ended
  let taken = 0;
  for (let at = 0; at < FLOOD.length; at += PIECE) {
    client.write(FLOOD.subarray(at, at + PIECE), () => taken++);
  }
  for (let before = -1, same = 0; same < 10; before = taken) {
    same = taken === before && taken > 0 ? same + 1 : 0;
    await sleep(50);
  }
  return client;
}

for (const flags of ["-lv", "-lkv"]) {
  test(`cat ${flags} ends on SIGTERM while its output is full`, WAIT, async () => {
    using folder = new UnixFolder();
    const path = folder.path("s");
    using server = new Running("cat", flags, `unix:${path}`);
    server.feed("");
    server.child.stdout!.pause();
    await server.says(/^listening on/m);
    const client = await stuff(path);
    const exited = once(server.child, "exit");
    server.child.kill("SIGTERM");
    await exited;
    server.child.stdout!.resume();
    assertEquals(await server.ended, 143);
    client.destroy();
  });
}

test("cat --timeout fails while its output is full", WAIT, async () => {
  using folder = new UnixFolder();
  const path = folder.path("s");
  using server = new Running("cat", "-lv", "-w", "1", `unix:${path}`);
  server.child.stdout!.pause();
  await server.says(/^listening on/m);
  const client = await stuff(path);
  await server.says(/Nothing moved for 1 s/);
  server.child.stdout!.resume();
  assertEquals(await server.ended, 1);
  client.destroy();
});
