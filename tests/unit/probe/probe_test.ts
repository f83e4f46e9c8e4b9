import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { VMADDR_CID_ANY } from "../../../ffi/abi/vm_sockets.ts";
import { forceBackend } from "../../../ffi/select.ts";
import { kernelTransports, localCid } from "../../../src/kernel/reach.ts";
import { CAPABILITIES, probe } from "../../../src/probe.ts";
import { type Finding, lookSafely, noFrom } from "../../../src/probe/finding.ts";
import { MAIN } from "../../cli/process.ts";
import { childCommand, runChild } from "../../helpers/child.ts";
import { NO_PERMISSIONS } from "../../helpers/runtime.ts";
import { NO_VSOCK as skip } from "../kernel/helpers.ts";

function find(name: string): Finding {
  const finding = probe([name]).get(name);
  assert(finding !== undefined);
  return finding;
}

test("probe() says why of each capability, and names the runtime", () => {
  const findings = probe();
  assertEquals([...findings.keys()], [...CAPABILITIES.keys()]);
  for (const [name, { why }] of findings) assert(why.length > 0, name);
  assertMatch(String(findings.get("runtime")?.value), /^(deno|bun|node) \d+\./);
  assertEquals(findings.get("ffi")?.ok, true);
  assertMatch(String(findings.get("libc")?.value), /^libc\./);
});

test("probe() looks at what is asked for alone, and refuses other names", () => {
  assertEquals([...probe(["epoll", "libc"]).keys()], ["epoll", "libc"]);
  assertThrows(() => probe(["epol"]), TypeError, 'current value is "epol"');
});

test("probe() agrees with what sockets do", { skip }, () => {
  const transports = kernelTransports();
  assert(typeof transports === "object", String(transports));
  assertEquals(find("af_vsock").ok, true);
  assertEquals(find("reach_local").ok, transports.local);
  assertEquals(find("reach_host").ok, transports.guestCid !== undefined || transports.local);
  const { ok, value } = find("local_cid");
  if (ok) assertEquals(value, localCid());
});

test("probe() and a receiver agree where pages are not of 4096 bytes: all is copied", {
  timeout: 60_000,
}, async () => {
  const why = "pages are of 16384 bytes here, not of 4096";
  const refusal = `Cannot mmap: EOPNOTSUPP (errno 95): ${why}`;
  const found = JSON.parse(await runChild(new URL("./page_size_child.ts", import.meta.url)));
  assertEquals(found, { bytes: 100_000, mapped: false, refusal, ok: false, why });
});

test("probe() has the limits of this process in bytes", () => {
  for (const name of ["optmem_max", "rmem_max", "wmem_max"]) {
    assert(Number(find(name).value) > 0, name);
  }
  assertMatch(String(find("memlock").value), /^(\d+|unlimited)$/);
});

test("probe() leaves no descriptor open", async () => {
  const { readdirSync } = await import("node:fs");
  probe(); // opens libc, and what the runtime keeps
  const before = readdirSync("/proc/self/fd").length;
  for (let i = 0; i < 10; i++) probe();
  const after = readdirSync("/proc/self/fd").length;
  assert(after <= before, `${after} are open, ${before} were`); // others may close theirs meanwhile
});

test("probe() names the cure where libc cannot be called", () => {
  forceBackend("none");
  try {
    for (const name of ["ffi", "af_vsock", "reach_host", "seqpacket", "epoll", "tcp_receive"]) {
      const { ok, cure } = find(name);
      assertEquals(ok, false, name);
      assertMatch(String(cure), /^(run with --[a-z-]+|use Deno 2\.9)/, name);
    }
    assertEquals(find("runtime").ok, true);
  } finally {
    forceBackend(undefined);
  }
});

test("lookSafely() tells what is thrown, and the flag in it", () => {
  const thrown = (message: string): Finding =>
    lookSafely({
      about: "",
      look: () => {
        throw new Error(message);
      },
    });
  assertEquals(thrown("so it is"), { ok: false, why: "so it is" });
  assertEquals(thrown("Requires read access, run again with the --allow-read flag"), {
    ok: false,
    why: "--allow-read is not given",
    cure: "run with --allow-read",
  });
});

