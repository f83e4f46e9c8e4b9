/** Zero-copy writes in a process of its own. */
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import process from "node:process";
import { assertEquals } from "@std/assert";
import { childCommand } from "./run_child.ts";

const CHILD = childCommand("./zero_copy_child.ts");
const LIMIT = { timeout: 120_000 };
const NO_SETPRIV = spawnSync("setpriv", ["--version"]).error === undefined
  ? false
  : "no setpriv: install util-linux (Debian: apt install util-linux)";

function run([file = "", ...args]: readonly string[]): unknown {
  const { status, stdout, stderr } = spawnSync(file, args, { encoding: "utf8", timeout: 100_000 });
  assertEquals(status, 0, stderr);
  return JSON.parse(stdout);
}

const EXPECTED = { written: [8_388_608, 8_388_608], wrong: 0, pending: 0, unsupported: null };

test("Conn.write() with zeroCopy keeps no process alive once it is closed", LIMIT, () => {
  assertEquals(run(CHILD), EXPECTED);
});

test(
  "Conn.write() with zeroCopy waits or copies where little memory may be locked",
  { ...LIMIT, skip: NO_SETPRIV },
  () => {
    // Without CAP_IPC_LOCK, and with less than what one send(2) asks for.
    const limited = ["sh", "-c", 'ulimit -l 256 && exec "$0" "$@"', ...CHILD];
    const drop = process.getuid?.() === 0 ? ["setpriv", "--bounding-set=-ipc_lock"] : [];
    assertEquals(run([...drop, ...limited]), EXPECTED);
  },
);
