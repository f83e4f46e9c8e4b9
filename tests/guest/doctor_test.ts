/** `vsockit doctor` where the kernel has nearly all of it. */
import "../vm/in_guest.ts";
import process from "node:process";
import { test } from "node:test";
import { assertEquals, assertMatch } from "@std/assert";
import type { Finding } from "../../src/probe/finding.ts";
import { runCommand } from "./programs.ts";

test("doctor finds what the guest is known to have", { timeout: 300_000 }, async () => {
  const { code, printed } = await runCommand(["doctor", "--json"]);
  assertEquals(code, 0, printed);
  const found: Readonly<Record<string, Finding>> = JSON.parse(printed);
  const there = (names: readonly string[]): readonly (boolean | undefined)[] =>
    names.map((name) => found[name]?.ok);
  const names = ["ffi", "af_vsock", "dev_vsock", "reach_local", "vsock_loopback"];
  assertEquals(there(names), names.map(() => true), printed);
  assertEquals(there(["io_uring", "tcp_receive"]), [true, true], printed);
  const [major = 0, minor = 0] = String(found["kernel"]?.value).split(".").map(Number);
  const from = (a: number, b: number): boolean => major > a || (major === a && minor >= b);
  assertEquals(there(["seqpacket", "zerocopy_vsock"]), [from(5, 14), from(6, 7)], printed);
  assertEquals(there(["ns_mode"]), [from(7, 0)], printed);
  assertEquals(found["local_cid"]?.value, 1);
  assertEquals(found["map_rx"]?.ok, process.env["VSOCKIT_GUEST"] === "lab");
  assertMatch(String(found["vhost_vsock"]?.cure), /^modprobe vhost_vsock\b/);
});
