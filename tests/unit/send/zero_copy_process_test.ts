/** Zero-copy writes in a process of its own. */
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import process from "node:process";
import { Worker } from "node:worker_threads";
import { assertEquals, assertRejects } from "@std/assert";
import { POLLERR } from "../../../ffi/abi/poll.ts";
import { VsockError } from "../../../src/error.ts";
import { listen } from "../../../src/listen.ts";
import { childCommand } from "../../helpers/child.ts";

const CHILD = childCommand(new URL("./zero_copy_child.ts", import.meta.url));
const LIMIT = { timeout: 120_000 };
const NO_SETPRIV = spawnSync("setpriv", ["--version"]).error === undefined
  ? false
  : "no setpriv: install util-linux (Debian: apt install util-linux)";

function run([file = "", ...args]: readonly string[]): unknown {
  const { status, stdout, stderr } = spawnSync(file, args, { encoding: "utf8", timeout: 100_000 });
  assertEquals(status, 0, stderr);
  return JSON.parse(stdout);
}

/** `command` without CAP_IPC_LOCK, and with `kib` that may be locked. */
function limited(kib: number, command: readonly string[]): readonly string[] {
  const drop = process.getuid?.() === 0 ? ["setpriv", "--bounding-set=-ipc_lock"] : [];
  return [...drop, "sh", "-c", `ulimit -l ${kib} && exec "$0" "$@"`, ...command];
}

const EXPECTED = { written: [8_388_608, 8_388_608], wrong: 0, pending: 0, unsupported: null };

test("Conn.write() with zeroCopy keeps no process alive once it is closed", LIMIT, () => {
  assertEquals(run(CHILD), EXPECTED);
});

test(
  "Conn.write() with zeroCopy waits or copies where little memory may be locked",
  { ...LIMIT, skip: NO_SETPRIV },
  () => {
    assertEquals(run(limited(256, CHILD)), EXPECTED); // less than what one send(2) asks for
  },
);

test(
  "ZeroCopySend.wait() waits for a record where no more memory may be locked",
  { ...LIMIT, skip: NO_SETPRIV },
  () => {
    const seen = run(
      limited(256, childCommand(new URL("./zero_copy_full_child.ts", import.meta.url))),
    );
    assertEquals(seen, { early: "early", waited: true, reason: "aborted", full: false });
  },
);

test("Conn.write() with zeroCopy sends no other bytes when its Worker ends", LIMIT, async () => {
  using listener = listen({ hostname: "127.0.0.1", port: 0 });
  const url = new URL("./zero_copy_worker.ts", import.meta.url);
  const worker = new Worker(url, { workerData: listener.addr.port });
  const ended = once(worker, "exit");
  using conn = await listener.accept();
  await ended;
  const p = new Uint8Array(1 << 20);
  let have = 0;
  // It ends by a reset: the peer had not read in time.
  await assertRejects(
    async () => {
      for (let n; (n = await conn.read(p)) !== null; have += n) {
        for (let i = 0; i < n; i++) {
          if (p[i] !== (have + i) % 251) throw new Error(`at ${have + i}`);
        }
      }
    },
    VsockError,
    "ECONNRESET",
  );
});

test("Conn.write() with zeroCopy ends its connection when its web Worker ends", {
  ...LIMIT,
  skip: !("Worker" in globalThis) && "Node has no web Workers: run the suite on Deno and Bun too",
}, async () => {
  using listener = listen({ hostname: "127.0.0.1", port: 0 });
  const url = new URL("./zero_copy_worker.ts", import.meta.url);
  const worker = new globalThis.Worker(url, { type: "module" });
  worker.postMessage(listener.addr.port);
  using conn = await listener.accept();
  const events = await conn.socket.wait(0, AbortSignal.timeout(60_000));
  assertEquals(events & POLLERR, POLLERR, "it is reset");
  worker.terminate();
});
