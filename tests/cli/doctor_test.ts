import { test } from "node:test";
import { assertEquals, assertMatch } from "@std/assert";
import { formatFindings } from "../../src/cli/doctor/command.ts";
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

test("doctor --json prints one object", async () => {
  const { code, out } = await vsockit(["doctor", "--json"]);
  assertEquals(code, 0);
  const found: unknown = JSON.parse(out);
  assertEquals(Object.keys(found as object), [...CAPABILITIES.keys()]);
});

test("doctor NAME ends with 1 where it is missing, 2 where it is unknown", async () => {
  const there = await vsockit(["doctor", "runtime", "ffi"]);
  assertEquals([there.code, there.out.split("\n").length], [0, 3]);
  // A module of which no machine has all three kinds.
  const guests = ["vmw_vsock_vmci_transport", "hv_sock", "vhost_vsock"];
  const missing = await vsockit(["doctor", "runtime", ...guests]);
  assertEquals(missing.code, 1);
  assertMatch(missing.out, /^no {3}\w+ +it is /m);
  const unknown = await vsockit(["doctor", "teeth"]);
  assertEquals([unknown.code, unknown.out], [2, ""]);
  assertMatch(unknown.err, /^vsockit doctor: Unknown capability: teeth\n/);
});
