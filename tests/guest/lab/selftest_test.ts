/** The lab kernel's own test, in C: leaks, foreign memory, races, refusals. */
import "../../vm/in_guest.ts";
import { execFileSync, spawnSync } from "node:child_process";
import { globSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { assertEquals, assertStringIncludes } from "@std/assert";

const SOURCES = fileURLToPath(new URL("../../vm/kernel/selftest/*.c", import.meta.url));

test("the lab kernel passes its selftest", { timeout: 300_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), "vsockit-selftest-"));
  try {
    const program = join(folder, "selftest");
    execFileSync("gcc", ["-O2", "-pthread", "-o", program, ...globSync(SOURCES)]);
    const { status, stdout } = spawnSync(program, { encoding: "utf8", timeout: 240_000 });
    assertEquals(status, 0, stdout);
    assertStringIncludes(stdout, "ok - the kernel has no complaint");
  } finally {
    rmSync(folder, { recursive: true });
  }
});
