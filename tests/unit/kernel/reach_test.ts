import { execFileSync } from "node:child_process";
import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { VMADDR_CID_ANY } from "../../../ffi/abi/vm_sockets.ts";
import { type Code, SysError } from "../../../ffi/errno.ts";
import { EXHAUSTED } from "../../../src/error.ts";
import {
  type KernelTransports,
  kernelTransports,
  localCid,
  whyNotConnect,
  whyNotListen,
} from "../../../src/kernel/reach.ts";
import { failOnce } from "../../helpers/faulty_libc.ts";
import { NO_PERMISSIONS } from "../../helpers/runtime.ts";
import { NO_VSOCK as skip } from "./helpers.ts";

const NONE: KernelTransports = {
  local: false,
  guestCid: undefined,
  host: false,
  hostless: false,
};
const LOCAL = { ...NONE, local: true };
const GUEST = { ...NONE, guestCid: 5 };
const HOST = { ...NONE, host: true };
const ALL = { ...LOCAL, guestCid: 5, host: true };
const HOSTLESS = { ...ALL, hostless: true };
const TO_HOST = 1;

/** CIDs that connect reaches with each set of transports, as vsock_assign_transport() has it. */
const REACHED: readonly (readonly [string, KernelTransports, readonly number[]])[] = [
  ["nothing", NONE, []],
  ["vsock_loopback", LOCAL, [1, 2]],
  ["a guest", GUEST, [0, 2, 77]],
  ["a host", HOST, [5, 77]],
  ["all three", ALL, [0, 1, 2, 5, 77]],
  ["all three in a namespace of its own", HOSTLESS, [1, 5, 77]],
];

for (const [name, transports, cids] of REACHED) {
  test(`whyNotConnect() with ${name} has a way to ${cids.join(", ") || "nowhere"}`, () => {
    const reached = [0, 1, 2, 5, 77].filter((cid) =>
      whyNotConnect({ cid, port: 1 }, transports) === undefined
    );
    assertEquals(reached, cids);
  });
}

test("whyNotConnect() follows VMADDR_FLAG_TO_HOST: only a guest has a host", () => {
  const address = { cid: 77, port: 1, flags: TO_HOST };
  assertEquals(whyNotConnect(address, ALL), undefined);
  assertEquals(whyNotConnect(address, GUEST), undefined);
  assertMatch(whyNotConnect(address, HOST)!, /no transport to a host/);
});

test("whyNotConnect() names the module to load", () => {
  const why = (cid: number, transports: KernelTransports): string =>
    whyNotConnect({ cid, port: 1 }, transports)!;
  assertEquals(why(1, GUEST), "vsock_loopback is not loaded: modprobe vsock_loopback");
  assertMatch(why(5, GUEST), /^it is this machine: .* modprobe vsock_loopback$/);
  assertMatch(why(9, NONE), /modprobe vhost_vsock$/);
  assertMatch(why(2, HOST), /modprobe vmw_vsock_virtio_transport$/);
  assertEquals(whyNotConnect({ cid: 1, port: 1 }, "no AF_VSOCK"), "no AF_VSOCK");
});

test("whyNotConnect() says of a guest's namespace with CIDs of its own that it has no host", () => {
  for (const address of [{ cid: 2, port: 1 }, { cid: 77, port: 1, flags: TO_HOST }]) {
    assertMatch(whyNotConnect(address, HOSTLESS)!, /network namespace .* ns_mode is local$/);
  }
});

test("whyNotListen() takes the CIDs that bind(2) takes", () => {
  const takes = (transports: KernelTransports): number[] =>
    [1, 2, 5, 77, VMADDR_CID_ANY].filter((cid) =>
      whyNotListen({ cid, port: 1 }, transports) === undefined
    );
  assertEquals(takes(NONE), []);
  assertEquals(takes(LOCAL), [1, VMADDR_CID_ANY]);
  assertEquals(takes(GUEST), [5, VMADDR_CID_ANY]);
  assertEquals(takes(HOST), [2, VMADDR_CID_ANY]);
  assertEquals(takes(ALL), [1, 2, 5, VMADDR_CID_ANY]);
  const unknown = { ...NONE, guestCid: VMADDR_CID_ANY };
  assertEquals(takes(unknown), [5, 77, VMADDR_CID_ANY]); // of which bind(2) refuses one
});

test("kernelTransports() agrees with the local CID", { skip }, () => {
  const transports = kernelTransports();
  assert(typeof transports === "object", String(transports));
  const { local, guestCid, host } = transports;
  const last = local ? 1 : VMADDR_CID_ANY;
  assertEquals(localCid(), guestCid ?? (host ? 2 : last));
});

test("kernelTransports() of a Deno that may read nothing takes the kernel's word", {
  skip: NO_PERMISSIONS || skip,
}, () => {
  const { href } = new URL("../../../src/kernel/reach.ts", import.meta.url);
  const code = `import { kernelTransports } from "${href}";
    Deno.permissions.revokeSync({ name: "read" });
    console.log(kernelTransports().guestCid);`;
  const printed = execFileSync(process.execPath, ["eval", "--no-check", code], {
    encoding: "utf8",
  });
  assertEquals(printed.trim(), String(VMADDR_CID_ANY));
});

test("kernelTransports() tells why there is no AF_VSOCK, but throws what will pass", () => {
  using _vsock = failOnce("socket", "EAFNOSUPPORT");
  assertEquals(kernelTransports(), "the kernel has no AF_VSOCK: modprobe vsock");
  using _container = failOnce("socket", "EPERM");
  assertMatch(String(kernelTransports()), /^a sandbox forbids AF_VSOCK.*: run with a seccomp/);
  using _odd = failOnce("socket", "EINVAL");
  assertEquals(kernelTransports(), "AF_VSOCK cannot be used: socket: EINVAL (errno 22)");
  for (const code of EXHAUSTED) {
    using _full = failOnce("socket", code as Code);
    assertThrows(() => kernelTransports(), SysError, code);
  }
});
