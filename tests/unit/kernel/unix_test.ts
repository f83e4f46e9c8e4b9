import { execFileSync } from "node:child_process";
import { existsSync, lstatSync, mkdirSync, renameSync, writeFileSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { connect } from "../../../src/connect.ts";
import { VsockError } from "../../../src/error.ts";
import { UNIX } from "../../../src/kernel/family_unix.ts";
import { openKernelSocket } from "../../../src/kernel/open.ts";
import { listen } from "../../../src/listen.ts";
import { runChild } from "../../helpers/child.ts";
import { failOnce } from "../../helpers/faulty_libc.ts";
import { NO_PERMISSIONS, RUNTIME } from "../../helpers/runtime.ts";
import { TempFolder } from "../../helpers/temp_folder.ts";

const limit = { timeout: 60_000 };
const ROOT = new URL("../../..", import.meta.url).pathname;
const CHUNK = new Uint8Array(65_536);

/** Leaves a socket behind that nobody has open, as a process that was killed does. */
function leaveDead(path: string): void {
  using dead = openKernelSocket(UNIX, "stream");
  dead.bind({ path });
}

function refusesToListen(path: string): void {
  const error = assertThrows(() => listen({ path }), VsockError);
  assertEquals([error.op, error.code], ["bind", "EADDRINUSE"]);
}

test("listen() on a path replaces a socket that is dead, and leaves what lives", async () => {
  using folder = new TempFolder();
  const path = folder.path("app");
  leaveDead(path);
  using listener = listen({ path });
  refusesToListen(path);
  using _near = await connect({ path });
  (await listener.accept()).close();
  refusesToListen(path); // closing what was accepted changes nothing
  const file = folder.path("file");
  writeFileSync(file, "data");
  refusesToListen(file);
  assert(lstatSync(file).isFile());
});

test("close() of a listener on a path unlinks it, unless it is somebody else's by now", () => {
  using folder = new TempFolder();
  const path = folder.path("app");
  const first = listen({ path }, { type: "seqpacket" });
  first.close();
  assertEquals(existsSync(path), false);
  const second = listen({ path });
  renameSync(path, folder.path("moved"));
  using _third = listen({ path });
  second.close();
  second.close();
  assert(existsSync(path));
});

test("listen() on a path that cannot be says what bind(2) says", () => {
  using folder = new TempFolder();
  writeFileSync(folder.path("file"), "data");
  const error = assertThrows(() => listen({ path: folder.path("file/app") }), VsockError);
  assertEquals([error.op, error.code], ["bind", "ENOTDIR"]);
});

test("listen() on a path without Deno's permission leaves it where it is", {
  ...limit,
  skip: NO_PERMISSIONS,
}, () => {
  using folder = new TempFolder();
  const path = folder.path("app");
  const { href } = new URL("../../../mod.ts", import.meta.url);
  const code = `import { listen } from "${href}";
    Deno.permissions.revokeSync({ name: "read" });
    listen({ path: "${path}" }).close();`;
  execFileSync(process.execPath, ["eval", "--no-check", code]);
  assert(lstatSync(path).isSocket());
});

const FFI_ALONE = {
  deno: ["--allow-ffi"],
  node: ["--permission", "--allow-ffi", "--allow-worker", `--allow-fs-read=${ROOT}`],
};

test("A runtime that permits no files and no names says which flags those take", {
  ...limit,
  skip: RUNTIME === "bun" ? "bun has no permissions: run it on Deno or Node" : false,
}, async () => {
  using folder = new TempFolder();
  const path = folder.path("app");
  const child = new URL("./permission_child.ts", import.meta.url);
  const printed = await runChild(child, [path], FFI_ALONE[RUNTIME as "deno" | "node"]);
  assert(lstatSync(path).isSocket());
  const files = RUNTIME === "deno" ? "allow" : "allow-fs";
  const gives = `a dead one gives way with --${files}-read and --${files}-write of its folder`;
  const net = RUNTIME === "deno" ? "--allow-net=localhost" : "--allow-net";
  assertEquals(
    printed,
    `EADDRINUSE: somebody listens there, or it is no socket; ${gives}\n` +
      `EADDRNOTAVAIL: to look up a name takes ${net}\n`,
  );
});

const NO_WRITES = {
  deno: ["--allow-ffi", "--allow-read"],
  node: ["--permission", "--allow-ffi", "--allow-worker", "--allow-fs-read=/"],
};

test("A listener for whose mode the runtime permits no writes leaves nothing at its path", {
  ...limit,
  skip: RUNTIME === "bun" ? "bun has no permissions: run it on Deno or Node" : false,
}, async () => {
  using folder = new TempFolder();
  const child = new URL("./no_writes_child.ts", import.meta.url);
  const path = folder.path("vm");
  const printed = await runChild(child, [path], NO_WRITES[RUNTIME as "deno" | "node"]);
  assertMatch(printed, RUNTIME === "deno" ? /^NotCapable.*--allow-write/ : /^Error.*restricted/);
  assertEquals(existsSync(`${path}_1024`), false);
});

test("closeRead() of AF_UNIX ends a write() of the peer that waits for room", limit, async () => {
  using folder = new TempFolder();
  const path = folder.path("app");
  using listener = listen({ path });
  using near = await connect({ path });
  using far = await listener.accept();
  const writing = (async () => {
    for (;;) await near.write(CHUNK);
  })();
  writing.catch(() => {});
  for (let before = -1; before !== near.bytesWritten;) {
    before = near.bytesWritten;
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await far.closeRead();
  const error = await assertRejects(() => writing, VsockError);
  assertEquals([error.op, error.code], ["send", "EPIPE"]);
  assertEquals(await far.read(new Uint8Array(8)), null);
});

test("what goes wrong on a path says what can be done", async () => {
  using folder = new TempFolder();
  const dead = folder.path("dead");
  leaveDead(dead);
  const missing = folder.path("missing");
  const wrongs: readonly [string, RegExp][] = [
    [dead, /ECONNREFUSED \(errno 111\): nobody listens there now/],
    [missing, /ENOENT \(errno 2\): nobody listens there: there is no such path$/],
  ];
  for (const [path, message] of wrongs) {
    const error = await assertRejects(() => connect({ path }), VsockError);
    assertMatch(error.message, message);
  }
  const nowhere = assertThrows(() => listen({ path: folder.path("no/app") }), VsockError);
  assertMatch(nowhere.message, /ENOENT \(errno 2\): there is no such folder$/);
  assertThrows(() => listen({ path: "" }), TypeError, 'current value is ""');
});

test("an error of an accepted connection, whose peer has no path, has no hole in it", async () => {
  using folder = new TempFolder();
  const path = folder.path("app");
  using listener = listen({ path });
  using _near = await connect({ path });
  const far = await listener.accept();
  far.close();
  const error = await assertRejects(() => far.read(new Uint8Array(1)), VsockError);
  assertMatch(error.message, /^Cannot recv: EBADF/);
});

test("read() into nothing gives 0 at once", limit, async () => {
  using folder = new TempFolder();
  const path = folder.path("app");
  using _listener = listen({ path });
  using near = await connect({ path });
  assertEquals(await near.read(new Uint8Array(0)), 0);
});

test("a receiver of AF_UNIX copies, unless it is told to map", async () => {
  using folder = new TempFolder();
  const path = folder.path("app");
  using listener = listen({ path });
  using near = await connect({ path });
  using far = await listener.accept();
  const error = assertThrows(() => near.receiver({ mode: "map" }), VsockError);
  assertEquals(error.code, "EOPNOTSUPP");
  using receiver = near.receiver();
  assertEquals(receiver.mapped, false);
  await far.write(Uint8Array.of(1, 2, 3));
  using batch = await receiver.receive();
  assertEquals(Array.from(batch ?? [], ({ data }) => Array.from(data)), [[1, 2, 3]]);
});

test("two unref'd connections that answer each other for ever do not keep the process", {
  timeout: 60_000,
}, async () => {
  using folder = new TempFolder();
  assertEquals(
    await runChild(new URL("./unix_unref_child.ts", import.meta.url), [folder.path("app")]),
    "",
  );
});

test(
  "messages of AF_UNIX without bytes are no end, though the peer has closed",
  limit,
  async () => {
    using folder = new TempFolder();
    const path = folder.path("s");
    using listener = listen({ path }, { type: "seqpacket" });
    for (const receives of [false, true]) {
      const near = await connect({ path }, { type: "seqpacket" });
      using far = await listener.accept();
      const sent = ["one", "", "", "two", "x".repeat(10_000)];
      for (const text of sent) await near.write(new TextEncoder().encode(text));
      near.close();
      const got: string[] = [];
      if (receives) {
        for await (const batch of far.receiver({ bufferBytes: 4096 })) {
          for (const { data } of batch) got.push(new TextDecoder().decode(data));
        }
      } else {
        for (let next = await far.receiveMessage(); next; next = await far.receiveMessage()) {
          got.push(new TextDecoder().decode(next.data));
        }
      }
      assertEquals(got, receives ? sent.filter((text) => text !== "") : sent);
    }
  },
);

test("close() unlinks a path from wherever the process is, and never throws", limit, () => {
  using folder = new TempFolder();
  const home = process.cwd();
  const moved = folder.path("moved");
  mkdirSync(folder.path("there"));
  process.chdir(folder.path("there"));
  try {
    const listener = listen({ path: "relative" });
    const other = listen({ path: "other" });
    process.chdir(home);
    listener.close();
    assertEquals(existsSync(folder.path("there/relative")), false);
    renameSync(folder.path("there"), moved);
    writeFileSync(folder.path("there"), "");
    other.close();
  } finally {
    process.chdir(home);
  }
});

test("listen() on a path in a folder that is gone says what bind(2) says", () => {
  const home = process.cwd();
  {
    using folder = new TempFolder();
    process.chdir(folder.path("."));
  }
  try {
    const error = assertThrows(() => listen({ path: "relative" }), VsockError);
    assertEquals([error.op, error.code], ["bind", "ENOENT"]);
  } finally {
    process.chdir(home);
  }
});

test("Listener.addr has a path with each of its characters", () => {
  using folder = new TempFolder();
  const home = process.cwd();
  process.chdir(folder.path("."));
  try {
    for (const path of ["\ufeffmark", "é\u{1f600}", "\0\ufeff" + folder.path("abstract")]) {
      using listener = listen({ path });
      assertEquals(listener.addr.path, path);
    }
  } finally {
    process.chdir(home);
  }
});

test(
  "closeRead() of AF_UNIX throws away what is behind a message without bytes too",
  limit,
  async () => {
    using folder = new TempFolder();
    const path = folder.path("s");
    using listener = listen({ path }, { type: "seqpacket" });
    using near = await connect({ path }, { type: "seqpacket" });
    using far = await listener.accept();
    for (const length of [1, 0, 2]) await near.write(new Uint8Array(length));
    await far.closeRead();
    assertEquals(far.socket.recv(new Uint8Array(8), 0), 0);
  },
);

test("read() of no bytes leaves a message of AF_UNIX where it is", limit, async () => {
  using folder = new TempFolder();
  const path = folder.path("s");
  using listener = listen({ path }, { type: "seqpacket" });
  using near = await connect({ path }, { type: "seqpacket" });
  using far = await listener.accept();
  for (const length of [1, 2]) await near.write(new Uint8Array(length));
  assertEquals(await far.read(new Uint8Array(0)), 0);
  assertEquals((await far.receiveMessage())!.length, 1);
});

for (const way of ["stream", "stream, zero-copy", "seqpacket"] as const) {
  test(`read() gives a clean end after a write that lacked memory: ${way}`, limit, async () => {
    const type = way === "seqpacket" ? way : "stream";
    const zeroCopy = way === "stream, zero-copy";
    using folder = new TempFolder();
    const path = folder.path("s");
    using listener = listen({ path }, { type });
    using near = await connect({ path }, { type });
    using far = await listener.accept();
    await far.closeWrite(); // it reads on
    {
      using _full = failOnce("send", "ENOBUFS");
      await assertRejects(() => near.write(CHUNK, { zeroCopy }), VsockError, "ENOBUFS");
    }
    assertEquals(await near.write(Uint8Array.of(1), { zeroCopy }), 1);
    assertEquals(await far.read(new Uint8Array(8)), 1);
    assertEquals(await near.read(new Uint8Array(8)), null);
  });
}
