import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { EmptyFolder, run } from "./command.ts";
import { codeBlocks, read } from "./source.ts";
import { installRuntimes, ROOT } from "./toolchain.ts";

const { deno, bun, node } = installRuntimes();
const EXAMPLE = "examples/echo.ts";
const [SHOWN = ""] = codeBlocks("README.md", "text");

test("README.md begins with examples/echo.ts", () => {
  assertEquals(codeBlocks("README.md", "ts")[0], read(EXAMPLE));
});

const COMMANDS = {
  deno: [deno, "run", "--no-prompt", EXAMPLE], // no permission is needed
  bun: [bun, EXAMPLE],
  node: [node, "--import", "./tests/std/node.ts", EXAMPLE],
};
for (const [name, command] of Object.entries(COMMANDS)) {
  test(`examples/echo.ts prints on ${name} what README.md shows`, { timeout: 60_000 }, () => {
    assertEquals(run(ROOT, command).stdout, SHOWN);
  });
}

test("examples/echo.ts runs as an executable in an empty folder", { timeout: 300_000 }, () => {
  using build = new EmptyFolder();
  using folder = new EmptyFolder();
  const executable = `${build.path}/echo`;
  run(ROOT, [bun, "build", "--compile", EXAMPLE, "--outfile", executable]);
  assertEquals(run(folder.path, [executable]).stdout, SHOWN);
});

test("vsockit runs as an executable in an empty folder", { timeout: 300_000 }, () => {
  using build = new EmptyFolder();
  using folder = new EmptyFolder();
  const executable = `${build.path}/vsockit`;
  // The root puts the worker beside the program, which is where its URL says it is.
  const entries = ["--root", "src/cli/perf", "src/cli/main.ts", "src/cli/perf/worker.ts"];
  run(ROOT, [bun, "build", "--compile", ...entries, "--outfile", executable]);
  const { stdout } = run(folder.path, [executable, "perf", "-m", "1", "--json"]);
  assertEquals(JSON.parse(stdout).bytes, 1 << 20);
});
