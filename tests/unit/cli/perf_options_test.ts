import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { assertEquals, assertThrows } from "@std/assert";
import { parseOptions } from "../../../src/cli/perf/options.ts";
import { UsageError } from "../../../src/cli/args/values.ts";

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
      txZeroCopy: false,
      maxSegment: undefined,
      verify: false,
    },
    sweep: false,
    amountGiven: false,
    json: false,
    svg: undefined,
    alone: undefined,
    remote: undefined,
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

test("parseOptions() takes the segments of TCP, 0 for those that there are", () => {
  const segment = (...args: string[]): number | undefined =>
    parseOptions(["--transport", "tcp", ...args]).plan.maxSegment;
  assertEquals([segment(), segment("--mss", "1460"), segment("--mss=0")], [4108, 1460, 0]);
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
    assertThrows(() => parseOptions([`--file=${full}-`]), UsageError, "there is none");
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
  ["-b 1G", "--buffer: must be a whole number, alone or with K, M or G behind it, of 1 to"],
  ["-r -1", "--rcvlowat"],
  ["-r 2G -v 3G", "of 1 to 2147483647 bytes: current value is 2G"],
  ["-r 64K -v 32K", "--rcvlowat: must be at most the credit of 32768 bytes"],
  ["-v 4G", "of 1 to 4294967295 bytes: current value is 4G"],
  ["-z x", "--mode: must be one of n, y, u, a"],
  ["-z constructor", "--mode: must be one of n, y, u, a"],
  ["-z y --pages 0", "--pages"],
  ["-z y --pages 262144", "--pages: must be an integer from 1 to 262143"],
  ["--pages 4", "--pages: must be with -z y or -z u"],
  ["-z y --pages 4 -b 4K", "--pages: must be without --buffer"],
  ["--tx-buffer 2G", "of 1 to 1073737728 bytes: current value is 2G"],
  ["--transport ivory", "--transport: must be one of loopback, vsock, tcp"],
  ["--transport device --peer 3", "--transport: must be one of loopback, vsock, tcp"],
  ["--transport tcp -v 2G", "of 1 to 2147483647 bytes: current value is 2G"],
  ["--transport tcp --mss 32768", "of 0 to 32767 bytes: current value is 32768"],
  ["--mss 1460", "--mss: must be with --transport tcp: current value is loopback"],
  ["--port 4294967295", "--port"],
  ["--port -1", "--port"],
  ["--port 1e3", "--port"],
  ["--sweep -b 4K", "--sweep: must be without --buffer"],
  ["--sweep -z y", "--sweep: must be without --mode"],
  ["--sweep -v 256K", "--rcvlowat: must be at most the credit of 262144 bytes"],
  ["-s", "--server with the loopback: it lives inside one process"],
  ["-c 2", "--cid with the loopback: it lives inside one process"],
  ["-l", "--listen with the loopback: it lives inside one process"],
  ["--peer 3", "use --transport vsock or tcp, or leave out --peer, and both ends run in this one"],
  ["--serve", "use --transport vsock or tcp, or leave out --serve"],
  ["-l -s", "--listen: must be without --server"],
  ["--sweep -c 2", "--sweep: must be without --cid"],
  ["-c 4294967295", "--cid: must be an integer from 0 to 4294967294"],
  ["--peer 4294967295 --device x", "--peer: must be an integer from 0 to 4294967294"],
  ["--transport tcp --cid=", '--cid: must be a hostname or an address: current value is ""'],
  ["--transport tcp --peer=", '--peer: must be a hostname or an address: current value is ""'],
  ["--device x", "--device: must be with --peer: current value is no --peer"],
  ["--device x --transport vsock", "--device: must be without --transport"],
  ["--reverse", "--reverse: must be with --peer"],
  ["--svg x", "--svg: must be with --sweep"],
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
