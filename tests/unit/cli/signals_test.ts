/** Signals that a command may listen for. */
import { spawnSync } from "node:child_process";
import { constants } from "node:os";
import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { isIgnored } from "../../../src/cli/serving/signals.ts";

const { SIGHUP, SIGTERM, SIGUSR1 } = constants.signals;

test("isIgnored() tells what a process was told to ignore, as by nohup", () => {
  const script = "trap '' HUP TERM; exec cat /proc/self/status";
  const { stdout } = spawnSync("/bin/sh", ["-c", script], { encoding: "utf8" });
  const ignored = [SIGHUP, SIGUSR1, SIGTERM].map((signal) => isIgnored(signal, stdout));
  assertEquals(ignored, [true, false, true]);
  assertEquals(isIgnored(SIGHUP, ""), false);
});
