/**
 * Commands that serve, once nobody reads their log any more: `vsockit proxy --json ... | head -1`.
 */
import { once } from "node:events";
import { existsSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { assertEquals } from "@std/assert";
import { connect } from "../../src/connect.ts";
import { listen } from "../../src/listen.ts";
import { TempFolder } from "../helpers/temp_folder.ts";
import { DeviceProcess } from "./device_process.ts";
import { Running } from "./process.ts";

const WAIT = { timeout: 60_000 };
/** Lines of so many are more than a pipe has room for. */
const CONNECTIONS = 2_000;

for (const [flag, log] of [["--json", "stdout"], ["--verbose", "stderr"]] as const) {
  test(`proxy ${flag} serves on when nobody reads its log, and drains`, WAIT, async () => {
    using folder = new TempFolder();
    const [at, to] = [folder.path("l"), folder.path("t")];
    using target = listen({ path: to });
    using proxy = new Running("proxy", flag, `unix:${at}`, `unix:${to}`);
    await once(proxy.child[log]!, "data");
    proxy.child[log]!.destroy();
    using live = await connect({ path: at });
    using liveFar = await target.accept();
    for (let count = 0; count < 3; count++) {
      using near = await connect({ path: at });
      using far = await target.accept();
      await near.write(new Uint8Array(5));
      assertEquals(await far.read(new Uint8Array(8)), 5);
      near.close();
      assertEquals(await far.read(new Uint8Array(8)), null);
    }
    process.kill(proxy.child.pid!, "SIGTERM"); // what Deno kills itself it takes for dead of that
    await live.write(new Uint8Array(7));
    assertEquals(await liveFar.read(new Uint8Array(8)), 7);
    live.close();
    liveFar.close();
    assertEquals(await proxy.ended, 0);
    assertEquals(existsSync(at), false);
  });
}

for (const [flag, log] of [["--json", "stdout"], ["--verbose", "stderr"]] as const) {
  test(`proxy ${flag} serves on when its log is not read, and ends`, WAIT, async () => {
    using folder = new TempFolder();
    const [at, to] = [folder.path("l"), folder.path("t")];
    using proxy = new Running("proxy", flag, `unix:${at}`, `unix:${to}`);
    await once(proxy.child[log]!, "data");
    const exited = once(proxy.child, "exit");
    proxy.child[log]!.pause();
    for (let count = 0; count < CONNECTIONS; count++) await failing(at);
    process.kill(proxy.child.pid!, "SIGTERM");
    await exited;
    proxy.child[log]!.resume();
    assertEquals(await proxy.ended, 0);
  });
}

test("proxy --json tells how many lines were lost", WAIT, async () => {
  using folder = new TempFolder();
  const [at, to] = [folder.path("l"), folder.path("t")];
  using proxy = new Running("proxy", "--json", `unix:${at}`, `unix:${to}`);
  await once(proxy.child.stdout!, "data");
  proxy.child.stdout!.pause();
  for (let count = 0; count < CONNECTIONS; count++) await failing(at);
  proxy.child.stdout!.resume();
  let more = 0;
  do {
    await failing(at);
    more += 1;
    for (let turn = 0; turn < 100; turn++) await setImmediate();
  } while (!proxy.out.includes(`"id":${CONNECTIONS + more},`)); // which leaves nothing to be read
  process.kill(proxy.child.pid!, "SIGTERM");
  assertEquals(await proxy.ended, 0);
  const entries = proxy.out.trimEnd().split("\n").map((line) => JSON.parse(line));
  const lost = entries.flatMap(({ event, count }) => event === "lost" ? [count] : []);
  const told = entries.filter(({ event }) => event === "close").length;
  assertEquals(lost.reduce((sum, count) => sum + count, told), CONNECTIONS + more);
});

/** A connection by a proxy that has no target: a line in its log. */
async function failing(path: string): Promise<void> {
  using near = await connect({ path });
  assertEquals(await near.read(new Uint8Array(1)), null);
}

test("device --json serves on when nobody reads its log", WAIT, async () => {
  using device = await DeviceProcess.start();
  device.running.child.stdout!.destroy();
  for (let count = 0; count < 3; count++) {
    using vmm = await connect({ path: device.socketPath });
    await vmm.write(new TextEncoder().encode("GET / HTTP/1.1\r\n\r\n")); // a fault to tell of
    assertEquals(await vmm.read(new Uint8Array(8)).catch(() => null), null);
  }
  device.signal("SIGTERM");
  assertEquals(await device.running.ended, 0);
  assertEquals(device.files, []);
});
