/** The vsock device of the laboratory, with a backend that does no more than to say its CID. */
import { Buffer } from "node:buffer";
import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { EmptyFolder } from "../house/command.ts";
import { ROOT } from "../house/toolchain.ts";
import { startGuest } from "./guest_process.ts";
import { FLAVOURS } from "./options.ts";

const LIMIT = { timeout: 300_000 };
const CID = 77;
const HEADER = 12;
const REPLY = 5;
const NEED_REPLY = 8;

/** Requests that have an answer of their own: VERSION_1 and PROTOCOL_FEATURES; CONFIG. */
const GET_FEATURES = 1;
const GET_PROTOCOL_FEATURES = 15;
const GET_VRING_BASE = 11;
const GET_CONFIG = 24;

/** What a backend without queues answers; `undefined` where QEMU waits for nothing. */
function answer(request: number, flags: number, payload: Buffer): Buffer | undefined {
  if (request === GET_FEATURES) return u64((1n << 32n) | (1n << 30n));
  if (request === GET_PROTOCOL_FEATURES) return u64(1n << 9n);
  if (request === GET_VRING_BASE) return payload;
  if (request === GET_CONFIG) return Buffer.concat([payload.subarray(0, 12), u64(BigInt(CID))]);
  return (flags & NEED_REPLY) === 0 ? undefined : u64(0n);
}

function u64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(value);
  return bytes;
}

/** Answers all that comes; the descriptors beside it are lost, nobody looks at the queues. */
function serve(machine: Socket): void {
  let rest = Buffer.alloc(0);
  machine.on("error", () => {}).on("data", (chunk: Buffer) => {
    rest = Buffer.concat([rest, chunk]);
    while (rest.length >= HEADER && rest.length >= HEADER + rest.readUInt32LE(8)) {
      const [request, flags] = [rest.readUInt32LE(0), rest.readUInt32LE(4)];
      const end = HEADER + rest.readUInt32LE(8);
      const payload = answer(request, flags, rest.subarray(HEADER, end));
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

async function listen(path: string): Promise<Server> {
  const server = createServer(serve).listen(path);
  await once(server, "listening");
  return server;
}

for (const flavour of FLAVOURS) {
  test(`vm --vhost-user gives a ${flavour} guest the CID of the backend`, LIMIT, async () => {
    using folder = new EmptyFolder();
    const vhostUser = join(folder.path, "vsock,1");
    const server = await listen(vhostUser);
    try {
      const script = `import { openVsock } from "${ROOT}mod.ts"; console.log(openVsock().localCid)`;
      const command = ["deno", "eval", "--no-check", script];
      await using guest = startGuest({ flavour, vhostUser, memoryMiB: 1024, cpus: 1, command });
      const { code, stdout, stderr } = await guest.ended;
      assertEquals({ code, stdout, stderr }, { code: 0, stdout: `${CID}\n`, stderr: "" });
    } finally {
      server.close();
    }
  });
}
