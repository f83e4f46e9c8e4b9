import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { SYS_io_destroy } from "../../../ffi/abi/aio_abi.ts";
import {
  cureOf,
  FfiUnavailableError,
  LIBC_NAME,
  LIBC_PATHS,
  type Library,
  MEMORY,
} from "../../../ffi/backend.ts";
import { EFD_CLOEXEC } from "../../../ffi/abi/eventfd.ts";
import { ERRNO } from "../../../ffi/errno.ts";
import { backend as none } from "../../../ffi/backend_none.ts";
import * as libc from "../../../ffi/libc.ts";
import { PollFds } from "../../../ffi/abi/poll.ts";
import { MappedRegion } from "../../../ffi/memory.ts";
import { forceBackend, library } from "../../../ffi/select.ts";
import { LIBC, type Libc } from "../../../ffi/symbols.ts";
import { isTooOld, NEEDED } from "../../../ffi/versions.ts";
import { toWide } from "../../../ffi/wide.ts";
import { runChild } from "../../helpers/child.ts";
import { RUNTIME } from "../../helpers/runtime.ts";
import { CLOSED } from "../../helpers/sys_error.ts";

const CHILD = new URL("./backend_child.ts", import.meta.url);

test("forceBackend() makes every call throw an error that names runtime, library and flag", () => {
  forceBackend("none");
  try {
    const calls = [
      (): unknown => libc.socket(1, 1),
      (): unknown => libc.close(0),
      (): unknown => libc.poll(new PollFds(1), 0),
      (): unknown => libc.sysconf(30),
      (): unknown => new MappedRegion(4_096),
    ];
    for (const call of calls) {
      const error = assertThrows(call, FfiUnavailableError);
      assertEquals([error.name, error.runtime], ["FfiUnavailableError", RUNTIME]);
      assertEquals(error.library, LIBC_NAME);
      const flags = { deno: "--allow-ffi", node: "--experimental-ffi" };
      assertEquals(error.flag, flags[RUNTIME as keyof typeof flags] ?? "");
      assert(error.message.includes(`${error.library} on ${RUNTIME}`));
      assert(error.message.includes(error.flag));
    }
  } finally {
    forceBackend(undefined);
  }
  assertEquals(libc.sysconf(30) % 4_096, 0);
});

test("forceBackend() refuses arguments before it says that there is no FFI", () => {
  forceBackend("none");
  try {
    assertThrows(() => libc.close(-1), RangeError);
    assertThrows(() => new MappedRegion(0), RangeError);
  } finally {
    forceBackend(undefined);
  }
});

test("backend_none opens nothing", () => {
  assertEquals(none.runtime, "none");
  assertThrows(() => none.open({}), FfiUnavailableError);
});

test("Library.pointerOf() is the address of the first byte, also of a small view", () => {
  const { bufferAt, pointerOf } = library();
  for (const size of [8, 64, 65, 4_096]) {
    const bytes = Uint8Array.from({ length: size }, (_, index) => index % 251);
    const address = pointerOf(bytes);
    assertEquals(pointerOf(bytes.subarray(3)), address + 3);
    assertEquals(pointerOf(new DataView(bytes.buffer, 5)), address + 5);
    const seen = new Uint8Array(bufferAt(address, size));
    assertEquals([...seen], [...bytes]);
    bytes[size - 1] = 77;
    assertEquals(seen[size - 1], 77);
    seen.buffer.transfer(0);
  }
});

/** Where the runtime has its `dlopen()`. */
function ffiOfRuntime(): { dlopen(name: string, symbols: object): object } {
  if (RUNTIME === "deno") return (globalThis as unknown as { Deno: never }).Deno;
  return process.getBuiltinModule(`${RUNTIME}:ffi`) as never;
}

test("Library.errno() asks for no address after a call: a collection of garbage could be due", async () => {
  const { backend } = await import(`../../../ffi/backend_${RUNTIME}.ts`);
  const ffi = ffiOfRuntime();
  const { dlopen } = ffi;
  const noSocket = libc.eventfd(0, EFD_CLOEXEC);
  let asked = 0;
  ffi.dlopen = (name, symbols) => {
    const opened = dlopen(name, symbols) as Record<string, Record<string, () => unknown>>;
    const key = RUNTIME === "node" ? "functions" : "symbols";
    const { __errno_location: location } = opened[key]!;
    return { [key]: { ...opened[key], __errno_location: () => (asked++, location!()) } };
  };
  try {
    const { calls, errno } = backend.open(LIBC) as Library<Libc>;
    for (const [fd, code] of [[CLOSED, ERRNO.EBADF], [noSocket, ERRNO.ENOTSOCK]] as const) {
      assertEquals([calls.listen(fd, 1), errno()], [-1, code]);
    }
    assertEquals(asked, 1);
  } finally {
    ffi.dlopen = dlopen;
    libc.close(noSocket);
  }
});

test("Library.calls.syscall() makes no BigInt of a result: it is garbage before errno is read", () => {
  const { calls, errno, wide } = library();
  const none = wide(0);
  const result = calls.syscall(wide(SYS_io_destroy), none, none, none, none, none, none);
  assertEquals([result, errno()], [-1, ERRNO.EINVAL]);
});

test("Library.wide() carries every safe integer exactly", () => {
  const { wide } = library();
  const values = [0, 1, 60, 61, 62, 122, 2 ** 31, 2 ** 32 + 1, 2 ** 46, Number.MAX_SAFE_INTEGER];
  for (let round = 0; round < 2; round++) {
    for (const value of values) {
      assertEquals(BigInt(wide(value)), BigInt(value));
      assertEquals(BigInt(toWide(value)), BigInt(value));
      assertEquals(BigInt(toWide(-value)), BigInt(-value));
    }
  }
  assertThrows(() => toWide(0.5), RangeError);
});

