/** What becomes of what `vsockit` prints where the disk is full. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { assertEquals, assertMatch } from "@std/assert";
import { setTimeout as sleep } from "node:timers/promises";
import { connect } from "../../src/connect.ts";
import type { UnixAddress } from "../../src/address.ts";
import type { Conn } from "../../src/conn.ts";
import { listen } from "../../src/listen.ts";
import { TempFolder } from "../helpers/temp_folder.ts";
import { VSOCKIT } from "./process.ts";

const WAIT = { timeout: 60_000 };
const [COMMAND = "", ...BEFORE] = VSOCKIT;

for (const [flag, log] of [["--json", 1], ["--verbose", 2]] as const) {
  test(`proxy ${flag} serves on where its log has no room, and drains`, WAIT, async () => {
    using folder = new TempFolder();
    const [at, to] = [folder.path("l"), folder.path("t")];
    using target = listen({ path: to });
    const full = openSync("/dev/full", "w");
    const stdio = ["ignore", "ignore", "ignore"] as ("ignore" | number)[];
    stdio[log] = full;
    const args = [...BEFORE, "proxy", flag, `unix:${at}`, `unix:${to}`];
    const child = spawn(COMMAND, args, { stdio });
    closeSync(full);
    const exited = once(child, "exit");
    for (let count = 0; count < 2; count++) {
      using near = await patiently(() => connect({ path: at }));
      using far = await target.accept();
      await near.write(new Uint8Array(5));
      assertEquals(await far.read(new Uint8Array(8)), 5);
    }
    process.kill(child.pid!, "SIGTERM"); // what Deno kills itself it takes for dead of that
    assertEquals(await exited, [0, null]);
  });
}

/** Until it listens. */
async function patiently(dial: () => Promise<Conn<UnixAddress>>): Promise<Conn<UnixAddress>> {
  for (;;) {
    try {
      return await dial();
    } catch {
      await sleep(20);
    }
  }
}

for (const args of [["help"], ["test", "--list"]]) {
  test(`vsockit ${args.join(" ")} fails where its output has no room`, WAIT, async () => {
    const full = openSync("/dev/full", "w");
    const child = spawn(COMMAND, [...BEFORE, ...args], { stdio: ["ignore", full, "pipe"] });
    closeSync(full);
    let err = "";
    child.stderr!.on("data", (chunk: Uint8Array) => err += new TextDecoder().decode(chunk));
    assertEquals((await once(child, "close"))[0], 1);
    assertMatch(err, /^vsockit: Cannot print: .*no space left on device/i);
  });
}
