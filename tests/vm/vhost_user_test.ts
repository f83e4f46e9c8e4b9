/** The vsock device of the laboratory, with a backend that does no more than to say its CID. */
import { Buffer } from "node:buffer";
import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import { test } from "node:test";
import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { TempFolder } from "../helpers/temp_folder.ts";
import { ROOT } from "../house/toolchain.ts";
import { startGuest } from "./guest_process.ts";
import { Monitor } from "./monitor.ts";
import { FLAVOURS } from "./options.ts";

const LIMIT = { timeout: 300_000 };
const HEADER = 12;
const REPLY = 5;
const NEED_REPLY = 8;

/** Requests that have an answer of their own: VERSION_1 and PROTOCOL_FEATURES; CONFIG. */
const GET_FEATURES = 1;
const GET_PROTOCOL_FEATURES = 15;
const GET_VRING_BASE = 11;
const GET_CONFIG = 24;

/** What a backend without queues answers; `undefined` where QEMU waits for nothing. */
function answer(
  cid: number,
  request: number,
  flags: number,
  payload: Buffer,
): Buffer | undefined {
  if (request === GET_FEATURES) return u64((1n << 32n) | (1n << 30n));
  if (request === GET_PROTOCOL_FEATURES) return u64(1n << 9n);
  if (request === GET_VRING_BASE) return payload;
  if (request === GET_CONFIG) return Buffer.concat([payload.subarray(0, 12), u64(BigInt(cid))]);
  return (flags & NEED_REPLY) === 0 ? undefined : u64(0n);
}

function u64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(value);
  return bytes;
}

/** Answers all that comes; the descriptors beside it are lost, nobody looks at the queues. */
function serve(machine: Socket, cid: number): void {
  let rest = Buffer.alloc(0);
  machine.on("error", () => {}).on("data", (chunk: Buffer) => {
    rest = Buffer.concat([rest, chunk]);
    while (rest.length >= HEADER && rest.length >= HEADER + rest.readUInt32LE(8)) {
      const [request, flags] = [rest.readUInt32LE(0), rest.readUInt32LE(4)];
      const end = HEADER + rest.readUInt32LE(8);
      const payload = answer(cid, request, flags, rest.subarray(HEADER, end));
      rest = rest.subarray(end);
      if (payload === undefined) continue;
      const header = Buffer.alloc(HEADER);
      [request, REPLY, payload.length].forEach((word, index) =>
        header.writeUInt32LE(word, 4 * index)
      );
      machine.write(Buffer.concat([header, payload]));
    }
  });
}

/** A backend. */
class Backend implements Disposable {
  readonly #server: Server;
  readonly #machines: Set<Socket> = new Set();

  private constructor(cid: number) {
    this.#server = createServer((machine) => {
      this.#machines.add(machine);
      serve(machine, cid);
    });
  }

  /** Listens at `path`. */
  static async listen(path: string, cid: number): Promise<Backend> {
    const backend = new Backend(cid);
    backend.#server.listen(path);
    await once(backend.#server, "listening");
    return backend;
  }

  /** Goes away without a word. */
  [Symbol.dispose](): void {
    this.#server.close();
    for (const machine of this.#machines) machine.destroy();
  }
}

for (const flavour of FLAVOURS) {
  test(`vm --vhost-user gives a ${flavour} guest the CID of the backend`, LIMIT, async () => {
    using folder = new TempFolder();
    const vhostUser = folder.path("vsock,1");
    using _backend = await Backend.listen(vhostUser, 77);
    const script = `import { openVsock } from "${ROOT}mod.ts"; console.log(openVsock().localCid)`;
    const command = ["deno", "eval", "--no-check", script];
    await using guest = startGuest({ flavour, vhostUser, memoryMiB: 1024, cpus: 1, command });
    assertEquals(await guest.ended, { code: 0, stdout: "77\n", stderr: "" });
  });
}

test("Monitor.replug() gives the guest another backend where one has died", LIMIT, async () => {
  using folder = new TempFolder();
  const [first, second] = [folder.path("first"), folder.path("second")];
  await using monitor = await Monitor.listen(folder.path("monitor"));
  const script = `import { openVsock } from "${ROOT}mod.ts";
    for (let before; before !== 78; await new Promise((resolve) => setTimeout(resolve, 100))) {
      const cid = openVsock().localCid;
      if (cid !== before) console.log(before = cid);
    }`;
  const command = ["deno", "eval", "--no-check", script];
  const dying = await Backend.listen(first, 77);
  await using guest = startGuest({ vhostUser: first, monitor: monitor.path, command });
  await guest.says("77\n");
  dying[Symbol.dispose]();
  using _backend = await Backend.listen(second, 78);
  await assertRejects(() => monitor.execute("device_del", { id: "nobody" }), Error, "not found");
  await monitor.replug(second);
  const { code, stdout } = await guest.ended;
  assertEquals(code, 0);
  assertMatch(stdout, /^77\n([^]*\n)?78\n$/); // without a device in between, where it is seen
  await assertRejects(() => monitor.execute("stop"), Error);
});
