import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import type { Address } from "../../src/address.ts";
import { connect } from "../../src/connect.ts";
import { VsockError } from "../../src/error.ts";
import { listen } from "../../src/listen.ts";
import { type Permissions, permit } from "../../src/permissions.ts";
import { childCommand } from "../helpers/child.ts";
import { NO_PERMISSIONS, RUNTIME } from "../helpers/runtime.ts";

const CHILD = new URL("./permissions_child.ts", import.meta.url);

function may(permissions: Permissions, address: Address): boolean {
  try {
    permit("connect", address, permissions);
    return true;
  } catch (error) {
    if (error instanceof VsockError && error.code === "EACCES") return false;
    throw error;
  }
}

test("permit() allows what a pattern says, and nothing else", () => {
  const host = { cid: 2, port: 1024 };
  const path = { path: "/run/a/b.sock" };
  assertEquals(may(["2:1024"], host), true);
  assertEquals(may(["9:*", "2:*"], host), true);
  assertEquals(may(["*:1024"], host), true);
  assertEquals(may(["*"], host), true);
  assertEquals(may(["*2:*02*"], host), true);
  assertEquals(may([], host), false);
  assertEquals(may(["2:102", "2:10245", "22:1024", "2:1024*5"], host), false);
  assertEquals(may(["2*2:1024", "2:1*1024"], host), false);
  assertEquals(may(["2.1024"], host), false);
  assertEquals(may(["/run/a/*"], path), true);
  assertEquals(may(["/run/b/*"], path), false);
  assertEquals(may(["[::1]:*"], { hostname: "::1", port: 80 }), true);
  assertEquals(may(["127.*"], { hostname: "127.0.0.1", port: 80 }), true);
});

test("permit() takes a pattern that says its family for that family alone", () => {
  const addresses: readonly Address[] = [
    { cid: 2, port: 1024 },
    { hostname: "127.0.0.1", port: 1024 },
    { path: "/run/a" },
    { path: "/run/a", port: 1024 },
  ];
  const which = (pattern: string): boolean[] => addresses.map((one) => may([pattern], one));
  for (const pattern of ["vsock:2:1024", "vsock://2:1024", "vsock:*:1024", "vsock:*"]) {
    assertEquals(which(pattern), [true, false, false, false], pattern);
  }
  assertEquals(which("tcp:*:1024"), [false, true, false, false]);
  assertEquals(which("unix:///run/*"), [false, false, true, false]);
  assertEquals(which("hvsock:/run/a:1024"), [false, false, false, true]);
  assertEquals(which("vsock:2:1025"), [false, false, false, false]);
  assertEquals(may(["vsock:2:1024"], { path: "vsock:2:1024" }), false);
});

test("connect() and listen() refuse what is not permitted before anything is touched", async () => {
  const transport = {
    name: "none",
    capabilities: { seqpacket: false, mapRx: false, waitSync: false },
    localCid: 1,
    socket: (): never => {
      throw new Error("touched");
    },
  };
  const options = { transport, permissions: ["1:*"] };
  const refused = await assertRejects(() => connect({ cid: 2, port: 5 }, options), VsockError);
  assertEquals([refused.op, refused.code, refused.hint], [
    ...["connect", "EACCES", "permissions are 1:*"],
  ]);
  assertThrows(() => listen({ cid: 2, port: 5 }, options), VsockError, "Cannot listen 2:5: EACCES");
  for (const permissions of ["1:5", [1], {}]) {
    const wrong = { transport, permissions: permissions as unknown as Permissions };
    await assertRejects(() => connect({ cid: 1, port: 5 }, wrong), TypeError, "Cannot use perm");
    assertThrows(() => listen({ cid: 1, port: 5 }, wrong), TypeError, "Cannot use permissions");
  }
});

/** What the child prints, started with `flags` where this is Deno. */
function child(...flags: readonly string[]): string {
  const all = RUNTIME === "deno" ? ["--allow-read", "--allow-env", ...flags] : [];
  const [file = "", ...args] = childCommand(CHILD, all);
  const { stdout, stderr } = spawnSync(file, args, { encoding: "utf8" });
  assertEquals(stderr, "");
  return stdout;
}

test("restrict() narrows what the whole process may use, more with each call", () => {
  const lines = child().trimEnd().split("\n");
  assertEquals(lines.slice(0, 3), ["5:1 ok", "5:1 ok, 6:1 EACCES", "5:1 EACCES, 5:2 ok"]);
  assertStringIncludes(lines[3]!, "net: EACCES");
});

test('restrict("net") allows what --allow-net is for; --deny-net always counts', {
  skip: NO_PERMISSIONS,
}, () => {
  assertStringIncludes(child("--allow-net=vsock:1:7"), "net: ok\n");
  assertStringIncludes(child("--allow-net"), "net: ok\n");
  assertStringIncludes(child("--allow-net=vsock:1:8"), "net: EACCES\n");
  assertStringIncludes(child("--deny-net=vsock:5:1"), "5:1 EACCES");
});
