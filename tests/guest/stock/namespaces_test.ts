/** Network namespaces of AF_VSOCK: whose listeners a program in another one finds. */
import "../../vm/in_guest.ts";
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { listen, VMADDR_PORT_ANY } from "../../../mod.ts";
import { NS_MODE } from "../../../src/kernel/reach.ts";
import { childCommand } from "../../helpers/child.ts";

const skip = !existsSync(NS_MODE) &&
  "the kernel has no network namespaces of AF_VSOCK, from Linux 7.0 on: run it with --kernel 7.3";
const CHILD = childCommand(new URL("./namespaces_child.ts", import.meta.url));

/**
 * Runs the child in a namespace of that mode. A namespace says once what mode its children have, so
 * the one that says it is new too.
 */
function inNamespace(mode: "global" | "local", port: number): unknown {
  const script = `echo ${mode} > /proc/sys/net/vsock/child_ns_mode && exec unshare -n "$@"`;
  const command = ["-n", "sh", "-c", script, "sh", ...CHILD, `${port}`];
  return JSON.parse(execFileSync("unshare", command, { encoding: "utf8" }));
}

test("connect() in a network namespace with CIDs of its own finds its own listeners alone", {
  timeout: 120_000,
  skip,
}, () => {
  using listener = listen({ cid: 1, port: VMADDR_PORT_ANY }, { transport: "vsock" });
  assertEquals(inNamespace("local", listener.addr.port), {
    mode: "local",
    parent: "ECONNRESET",
    own: "connected",
    port: "free",
    listed: false,
  });
});

test("connect() in a network namespace that shares the CIDs finds those of another one", {
  timeout: 120_000,
  skip,
}, () => {
  using listener = listen({ cid: 1, port: VMADDR_PORT_ANY }, { transport: "vsock" });
  assertEquals(inNamespace("global", listener.addr.port), {
    mode: "global",
    parent: "connected",
    own: "connected",
    port: "EADDRINUSE",
    listed: false,
  });
});
