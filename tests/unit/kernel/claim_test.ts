import { existsSync, lstatSync, readdirSync, renameSync, utimesSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals, assertThrows } from "@std/assert";
import { AF_UNIX, SOCK_CLOEXEC, SOCK_DGRAM } from "../../../ffi/abi/socket.ts";
import { encodeSockaddrUn } from "../../../ffi/abi/un.ts";
import { bind, close, socket } from "../../../ffi/libc.ts";
import type { UnixAddress } from "../../../src/address.ts";
import { connect } from "../../../src/connect.ts";
import { VsockError } from "../../../src/error.ts";
import { openHybrid } from "../../../src/hybrid/transport.ts";
import { createVmm } from "../../../src/hybrid/vmm.ts";
import { openUnix } from "../../../src/kernel/tcp_unix.ts";
import { UNIX } from "../../../src/kernel/family_unix.ts";
import { openKernelSocket } from "../../../src/kernel/open.ts";
import { listen } from "../../../src/listen.ts";
import type { Listener } from "../../../src/listener.ts";
import { FaultyLibc } from "../../helpers/faulty_libc.ts";
import { TempFolder } from "../../helpers/temp_folder.ts";

/** Leaves a socket behind that nobody has open, as a process that was killed does. */
function leaveDead(path: string): void {
  using dead = openKernelSocket(UNIX, "stream");
  dead.bind({ path });
}

function refusesToListen(path: string): void {
  const error = assertThrows(() => listen({ path, port: 1 }), VsockError);
  assertEquals([error.op, error.code], ["bind", "EADDRINUSE"]);
}

test("listen() makes a socket for its user alone, unless told otherwise", () => {
  using folder = new TempFolder();
  const path = folder.path("vm");
  using _vmm = createVmm(path);
  using _one = listen({ path, port: 1 });
  using _two = listen({ cid: 2, port: 2 }, { transport: openHybrid(path, { mode: 0o660 }) });
  const mode = (of: string): number => lstatSync(of).mode & 0o777;
  assertEquals([mode(path), mode(`${path}_1`), mode(`${path}_2`)], [0o600, 0o600, 0o660]);
});

test("listen() replaces a socket that is dead", async () => {
  using folder = new TempFolder();
  const path = folder.path("vm");
  leaveDead(`${path}_1`);
  using listener = listen({ path, port: 1 });
  using _near = await connect({ path: `${path}_1` });
  (await listener.accept()).close();
  leaveDead(path);
  using _vmm = createVmm(path);
});

test("listen() leaves nothing else in place of a dead socket, nor a descriptor", () => {
  using folder = new TempFolder();
  const path = folder.path("s");
  leaveDead(path);
  using libc = new FaultyLibc(() => undefined);
  const listener = listen({ path });
  assertEquals(readdirSync(dirname(path)), ["s"]);
  listener.close();
  assertEquals([...libc.open], []);
});

test("listen() leaves no socket that it could not give its mode", () => {
  using folder = new TempFolder();
  const path = folder.path("vm");
  const fs = process.getBuiltinModule("node:fs");
  const { chmodSync } = fs;
  fs.chmodSync = (): never => {
    throw new Error("no room for a mode");
  };
  try {
    assertThrows(() => listen({ path, port: 1 }), Error, "no room for a mode");
  } finally {
    fs.chmodSync = chmodSync;
  }
  assertEquals(readdirSync(dirname(path)), []);
});

test("listen() leaves what lives, and is not noticed by it", () => {
  using folder = new TempFolder();
  const path = folder.path("vm");
  using other = listen({ path: `${path}_1` });
  refusesToListen(path);
  assertEquals(other.socket.accept(), undefined);
  using bound = openUnix().socket("stream");
  bound.bind({ path: folder.path("bound_1") });
  refusesToListen(folder.path("bound"));
  using messages = openUnix().socket("seqpacket");
  messages.bind({ path: folder.path("messages_1") });
  refusesToListen(folder.path("messages"));
  const datagrams = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC); // as a daemon for logs has one
  bind(datagrams, encodeSockaddrUn(folder.path("datagrams_1")));
  refusesToListen(folder.path("datagrams"));
  close(datagrams);
});

