/**
 * Many bytes each way between the device and a guest, none of which differs: by SHA-256, which
 * both ends of `vsockit perf` compute. `VSOCKIT_INTEGRITY_MIB=1024` makes them more.
 */
import process from "node:process";
import { after, before, test } from "node:test";
import { assertEquals, assertMatch } from "@std/assert";
import { parseOptions } from "../../src/cli/perf/options.ts";
import { runRemote } from "../../src/cli/perf/remote.ts";
import { closeDevices, TRANSPORTS } from "../../src/cli/perf/transports.ts";
import "../helpers/brief_warm_ups.ts";
import { TempFolder } from "../helpers/temp_folder.ts";
import { type GuestProcess, startGuest } from "../vm/guest_process.ts";
import { denoRun, GUEST_CID } from "./booted.ts";

const MIB = process.env["VSOCKIT_INTEGRITY_MIB"] ?? "16";
const SERVE = ["src/cli/main.ts", "perf", "--serve", "--transport", "vsock"];

const folder = new TempFolder();
const socketPath = folder.path("vhost");
let guest: GuestProcess;
before(() => {
  TRANSPORTS.device.open({ socketPath, guestCid: GUEST_CID }); // it stays
  guest = startGuest({ memoryMiB: 1024, vhostUser: socketPath, command: denoRun(...SERVE) });
});
after(async () => {
  await guest[Symbol.asyncDispose]();
  closeDevices();
  folder[Symbol.dispose]();
});

for (
  const [name, ...flags] of [
    ["from the guest, copied", "--mode=n"],
    ["from the guest, mapped", "--mode=y"],
    ["from the guest, as messages", "--mode=y", "--seqpacket"],
    ["to the guest", "--reverse"],
    ["to the guest, as messages", "--reverse", "--seqpacket"],
  ] as const
) {
  test(`device passes on ${MIB} MiB ${name}`, { timeout: 600_000 }, async () => {
    const way = [`--device=${socketPath}`, `--peer=${GUEST_CID}`, `--megabytes=${MIB}`, "--verify"];
    const { plan, remote } = parseOptions([...way, ...flags]);
    const { bytes, sha256 } = await runRemote(plan, remote!); // fails where the hashes differ
    assertEquals(bytes, Number(MIB) * 2 ** 20);
    assertMatch(sha256 ?? "", /^[0-9a-f]{64}$/);
  });
}
