import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { createLoopback, ManualClock, pcapTap } from "../../../src/loopback/mod.ts";
import { connect, listen } from "../../../mod.ts";

const SKIP = spawnSync("tshark", ["--version"]).error === undefined
  ? false
  : "no tshark to dissect the file: install it (Debian: apt install tshark)";

test("pcapTap() records what tshark dissects as vsock", { skip: SKIP }, async () => {
  const pieces: Uint8Array[] = [];
  const clock = new ManualClock();
  clock.advance(1_500);
  const tap = pcapTap((piece) => pieces.push(piece), { originMs: 1_000_000_000_000 });
  const transport = createLoopback({ tap, clock });
  using listener = listen({ cid: 1, port: 1024 }, { transport });
  using near = await connect({ cid: 1, port: 1024 }, { transport });
  using far = await listener.accept();
  await near.write(new TextEncoder().encode("hello"));
  assertEquals(await far.read(new Uint8Array(16)), 5);

  const folder = mkdtempSync(join(tmpdir(), "vsockit-"));
  try {
    const file = join(folder, "loopback.pcap");
    writeFileSync(file, Buffer.concat(pieces));
    const fields = ["frame.time_epoch", "vsock.op", "vsock.virtio.op", "vsock.payload"];
    const args = ["-r", file, "-T", "fields", "-E", "separator=/s"];
    const printed = execFileSync("tshark", [...args, ...fields.flatMap((name) => ["-e", name])], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    });
    assertEquals(printed.trimEnd().split("\n").map((line) => line.trimEnd()), [
      "1000000001.500000000 1 1", // REQUEST
      "1000000001.500000000 1 2", // RESPONSE
      "1000000001.500000000 4 5 68656c6c6f", // RW
      "1000000001.500000000 3 6", // CREDIT_UPDATE
    ]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
