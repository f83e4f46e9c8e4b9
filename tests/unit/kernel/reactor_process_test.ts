import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { LIBC_PATHS } from "../../../ffi/backend.ts";
import { childCommand } from "../../helpers/child.ts";
import { RUNTIME } from "../../helpers/runtime.ts";

const paths = LIBC_PATHS.filter((path) => existsSync(path));

/** How a process ended. */
interface Ended {
  readonly code: unknown;
  readonly stdout: string;
}

/** What runs before the runtime, with the command that starts it as its arguments. */
const FEW_DESCRIPTORS: readonly string[] = ["sh", "-c", 'ulimit -n 256 && exec "$@"', "sh"];

/** Runs `script` in a process of the same runtime, to its end. */
function run(
  script: URL,
  args: readonly string[],
  { flags, before = [] }: { flags?: readonly string[]; before?: readonly string[] } = {},
): Promise<Ended> {
  const [file = "", ...rest] = [...before, ...childCommand(script, flags), ...args];
  return new Promise((resolve) => {
    execFile(file, rest, { timeout: 50_000, killSignal: "SIGKILL" }, (error, stdout) => {
      resolve({ code: error === null ? 0 : error.code ?? error.signal, stdout });
    });
  });
}

const WOKEN: Ended = { code: 0, stdout: "woken by 1\n" };
const SILENT: Ended = { code: 0, stdout: "" };

/** How a process ends that has nothing to do but wait. */
const PROCESSES: Readonly<Record<string, Ended>> = {
  "a pending wait": WOKEN,
  "a pending wait, unref'd": SILENT,
  "a pending wait, unref'd while it waits": SILENT,
  "a pending wait, unref'd and ref'd": WOKEN,
  "a wait that is over": WOKEN,
  "a wait that is over, its thread parked": WOKEN,
  "a wait that is over, and one after the thread was parked": {
    code: 0,
    stdout: "woken by 1\nthen by 1\n",
  },
  "process.exit(0) at once": SILENT,
  "process.exit(0)": SILENT,
  "process.exit(3)": { code: 3, stdout: "" },
  "an uncaught error": { code: 1, stdout: "" },
};
for (const [name, ended] of Object.entries(PROCESSES)) {
  test(`wait() and the end of its process: ${name}`, { timeout: 60_000 }, async () => {
    assertEquals(await run(new URL("./reactor_child.ts", import.meta.url), [name]), ended);
  });
}

/** What is left of Workers that have a reactor. */
const WORKERS: Readonly<Record<string, string>> = {
  "terminate()": "no thread is left: true\n",
  "process.exit() of the Worker": "no thread is left: true\nno descriptor is left: true\n",
  "process.exit() of the process": "two wait\n",
};
for (const [name, stdout] of Object.entries(WORKERS)) {
  test(`wait() and the end of its Worker: ${name}`, { timeout: 60_000 }, async () => {
    assertEquals(await run(new URL("./reactor_workers_child.ts", import.meta.url), [name]), {
      code: 0,
      stdout,
    });
  });
}

test("wait() and process.exit() of its web Worker leave no descriptor", {
  skip: RUNTIME === "node" && "Node has no web Workers: run the suite on Deno and Bun too",
  timeout: 60_000,
}, async () => {
  const stdout = "no descriptor is left: true\n";
  assertEquals(await run(new URL("./reactor_web_child.ts", import.meta.url), []), {
    code: 0,
    stdout,
  });
});

test("wait() rejects where there is no descriptor for it, and loses none", {
  timeout: 60_000,
}, async () => {
  const refusals = ["epoll_create1", "epoll_create1", ...Array(4).fill("eventfd")]
    .map((op) => `${op} EMFILE, none is lost\n`);
  assertEquals(
    await run(new URL("./reactor_full_child.ts", import.meta.url), [], { before: FEW_DESCRIPTORS }),
    {
      code: 0,
      stdout: `${refusals.join("")}1\n`,
    },
  );
});

test("wait() needs no permission but --allow-ffi, for libc alone", {
  skip: RUNTIME !== "deno"
    ? "Deno's permission: run the suite on Deno too"
    : paths.length === 0 && "libc is at none of the known paths: add its own to LIBC_PATHS",
  timeout: 60_000,
}, async () => {
  const flags = [`--allow-ffi=${paths[0]}`];
  assertEquals(
    await run(new URL("./reactor_child.ts", import.meta.url), ["a pending wait"], { flags }),
    WOKEN,
  );
});
