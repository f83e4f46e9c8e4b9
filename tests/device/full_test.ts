/** A device without a descriptor left. */
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { childCommand } from "../helpers/child.ts";

/** What the child prints, which is to do as `way` tells. */
function runFull(way: string): string {
  const child = new URL("./full_child.ts", import.meta.url);
  const command = ["-c", 'ulimit -n 256 && exec "$0" "$@"', ...childCommand(child), way];
  const { stdout, stderr } = spawnSync("sh", command, { encoding: "utf8", timeout: 50_000 });
  return stdout === "" ? stderr : stdout;
}

test("VsockDevice says that it has no room for a VMM's descriptors, and serves the next one", {
  timeout: 60_000,
}, () => {
  assertEquals(runFull("memory"), "recvmsg: EMFILE (errno 24)\nserved\n");
});

test("VsockDevice that cannot wait for VMMs as it begins says so, and does once it can", {
  timeout: 60_000,
}, () => {
  assertEquals(runFull("begin"), "eventfd: EMFILE (errno 24)\nserved\n");
});

test(
  "VsockDevice waits for no descriptor of a VMM to close: one behind more than it has room for",
  {
    timeout: 60_000,
  },
  () => {
    assertEquals(runFull("close"), "at once\n");
  },
);
