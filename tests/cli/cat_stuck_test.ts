/** `vsockit cat` where nobody reads its standard output, which stays open. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, constants, openSync } from "node:fs";
import { createConnection, type Socket } from "node:net";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { assertEquals } from "@std/assert";
import { ioctl } from "../../ffi/libc.ts";
import { RUNTIME } from "../helpers/runtime.ts";
import { TempFolder } from "../helpers/temp_folder.ts";
import { Running, VSOCKIT } from "./process.ts";

const WAIT = { timeout: 60_000 };
/** More than sockets and pipes hold: ends of lines, of each of which a terminal makes two bytes. */
const FLOOD = new Uint8Array(4 * 1_048_576).fill(10);
const PIECE = 4_096;
/** ioctl(2): locks the other end of a terminal or not, and the number of that. */
const [TIOCSPTLCK, TIOCGPTN] = [0x40045431, 0x80045430];

/** A terminal, and the other end of it. */
class Terminal implements Disposable {
  readonly fd: number;
  readonly #master: number;

  constructor() {
    const flags = constants.O_RDWR | constants.O_NOCTTY;
    this.#master = openSync("/dev/ptmx", flags);
    const number = new Int32Array(1);
    ioctl(this.#master, TIOCSPTLCK, new Uint8Array(number.buffer));
    ioctl(this.#master, TIOCGPTN, new Uint8Array(number.buffer));
    this.fd = openSync(`/dev/pts/${number[0]}`, flags);
  }

  [Symbol.dispose](): void {
    closeSync(this.fd);
    closeSync(this.#master);
  }
}

/** Sends to `path` until nothing is taken any more for a while. */
async function stuff(path: string): Promise<Socket> {
  const client = createConnection(path);
  client.on("error", () => {}); // its peer is going to be ended
  let taken = 0;
  for (let at = 0; at < FLOOD.length; at += PIECE) {
    client.write(FLOOD.subarray(at, at + PIECE), () => taken++);
  }
  for (let before = -1, same = 0; same < 10; before = taken) {
    same = taken === before && taken > 0 ? same + 1 : 0;
    await sleep(50);
  }
  return client;
}

for (const flags of ["-lv", "-lkv"]) {
  test(`cat ${flags} ends on SIGTERM while its output is full`, WAIT, async () => {
    using folder = new TempFolder();
    const path = folder.path("s");
    using server = new Running("cat", flags, `unix:${path}`);
    server.feed("");
    server.child.stdout!.pause();
    await server.says(/^listening on/m);
    const client = await stuff(path);
    const exited = once(server.child, "exit");
    server.child.kill("SIGTERM");
    await exited;
    server.child.stdout!.resume();
    assertEquals(await server.ended, 143);
    client.destroy();
  });
}

test("cat --timeout fails while its output is full", WAIT, async () => {
  using folder = new TempFolder();
  const path = folder.path("s");
  using server = new Running("cat", "-lv", "-w", "1", `unix:${path}`);
  server.child.stdout!.pause();
  await server.says(/^listening on/m);
  const client = await stuff(path);
  await server.says(/Nothing moved for 1 s/);
  server.child.stdout!.resume();
  assertEquals(await server.ended, 1);
  client.destroy();
});

test("cat ends on SIGTERM while the terminal that it writes to is full", WAIT, async () => {
  using folder = new TempFolder();
  using terminal = new Terminal();
  const path = folder.path("s");
  const [command = "", ...before] = VSOCKIT;
  const args = [...before, "cat", "-lv", `unix:${path}`];
  const server = spawn(command, args, { stdio: ["ignore", terminal.fd, "pipe"] });
  const exited = once(server, "exit");
  try {
    await once(server.stderr!, "data"); // it listens
    const client = await stuff(path);
    server.kill("SIGTERM");
    const [code, signal] = await exited;
    assertEquals(code ?? signal, RUNTIME === "deno" ? "SIGTERM" : 143); // as Deno tells of 143
    client.destroy();
  } finally {
    server.kill("SIGKILL");
  }
});
