/** Whichever call of libc fails: the caller is told, nothing stays open, and the next run works. */
import { test } from "node:test";
import { NO_VSOCK } from "../kernel/helpers.ts";
import { SCENARIOS } from "./scenarios.ts";
import { sweep } from "./sweep.ts";

for (const [name, scenario] of Object.entries(SCENARIOS)) {
  const skip = name.includes("AF_VSOCK") && NO_VSOCK;
  test(
    `FaultyLibc with any call that fails leaves nothing of ${name}`,
    { skip, timeout: 300_000 },
    () => sweep(scenario),
  );
}
