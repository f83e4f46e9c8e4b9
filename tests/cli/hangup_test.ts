/** The end of the terminal of a command that nohup(1) has started. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import process from "node:process";
import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { connect } from "../../src/connect.ts";
import { listen } from "../../src/listen.ts";
import { RUNTIME } from "../helpers/runtime.ts";
import { TempFolder } from "../helpers/temp_folder.ts";
import { VSOCKIT } from "./process.ts";

test("vsockit proxy goes on at a SIGHUP that was ignored when it began", {
  timeout: 60_000,
  skip: RUNTIME === "node" ? "Node ignores nothing: run it on Deno or Bun" : false,
}, async () => {
  using folder = new TempFolder();
  const [at, to] = [folder.path("l"), folder.path("t")];
  using target = listen({ path: to });
  const args = ["-c", `trap "" HUP; exec "$@"`, "sh", ...VSOCKIT, "proxy", "--json"];
  const child = spawn("/bin/sh", [...args, `unix:${at}`, `unix:${to}`], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = once(child, "exit");
  const ended = exited.then(() => {
    throw new Error(`It ended: ${child.signalCode ?? child.exitCode}`);
  });
  ended.catch(() => {}); // at last it does
  const events: string[] = [];
  const lines = createInterface({ input: child.stdout });
  lines.on("line", (line) => void events.push(JSON.parse(line).event));
  await once(lines, "line");
  for (let turn = 0; turn < 20; turn++) {
    process.kill(child.pid!, "SIGHUP");
    using client = await connect({ path: at });
    using far = await Promise.race([target.accept(), ended]);
    await far.write(new Uint8Array(3));
    assertEquals(await client.read(new Uint8Array(8)), 3);
  }
  process.kill(child.pid!, "SIGTERM");
  await exited;
  assertEquals([child.exitCode, events.includes("open"), events.at(-1)], [0, true, "stop"]);
});
