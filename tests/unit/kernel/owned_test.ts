/** What becomes of the sockets of a Worker that ends. */
import { existsSync, mkdtempSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { assertEquals } from "@std/assert";
import { listen } from "../../../mod.ts";

/** Whether `fd` is an io_uring(7) of this process. */
function isRing(fd: number): boolean {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`).includes("io_uring");
  } catch {
    return false; // it is closed
  }
}

for (const end of ["process.exit()", "an uncaught error"]) {
  test(`Conn and Listener end with their Worker: ${end}`, { timeout: 60_000 }, async () => {
    const folder = mkdtempSync(join(tmpdir(), "vsockit-"));
    using listener = listen({ hostname: "127.0.0.1", port: 0 });
    const path = join(folder, "socket");
    const workerData = { port: listener.addr.port, path, end };
    const worker = new Worker(new URL("./owned_worker.ts", import.meta.url), { workerData });
    worker.on("error", () => {}); // as it is told to
    const ended = new Promise((resolve) => worker.once("exit", resolve));
    using conn = await listener.accept();
    const p = new Uint8Array(12);
    const timeoutMs = 30_000;
    assertEquals(await conn.read(p, { timeoutMs }), 8);
    assertEquals(await conn.read(p, { timeoutMs }), null);
    await ended;
    const [ring = -1, added] = new Int32Array(p.buffer);
    assertEquals(added, 0); // the first socket of a thread listens for its end, for all
    assertEquals([existsSync(path), isRing(ring)], [false, false]);
    rmSync(folder, { recursive: true });
  });
}
