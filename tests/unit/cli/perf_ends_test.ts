import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { openDequeuer } from "../../../src/cli/perf/dequeuer.ts";
import { parseOptions } from "../../../src/cli/perf/options.ts";
import { fileSource, patternSource } from "../../../src/cli/perf/source.ts";
import { TRANSPORTS } from "../../../src/cli/perf/transports.ts";
import { VsockError } from "../../../src/error.ts";
import { kernelTransports } from "../../../src/kernel/reach.ts";
import { WOULD_BLOCK } from "../../../src/socket.ts";
import { FakeSocket } from "../receive/fake.ts";

const MODES = [["n", "copies"], ["y", "maps and polls"], ["u", "maps and spins"]] as const;

for (const [letter, what] of MODES) {
  test(`openDequeuer() ${what} with -z ${letter}`, () => {
    const socket = new FakeSocket();
    const { plan } = parseOptions(["-z", letter, "-b", "16K", "-r", "1"]);
    using dequeuer = openDequeuer(socket, plan);
    assertEquals(dequeuer.take(), WOULD_BLOCK);
    // The fake does not block; a spinning receiver asks it now and then, for a short time.
    assertThrows(() => dequeuer.wait(), Error, "EOPNOTSUPP");
    assertEquals(socket.calls.at(-1) === "waitSync(1, Infinity)", letter !== "u");
    const sent = Uint8Array.from({ length: 5000 }, (_, index) => index);
    socket.arrive(sent.slice());
    socket.end();
    dequeuer.wait();
    assertEquals(dequeuer.take(), 5000);
    const hash = createHash("sha256");
    dequeuer.show(hash);
    assertEquals(hash.digest("hex"), createHash("sha256").update(sent).digest("hex"));
    dequeuer.giveBack();
    assertEquals(dequeuer.take(), 0);
    const { mapping } = socket;
    assertEquals(mapping?.dataPages, letter === "n" ? undefined : 4);
    // The views are made by take(), since a program could not read the bytes before.
    assertEquals(mapping?.lent, letter === "n" ? undefined : [[0, 5000]]);
  });
}

test("patternSource() gives no two pages alike, and at most its buffer", () => {
  using source = patternSource(16_384);
  const bytes = source.next(100_000);
  assertEquals(bytes.length, 16_384);
  const pages = [0, 1, 2, 3].map((page) => bytes.slice(page * 4096, (page + 1) * 4096).join());
  assertEquals(new Set(pages).size, 4);
  assertNotEquals(pages[0], new Uint8Array(4096).join());
  assertEquals(source.next(7).length, 7);
});

test("fileSource() gives the file piece by piece, and fails behind its end", () => {
  const directory = mkdtempSync(join(tmpdir(), "vsockit-"));
  try {
    const path = join(directory, "file");
    writeFileSync(path, "seven b");
    using source = fileSource(path, 4, new Uint8Array(4));
    assertEquals(new TextDecoder().decode(source.next(100)), "seve");
    assertEquals(new TextDecoder().decode(source.next(100)), "n b");
    assertThrows(() => source.next(100), Error, "it ended 100 bytes early");
  } finally {
    rmSync(directory, { recursive: true });
  }
});

const transports = kernelTransports();

test("TRANSPORTS.vsock has no CID 1 where a guest would ask its host for that, in vain", {
  skip: typeof transports === "object" && transports.local && "vsock_loopback is loaded",
}, () => {
  const { vsock } = TRANSPORTS;
  const { plan } = parseOptions(["--transport", "vsock"]);
  assertThrows(() => vsock.link?.(plan), VsockError, "Cannot connect 1:1234: ENODEV");
  assertThrows(() => vsock.resolve?.("1", 9), VsockError, "Cannot connect 1:9: ENODEV");
});
