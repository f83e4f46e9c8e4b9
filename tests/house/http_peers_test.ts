import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { RUNTIMES } from "../helpers/runtime.ts";
import { TempFolder } from "../helpers/temp_folder.ts";
import { nodeEnv, run } from "./command.ts";
import { installRuntimes, ROOT, scriptCommand } from "./toolchain.ts";

const runtimes = installRuntimes();
const CHILD = "tests/house/http_peers_child.ts";
const DEPENDENCIES = { ws: "8.23.0", undici: "8.13.1", ssh2: "1.17.0" };
const SHOWN = {
  http: "hello\n",
  ssh2: "ran uname\n",
  undici: `201 5\n201 ${1 << 20}\n`,
  ws: `hello ${1 << 20} 7\n`,
};

for (const [peer, shown] of Object.entries(SHOWN)) {
  const name = `toDuplex carries ${peer} on each runtime, and the process ends by itself`;
  test(name, { timeout: 300_000 }, () => {
    using folder = new TempFolder();
    const dependencies = Object.entries(DEPENDENCIES).filter(([key]) => key === peer);
    const manifest = { private: true, dependencies: Object.fromEntries(dependencies) };
    writeFileSync(folder.path("package.json"), JSON.stringify(manifest));
    // Without scripts: ssh2 has an optional part that needs a compiler.
    run(
      folder.path(),
      [join(runtimes.bin, "npm"), "install", "--ignore-scripts"],
      nodeEnv(runtimes),
    );
    for (const runtime of RUNTIMES) {
      const { stdout } = run(ROOT, [...scriptCommand(runtime, "-A"), CHILD, folder.path(), peer]);
      assertEquals([runtime, stdout], [runtime, shown]);
    }
  });
}