test("lookSafely() says what is out of sight without /proc", () => {
  const look = (): Finding => ({ ok: true, why: readFileSync("/proc/nowhere", "utf8") });
  assertEquals(lookSafely({ about: "", look }), {
    ok: false,
    why: "there is no /proc/nowhere to tell",
    cure: "mount /proc, or look outside of the container",
  });
});

/** Has only those files exist, and `/dev/vsock` not, until it is disposed. */
function onlyThese(exists: (path: string) => boolean): Disposable {
  const fs = process.getBuiltinModule("node:fs") as { existsSync: unknown; openSync: unknown };
  const { existsSync, openSync } = fs;
  fs.existsSync = exists;
  fs.openSync = (): never => {
    throw Object.assign(new Error("no device"), { code: "ENOENT" });
  };
  return { [Symbol.dispose]: () => void Object.assign(fs, { existsSync, openSync }) };
}

test("probe() and kernelTransports() take no module for missing where there is no /sys", () => {
  using _files = onlyThese(() => false);
  const { why, cure } = find("vsock_diag");
  assertEquals([why, cure], ["there is no /sys/module to tell", "mount -t sysfs sysfs /sys"]);
  const transports = kernelTransports();
  if (typeof transports === "object") assertEquals(transports.guestCid, VMADDR_CID_ANY);
});

test("probe() and kernelTransports() see a driver that is built in, without parameters", () => {
  using _files = onlyThese((path) => /^\/sys\/(module|bus\/virtio\/drivers\/vmw\w+)$/.test(path));
  const builtIn = { ok: true, why: "it is built in" };
  assertEquals(find("vmw_vsock_virtio_transport"), builtIn);
  assertEquals(find("hv_sock").cure, "modprobe hv_sock, or a kernel with CONFIG_HYPERV_VSOCKETS");
  const transports = kernelTransports();
  if (typeof transports === "object") assertEquals(transports.guestCid, VMADDR_CID_ANY);
});

test("probe() has no modprobe for a cure where the kernel has no modules", () => {
  using _files = onlyThese((path) => path === "/sys/module" || path === "/proc/self");
  const cure = "a kernel with CONFIG_VSOCKETS_DIAG";
  assertEquals(find("vsock_diag"), { ok: false, why: "this kernel has no modules", cure });
});

test("noFrom() parts the reason from the command that cures it", () => {
  assertEquals(noFrom("it is this machine: x is not loaded: modprobe x"), {
    ok: false,
    why: "it is this machine: x is not loaded",
    cure: "modprobe x",
  });
  assertEquals(noFrom("nobody knows"), { ok: false, why: "nobody knows" });
});

/** What `vsockit doctor --json` says under permissions of Deno. */
function doctor(permissions: readonly string[], ...names: readonly string[]): Findings {
  const [file = "", ...args] = childCommand(MAIN, permissions);
  const { stdout } = spawnSync(file, [...args, "doctor", "--json", ...names], { encoding: "utf8" });
  return JSON.parse(stdout);
}

type Findings = Readonly<Record<string, Finding>>;

test("probe() asks for nothing that Deno has not been allowed", { skip: NO_PERMISSIONS }, () => {
  const { receive_costs, ...found } = doctor(["--allow-env"]);
  assertEquals(found["ffi"]?.cure, "run with --allow-ffi");
  assertEquals(found["dev_vsock"]?.cure, "run with --allow-read");
  assertEquals(Object.keys(found), [...CAPABILITIES.keys()]);
  assertEquals(Object.keys(receive_costs!), ["loopback"]);
});

test("probe() has no other cure for an unknown CID than for the device that tells it", {
  skip: NO_PERMISSIONS || skip,
}, () => {
  const names = ["local_cid", "dev_vsock"];
  const { local_cid, dev_vsock } = doctor(["--allow-env", "--allow-ffi"], ...names);
  assertEquals(dev_vsock?.cure, "run with --allow-read");
  if (!local_cid?.ok) assertEquals(local_cid?.cure, "run with --allow-read");
});
