import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { TempFolder } from "../helpers/temp_folder.ts";
import { run } from "./command.ts";
import { installRuntimes, ROOT } from "./toolchain.ts";

const { bun } = installRuntimes();
const WAITS = "tests/unit/kernel/reactor_child.ts";

for (const flags of [[], ["--minify"]]) {
  const name = ["wait() works in an executable in an empty folder", ...flags].join(" ");
  test(name, { timeout: 300_000 }, () => {
    using build = new TempFolder();
    using folder = new TempFolder();
    const executable = build.path("waits");
    run(ROOT, [bun, "build", "--compile", ...flags, WAITS, "--outfile", executable]);
    assertEquals(run(folder.path(), [executable, "a pending wait"]).stdout, "woken by 1\n");
  });
}
