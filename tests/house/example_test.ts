import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { kill } from "node:process";
import { test } from "node:test";
import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { connect } from "../../src/connect.ts";
import { Machine } from "../device/machine.ts";
import { RUNTIMES } from "../helpers/runtime.ts";
import { until } from "../helpers/until.ts";
import { TempFolder } from "../helpers/temp_folder.ts";
import { run, runSoon } from "./command.ts";
import { codeBlocks, read } from "./source.ts";
import { installRuntimes, ROOT, scriptCommand } from "./toolchain.ts";

const { deno, bun, node } = installRuntimes();
const EXAMPLE = "examples/echo.ts";
const [SHOWN = ""] = codeBlocks("README.md", "text");

test("README.md begins with examples/echo.ts", () => {
  assertEquals(codeBlocks("README.md", "ts")[0], read(EXAMPLE));
});

/** Of a Unix socket that listens, as the kernel shows its flags. */
const SO_ACCEPTCON = "00010000";

/** Waits until somebody listens at `path`, which is there a moment before. */
function heard(path: string): Promise<void> {
  return until(() =>
    readFileSync("/proc/net/unix", "utf8").split("\n")
      .some((line) => line.endsWith(` ${path}`) && line.includes(` ${SO_ACCEPTCON} `))
  );
}

const LIMIT = { timeout: 60_000 };
const HASH = "08fc7f5f33ae0938ae102cce12411f3cb1771056331da72a62fddaeedfa633cb\n";

for (const name of RUNTIMES) {
  const loopback = scriptCommand(name); // which needs no permission
  const all = scriptCommand(name, "-A");

  test(`examples/echo.ts prints on ${name} what README.md shows`, { timeout: 60_000 }, () => {
    assertEquals(run(ROOT, [...loopback, EXAMPLE]).stdout, SHOWN);
  });

  test(`examples/hash_flow.ts prints on ${name} the hash of its flow`, { timeout: 60_000 }, () => {
    assertEquals(run(ROOT, [...loopback, "examples/hash_flow.ts"]).stdout, HASH);
  });

  test(`examples/rpc.ts answers on ${name} in the order that is ready`, { timeout: 60_000 }, () => {
    const shown = "2 0 ms later\n1 200 ms later\n0 400 ms later\n";
    assertEquals(run(ROOT, [...loopback, "examples/rpc.ts"]).stdout, shown);
  });

  test(`examples/http.ts serves and fetches on ${name}`, { timeout: 60_000 }, () => {
    const shown = `200 {"pathname":"/about","cid":1,"text":"hello"}\n200 one two three\n`;
    assertEquals(run(ROOT, [...loopback, "examples/http.ts"]).stdout, shown);
  });

  test(`examples/firecracker.ts asks its agent on ${name}`, { timeout: 60_000 }, () => {
    const { stdout } = run(ROOT, [...all, "examples/firecracker.ts"]);
    assertEquals(stdout, "host\n");
  });

  test(`examples/copy_file.ts copies on ${name}, over AF_UNIX`, { timeout: 60_000 }, async () => {
    using folder = new TempFolder();
    const [from, to] = [folder.path("from"), folder.path("to")];
    writeFileSync(from, Uint8Array.from({ length: 3_000_001 }, (_, index) => index * 7 >> 3));
    const address = `unix:${folder.path("socket")}`;
    const flags = ["--allow-ffi", "--allow-read", "--allow-write"];
    const start = [...scriptCommand(name, ...flags), "examples/copy_file.ts"];
    const receiving = runSoon(ROOT, [...start, "receive", address, to]);
    await heard(folder.path("socket"));
    run(ROOT, [...start, "send", address, from]);
    assertEquals(await receiving, "received 3000001 bytes\n");
    assertEquals(readFileSync(to).equals(readFileSync(from)), true);
  });

  test(`examples/copy_file.ts fails on ${name} at both ends of a full disk`, LIMIT, async () => {
    using folder = new TempFolder();
    const socket = folder.path("socket");
    const start = [...all, "examples/copy_file.ts"];
    const receiving = runSoon(ROOT, [...start, "receive", `unix:${socket}`, "/dev/full"]);
    const failing = assertRejects(() => receiving, Error, "ENOSPC");
    await heard(socket);
    const sending = runSoon(ROOT, [...start, "send", `unix:${socket}`, EXAMPLE]);
    await assertRejects(() => sending, Error, "stored were 0 bytes");
    await failing;
  });

  test(`examples/guest_device.ts hashes on ${name} what its guest sends`, LIMIT, async () => {
    using folder = new TempFolder();
    const socketPath = folder.path("vhost");
    const [file = "", ...args] = [...all, "examples/guest_device.ts", socketPath, "7"];
    const child = spawn(file, args, { cwd: ROOT, stdio: ["ignore", "pipe", "inherit"] });
    const ended = new Promise((resolve) => child.once("close", resolve));
    let shown = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => shown += text);
    try {
      await heard(socketPath);
      using machine = await Machine.start({ socketPath });
      using conn = await connect({ cid: 2, port: 1024 }, { transport: machine.transport });
      const flow = Uint8Array.from({ length: 3_000_001 }, (_, index) => index * 7 >> 3);
      await conn.write(flow);
      await conn.closeWrite();
      const hex = createHash("sha256").update(flow).digest("hex");
      assertEquals(await new Response(conn.readable).text(), `${hex}\n`);
      kill(child.pid!, "SIGTERM");
      await ended;
    } finally {
      child.kill("SIGKILL");
    }
    const counts = /^qemu-system[^]*path=.*vhost[^]*\n(\d+) of 3000001 bytes were not copied\n$/;
    assertMatch(shown, counts);
    assertEquals(Number(counts.exec(shown)?.[1]) > 2_000_000, true, shown);
    assertEquals(existsSync(socketPath), false);
  });
}

const TESTERS = {
  deno: [deno, "test", "--no-prompt", "--no-check"],
  bun: [bun, "test"],
  node: [node, "--import", "./tests/std/node.ts", "--test"],
};
for (const [name, command] of Object.entries(TESTERS)) {
  test(`examples/own_protocol_test.ts passes on ${name}`, { timeout: 60_000 }, () => {
    run(ROOT, [...command, "./examples/own_protocol_test.ts"]);
  });
}

test("examples/echo.ts runs as an executable in an empty folder", { timeout: 300_000 }, () => {
  using build = new TempFolder();
  using folder = new TempFolder();
  const executable = build.path("echo");
  run(ROOT, [bun, "build", "--compile", EXAMPLE, "--outfile", executable]);
  assertEquals(run(folder.path(), [executable]).stdout, SHOWN);
});
