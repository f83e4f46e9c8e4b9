/** Network namespaces of a guest: which of them has the host. */
import { test } from "node:test";
import { assertEquals, assertMatch } from "@std/assert";
import { listen } from "../../src/listen.ts";
import { isKernelBefore } from "../vm/options.ts";
import { denoRun, Host } from "./booted.ts";

const PORT = 5000;

test("connect() to the host fails with a hint in a namespace of the guest with CIDs of its own", {
  timeout: 300_000,
  skip: isKernelBefore("7.0") && "the guest's kernel is before 7.0: set VSOCKIT_KERNEL=7.3",
}, async () => {
  await using host = await Host.open();
  using _listener = listen({ cid: 2, port: PORT }, { transport: host.device });
  const run = denoRun("tests/host/namespaces_guest.ts", `${PORT}`).join(" ");
  const local = `echo local > /proc/sys/net/vsock/child_ns_mode && exec unshare -n ${run}`;
  const script = `${run} && unshare -n sh -c '${local}'`;
  const guest = await host.boot({ control: host.control.path, command: ["bash", "-c", script] });
  const { code, stdout, stderr } = await guest.ended;
  assertEquals(code, 0, stderr);
  const [global, auto, direct, looked, end] = stdout.split("\n");
  assertEquals([global, auto, end], ["connected", "connected", ""]);
  assertMatch(direct!, /^ENETUNREACH: .* ns_mode is local$/);
  assertMatch(looked!, /^ENODEV: CID 2: .* ns_mode is local\b/);
});
