import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { assertEquals, assertThrows } from "@std/assert";
import { parseOptions } from "../../src/cli/perf/options.ts";
import { UsageError } from "../../src/cli/args/usage.ts";

test("parseOptions() has a default for everything", () => {
  assertEquals(parseOptions([]), {
    plan: {
      mode: "copy",
      transport: "loopback",
      type: "stream",
      port: 1234,
      bytes: 268_435_456,
      file: undefined,
      bufferBytes: 131_072,
      rcvlowatBytes: 131_072,
      creditBytes: 4_194_304,
      txBufferBytes: 16_777_216,
      verify: false,
    },
    sweep: false,
    amountGiven: false,
    json: false,
    serve: false,
  });
});

test("parseOptions() reads the flags of vsock_rx_perf", () => {
  const { plan } = parseOptions(["-m", "3", "-b", "65536", "-r", "4K", "-v2G", "-z", "u"]);
  assertEquals(plan.bytes, 3_145_728);
  assertEquals(plan.bufferBytes, 65_536);
  assertEquals(plan.rcvlowatBytes, 4096);
  assertEquals(plan.creditBytes, 2_147_483_648);
  assertEquals(plan.mode, "user-poll");
  assertEquals(parseOptions(["-zy"]).plan.mode, "zerocopy");
  assertEquals(parseOptions(["-zn"]).plan.mode, "copy");
});

test("parseOptions() takes SO_RCVLOWAT from the buffer where it is not given", () => {
  assertEquals(parseOptions(["-b", "8K"]).plan.rcvlowatBytes, 8192);
  assertEquals(parseOptions(["-b", "8K", "-v", "4K"]).plan.rcvlowatBytes, 4096);
});

test("parseOptions() counts --pages in pages of the mapping", () => {
  assertEquals(parseOptions(["-z", "y", "--pages", "16"]).plan.bufferBytes, 65_536);
});

test("parseOptions() takes the amount from --file", () => {
  const directory = mkdtempSync(join(tmpdir(), "vsockit-"));
  try {
    const [full, empty] = [join(directory, "full"), join(directory, "empty")];
    writeFileSync(full, "seven b");
    writeFileSync(empty, "");
    const { plan, amountGiven } = parseOptions(["--file", full]);
    assertEquals([plan.bytes, plan.file, amountGiven], [7, full, true]);
    assertThrows(() => parseOptions(["--file", empty]), UsageError, "it is empty");
    assertThrows(() => parseOptions(["--file", directory]), UsageError, "it is not a file");
    assertThrows(() => parseOptions([`--file=${full}-`]), UsageError, "it is nothing there");
    assertThrows(() => parseOptions(["--file", full, "-m", "1"]), UsageError, "--megabytes");
  } finally {
    rmSync(directory, { recursive: true });
  }
});

const REFUSED: readonly (readonly [string, string])[] = [
  ["-m 0", "--megabytes"],
  ["-m NaN", "--megabytes"],
  ["-m -5", "--megabytes"],
  ["-m 9007199254740991", "--megabytes"],
  ["-b 0", "--buffer"],
  ["-b 1G", "--buffer: must be at most"],
  ["-r -1", "--rcvlowat"],
  ["-r 2G -v 3G", "--rcvlowat: must be at most 2147483647"],
  ["-r 64K -v 32K", "--rcvlowat: must be at most the credit of 32768 bytes"],
  ["-v 4G", "--credit: must be at most 4294967295"],
  ["-z x", "--mode: must be one of n, y, u, a"],
  ["-z constructor", "--mode: must be one of n, y, u, a"],
  ["-z y --pages 0", "--pages"],
  ["-z y --pages 262144", "at most"],
  ["--pages 4", "--pages: must be with -z y or -z u"],
  ["-z y --pages 4 -b 4K", "--pages: must be without --buffer"],
  ["--tx-buffer 2G", "--tx-buffer: must be at most"],
  ["--transport ivory", "--transport: must be one of loopback"],
  ["--port 4294967295", "--port"],
  ["--port -1", "--port"],
  ["--port 1e3", "--port"],
  ["--sweep -b 4K", "--sweep: must be without --buffer"],
  ["--sweep -z y", "--sweep: must be without --mode"],
  ["--sweep -v 256K", "--rcvlowat: must be at most the credit of 262144 bytes"],
  ["-s", "--server with the loopback: it lives inside one process"],
  ["-c 2", "--cid with the loopback: it lives inside one process"],
  ["-l", "--listen with the loopback: it lives inside one process"],
  ["-l -s", "--listen: must be without --server"],
  ["--sweep -c 2", "--sweep: must be without --cid"],
  ["-c 4294967295", "--cid: must be an integer from 0 to 4294967294"],
  ["--seqpacket -b 64K -r 1 -v 32K", "--buffer with --seqpacket: must be at most 32768"],
  ["--tx-zerocopy --file x", "--tx-zerocopy: must be without --file"],
  ["--seqpacket --tx-zerocopy", "--seqpacket: must be without --tx-zerocopy"],
  ["--seqpacket --tx-buffer 1M", "--seqpacket: must be without --tx-buffer"],
  ["--quick", "Unknown option: --quick"],
  ["4K", "Unexpected operand: 4K"],
];

for (const [line, why] of REFUSED) {
  test(`parseOptions() refuses ${line}`, () => {
    assertThrows(() => parseOptions(line.split(" ")), UsageError, why);
  });
}
