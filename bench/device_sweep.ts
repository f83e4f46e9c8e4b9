/**
 * The RFC's table between this host and a guest that it boots, which has our device:
 *
 *     deno task sweep:device             guest to host: copy and zero-copy by the device
 *     deno task sweep:device --reverse   host to guest: both by the laboratory's kernel
 *
 * More arguments are for `vsockit perf`, e.g. `--json` or `--svg FILE`.
 *
 * @module
 */
import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { main } from "../src/cli/mod.ts";
import { startGuest } from "../tests/vm/guest_process.ts";

const CID = "3";
const SERVE = ["src/cli/main.ts", "perf", "--serve", "--transport", "vsock"];
const GUEST_SECONDS = 3_000;
const LOOK_MS = 50;

const args = process.argv.slice(2).filter((arg) => arg !== "--"); // deno task passes that on
const device = join(tmpdir(), `vsockit-sweep-${randomUUID()}.sock`);
const measured = main(["perf", "--device", device, "--peer", CID, "--sweep", ...args]);
let over = false;
measured.finally(() => over = true);
while (!over && !existsSync(device)) await sleep(LOOK_MS);
if (!over) {
  await using _guest = startGuest({
    flavour: args.includes("--reverse") ? "lab" : "stock",
    vhostUser: device,
    timeoutSeconds: GUEST_SECONDS,
    command: ["deno", "run", "-A", "--no-check", ...SERVE],
  });
  await measured;
}
process.exit(await measured);