test("listen() leaves a file that is no socket", () => {
  using folder = new TempFolder();
  const path = folder.path("vm");
  writeFileSync(`${path}_1`, "data");
  refusesToListen(path);
  assert(lstatSync(`${path}_1`).isFile());
});

test("close() unlinks the path, unless it is somebody else's by now", () => {
  using folder = new TempFolder();
  const path = folder.path("vm");
  const first = listen({ path, port: 1 });
  first.close();
  assertEquals(existsSync(`${path}_1`), false);
  const second = listen({ path, port: 1 });
  renameSync(`${path}_1`, folder.path("moved"));
  using _third = listen({ path, port: 1 });
  second.close();
  assert(existsSync(`${path}_1`));
  const vmm = createVmm(path);
  vmm.close();
  vmm.close();
  assertEquals(existsSync(path), false);
});

function knowsBirths(): boolean {
  using folder = new TempFolder();
  return lstatSync(folder.path("."), { bigint: true }).birthtimeNs !== 0n;
}

test("close() unlinks a path that was touched", {
  skip: !knowsBirths() && "its file system does not know when a file was made",
}, () => {
  using folder = new TempFolder();
  const path = folder.path("touched");
  const listener = listen({ path });
  utimesSync(path, 1, 1);
  listener.close();
  assertEquals(existsSync(path), false);
});

test("close() of an accepted connection leaves the path", async () => {
  using folder = new TempFolder();
  const path = folder.path("vm");
  using listener = listen({ path, port: 1 });
  using _near = await connect({ path: `${path}_1` });
  (await listener.accept()).close();
  assert(existsSync(`${path}_1`));
});

test("listen() takes abstract names, which need no cleaning up", async () => {
  const path = `\0vsockit-${crypto.randomUUID()}`;
  using vmm = createVmm(path);
  using listener = listen({ path, port: 1 });
  refusesToListen(path);
  using _near = await connect({ cid: 2, port: 1 }, { transport: vmm.guest });
  (await listener.accept()).close();
});

test("listen() leaves what has taken the place of a dead socket meanwhile", async () => {
  using folder = new TempFolder();
  const path = folder.path("vm");
  leaveDead(`${path}_1`);
  const { birthtimeMs } = lstatSync(`${path}_1`);
  while (Date.now() < birthtimeMs + 20); // the same inode may come again
  const fs = process.getBuiltinModule("node:fs");
  const { renameSync } = fs;
  let other: Listener<UnixAddress> | undefined;
  fs.renameSync = (from, to): void => {
    if (from === to) return; // asks for permission
    fs.unlinkSync(from);
    other = listen({ path: `${path}_1` });
    renameSync(from, to);
  };
  try {
    refusesToListen(path);
  } finally {
    fs.renameSync = renameSync;
  }
  using _near = await connect({ path: `${path}_1` });
  (await other!.accept()).close();
  other!.close();
  assertEquals(readdirSync(dirname(path)), []);
});

test("listen() takes the place of a dead socket that another process removes meanwhile", () => {
  using folder = new TempFolder();
  const path = folder.path("s");
  leaveDead(path);
  const fs = process.getBuiltinModule("node:fs");
  const { renameSync } = fs;
  fs.renameSync = (from, to): void => {
    fs.unlinkSync(from);
    renameSync(from, to);
  };
  try {
    using _listener = listen({ path });
    assertEquals(readdirSync(dirname(path)), ["s"]);
  } finally {
    fs.renameSync = renameSync;
  }
});

test("listen() says what is to be done where a dead socket may not be moved", () => {
  using folder = new TempFolder();
  const path = folder.path("vm");
  leaveDead(`${path}_1`);
  leaveDead(path);
  const fs = process.getBuiltinModule("node:fs");
  const { renameSync } = fs;
  fs.renameSync = (): never => {
    throw Object.assign(new Error("permission denied"), { code: "EACCES", errno: -13 });
  };
  try {
    for (const address of [{ path, port: 1 }, { path }]) {
      const { code, hint } = assertThrows(() => listen(address), VsockError);
      assertEquals([code, hint?.includes("may not write to that folder")], ["EACCES", true]);
    }
  } finally {
    fs.renameSync = renameSync;
  }
});
