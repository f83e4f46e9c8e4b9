/** A device without a descriptor left. */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { childCommand } from "../unit/run_child.ts";

test("VsockDevice says that it has no room for a VMM's descriptors, and serves the next one", {
  timeout: 60_000,
}, () => {
  const child = fileURLToPath(new URL("./full_child.ts", import.meta.url));
  const command = ["-c", 'ulimit -n 256 && exec "$0" "$@"', ...childCommand(child)];
  const { stdout, stderr } = spawnSync("sh", command, { encoding: "utf8", timeout: 50_000 });
  assertEquals(stdout, "recvmsg: EMFILE (errno 24)\nserved\n", stderr);
});
