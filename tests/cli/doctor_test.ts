import { test } from "node:test";
import { assert, assertEquals, assertMatch } from "@std/assert";
import { formatFindings } from "../../src/cli/doctor/command.ts";
import { costsFrom, formatCosts } from "../../src/cli/doctor/costs.ts";
import { openTcp } from "../../src/kernel/tcp_unix.ts";
import { CAPABILITIES } from "../../src/probe.ts";
import { vsockit } from "./captured.ts";

const FINDINGS = new Map([
  ["libc", { ok: true, value: "libc.so.6", why: "it was opened" }],
  ["vsock_diag", { ok: false, why: "it is not loaded", cure: "modprobe vsock_diag" }],
]);

test("doctor prints yes or no, why, and the cure", () => {
  assertEquals(
    formatFindings(FINDINGS, false),
    "yes  libc        libc.so.6: it was opened\n" +
      "no   vsock_diag  it is not loaded\n" +
      "                 cure: modprobe vsock_diag\n",
  );
  const [first = ""] = formatFindings(FINDINGS, true).split("\n");
  assertEquals(first, "\x1b[32myes\x1b[39m  libc        libc.so.6: it was opened");
});

test("doctor has a line for each capability, and ends with 0", async () => {
  const { code, out, err } = await vsockit(["doctor"]);
  assertEquals([code, err], [0, ""]);
  const names = Array.from(out.matchAll(/^(?:yes|no ) {2}(\w+) /gm), ([, name]) => name);
  assertEquals(names, [...CAPABILITIES.keys()]);
});

test("doctor --json prints one object, with what receiving costs where it can be mapped", async () => {
  const { code, out } = await vsockit(["doctor", "--json"]);
  assertEquals(code, 0);
  const { receive_costs, ...found } = JSON.parse(out);
  assertEquals(Object.keys(found), [...CAPABILITIES.keys()]);
  const tcp = found.tcp_receive.ok && openTcp("127.0.0.1").capabilities.mapRx ? ["tcp"] : [];
  assertEquals(Object.keys(receive_costs), ["loopback", ...tcp]);
  const sizes = [4096, 16384, 65536, 131072, 262144, 524288];
  for (const costs of Object.values<ReturnType<typeof costsFrom>>(receive_costs)) {
    assertEquals(costs.sizes.map(({ bytes }) => bytes), sizes);
    for (const { copy_ns, map_ns } of costs.sizes) assert(copy_ns > 0 && map_ns > 0, out);
  }
});

const cost = (bytes: number, copyNsPerKib: number | undefined, mapNsPerKib: number) =>
  ({ carrier: "tcp", bytes, copyNsPerKib, mapNsPerKib, way: "copy" }) as const;

test("costsFrom() tells from which size on mapping is cheaper", () => {
  const [dear, cheap] = [cost(16384, 100, 101), cost(65536, 100, 50)];
  assertEquals(costsFrom([cost(4096, undefined, 50), dear, cheap]), {
    map_from: 65536,
    sizes: [
      { bytes: 16384, copy_ns: 1600, map_ns: 1616 },
      { bytes: 65536, copy_ns: 6400, map_ns: 3200 },
    ],
  });
  assertEquals(costsFrom([cheap, cost(131072, 100, 100)]).map_from, null);
  assertEquals(costsFrom([cost(4096, 9, 8), cheap]).map_from, 4096);
});

test("doctor prints the costs of each carrier, and where they cross", () => {
  assertEquals(formatCosts({}), "");
  const tcp = costsFrom([cost(16384, 100, 101), cost(65536, 100, 50)]);
  assertEquals(
    formatCosts({ loopback: { ...tcp, map_from: null }, tcp }),
    `
nanoseconds to receive as much at once, both ends in this process
loopback  16K   64K
  copy    1600  6400
  map     1616  3200  never cheaper
tcp       16K   64K
  copy    1600  6400
  map     1616  3200  cheaper from 64K on
`,
  );
});

test("doctor NAME ends with 1 where it is missing, 2 where it is unknown", async () => {
  const there = await vsockit(["doctor", "runtime", "ffi"]);
  assertEquals([there.code, there.out.split("\n").length], [0, 3]);
  // A module of which no machine has all three kinds.
  const guests = ["vmw_vsock_vmci_transport", "hv_sock", "vhost_vsock"];
  const missing = await vsockit(["doctor", "runtime", ...guests]);
  assertEquals(missing.code, 1);
  assertMatch(missing.out, /^no {3}\w+ +(it is|this kernel has) /m);
  const unknown = await vsockit(["doctor", "teeth"]);
  assertEquals([unknown.code, unknown.out], [2, ""]);
  assertMatch(unknown.err, /^vsockit doctor: Unknown capability: teeth\n/);
});