test("The library opens no FFI when it is imported", { timeout: 60_000 }, async () => {
  const denied: Readonly<Record<string, readonly string[]>> = {
    deno: ["--allow-read"],
    node: ["--permission", "--allow-fs-read=*"],
    bun: [],
  };
  const printed = JSON.parse(await runChild(CHILD, [], denied[RUNTIME]));
  const flag = RUNTIME === "bun" ? undefined : "--allow-ffi";
  assertEquals(printed, {
    imported: true,
    pipe: flag ?? "works",
    mapping: flag ?? "works",
  });
});

test("Node without FFI names the flag that gives it", {
  skip: RUNTIME === "node" ? false : "Node's flag: run the suite on Node too",
  timeout: 60_000,
}, async () => {
  const printed = JSON.parse(await runChild(CHILD, [], ["--no-experimental-ffi"]));
  const flag = "--experimental-ffi";
  assertEquals(printed, { imported: true, pipe: flag, mapping: flag });
});

test("library() refuses a runtime that is too old, and says which would do", () => {
  const { versions } = process;
  const old = [{ deno: "2.8.3", node: "24.2.0" }, { bun: "1.3.14", node: "24.3.0" }, {
    node: "26.0.0",
  }];
  try {
    forceBackend(undefined); // which forgets the libc that is open
    for (const value of old) {
      Object.defineProperty(process, "versions", { value, configurable: true });
      const [[name, version] = []] = Object.entries(value);
      const error = assertThrows(library, FfiUnavailableError);
      assertEquals([error.runtime, error.flag], [`${name} ${version}`, ""]);
      const told = `must use ${NEEDED}: current value is ${name} ${version}`;
      assertEquals(error.message, `Cannot call ${LIBC_NAME} on ${name} ${version}: ${told}`);
    }
  } finally {
    Object.defineProperty(process, "versions", { value: versions, configurable: true });
  }
  assertEquals(libc.sysconf(30) % 4_096, 0);
});

test("isTooOld() goes by the numbers of major and minor", () => {
  const versions = ["2.9.0", "2.10.0", "3.0.1", "2.9.0-rc.1+1d3f5a7", "1.46.3", "2.8.9"];
  const old = versions.map((version) => isTooOld({ name: "deno", version }));
  assertEquals(old, [false, false, false, false, true, true]);
});

test("An FFI that finds no such libc is told what it runs on, not the flag it has", async () => {
  const { backend } = await import(`../../../ffi/backend_${RUNTIME}.ts`);
  const table = { ...LIBC, no_such_call: { args: [], result: "i32" } };
  const error = assertThrows(() => backend.open(table), FfiUnavailableError);
  assertEquals([error.runtime, error.flag], [RUNTIME, ""]);
  assertMatch(error.message, /must use Linux, with glibc or musl: .*no_such_call/);
});

const paths = LIBC_PATHS.filter((path) => existsSync(path));

test("--allow-ffi=<path of libc> is enough for calls, not for mappings", {
  skip: RUNTIME !== "deno"
    ? "Deno's permission: run the suite on Deno too"
    : paths.length === 0 && "libc is at none of the known paths: add its own to LIBC_PATHS",
  timeout: 60_000,
}, async () => {
  const printed = JSON.parse(await runChild(CHILD, [], [`--allow-ffi=${paths[0]}`]));
  assertEquals(printed, { imported: true, pipe: "works", mapping: "--allow-ffi" });
  const cure = "run with --allow-ffi, without a path";
  assertEquals(cureOf({ library: MEMORY, flag: "--allow-ffi", cause: undefined }), cure);
});

test("--allow-ffi=<path of libc> has a receiver copy, and lose nothing", {
  skip: RUNTIME !== "deno"
    ? "Deno's permission: run the suite on Deno too"
    : paths.length === 0 && "libc is at none of the known paths: add its own to LIBC_PATHS",
  timeout: 60_000,
}, async () => {
  const child = new URL("../receive/narrow_child.ts", import.meta.url);
  const flags = [`--allow-ffi=${paths[0]}`, "--allow-net=127.0.0.1"];
  const printed = JSON.parse(await runChild(child, [], flags));
  assertEquals(printed, { bytes: 100_000, mapped: false });
});

test("--allow-ffi=<path of libc> has messages of VM sockets go without an io_uring", {
  skip: RUNTIME !== "deno"
    ? "Deno's permission: run the suite on Deno too"
    : paths.length === 0 && "libc is at none of the known paths: add its own to LIBC_PATHS",
  timeout: 60_000,
}, async () => {
  const child = new URL("../send/narrow_child.ts", import.meta.url);
  const printed = await runChild(child, [], [`--allow-ffi=${paths[0]}`]);
  assertEquals(JSON.parse(printed), [100, 100]);
});

test("bun wants its JIT, and says so", {
  skip: RUNTIME !== "bun" && "Bun alone has an FFI that needs it: run it on Bun",
}, () => {
  const script = "await import(process.argv[1]).then(({ library }) => library())";
  const select = fileURLToPath(new URL("../../../ffi/select.ts", import.meta.url));
  const { stderr } = spawnSync(process.execPath, ["-e", script, select], {
    env: { ...process.env, BUN_JSC_useJIT: "0" },
    encoding: "utf8",
  });
  assertMatch(stderr, /must have its JIT, and no sandbox that denies memory to execute/);
});
