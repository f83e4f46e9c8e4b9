/** Zero-copy sends where the kernel has little room for their records. */
import "../vm/in_guest.ts";
import { readFileSync, writeFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { Buffer } from "node:buffer";
import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { type Address, type Conn, connect, listen, type Listener } from "../../mod.ts";
import { openSockets } from "../helpers/open_sockets.ts";
import { until } from "../helpers/until.ts";
import { NO_ZEROCOPY } from "./kernel.ts";

const LIMIT = { timeout: 120_000 };
const OPTMEM_MAX = "/proc/sys/net/core/optmem_max";
const LENGTH = 4 * 1024 * 1024;

/** Runs `body` while the kernel has `bytes` for records of each socket. */
async function withOptmem(bytes: number, body: () => Promise<void>): Promise<void> {
  const before = readFileSync(OPTMEM_MAX, "utf8");
  writeFileSync(OPTMEM_MAX, `${bytes}`);
  try {
    await body();
  } finally {
    writeFileSync(OPTMEM_MAX, before);
  }
}

async function transfer(listener: Listener<Address>, near: Conn<Address>): Promise<void> {
  using _near = near;
  using far = await listener.accept();
  const data = Uint8Array.from({ length: LENGTH }, (_, i) => i % 251);
  const writing = near.write(data, { zeroCopy: true });
  const got = new Uint8Array(LENGTH);
  for (let have = 0; have < LENGTH;) {
    const n = await far.read(got.subarray(have, have + 100_000));
    if (n === null) break;
    have += n;
  }
  assertEquals([await writing, Buffer.compare(got, data)], [LENGTH, 0]);
  assertEquals([near.zeroCopy.pending, near.zeroCopy.unsupported], [0, undefined]);
}

for (const bytes of [100, 1_000, 4_000]) {
  test(
    `Conn.write() with zeroCopy goes on with optmem_max at ${bytes}, by AF_VSOCK`,
    { ...LIMIT, skip: NO_ZEROCOPY },
    () =>
      withOptmem(bytes, async () => {
        using listener = listen({ cid: 1, port: 6_000 }, { transport: "vsock" });
        await transfer(listener, await connect({ cid: 1, port: 6_000 }, { transport: "vsock" }));
      }),
  );
  test(
    `Conn.write() with zeroCopy goes on with optmem_max at ${bytes}, by TCP`,
    LIMIT,
    () =>
      withOptmem(bytes, async () => {
        using listener = listen({ hostname: "127.0.0.1", port: 0 });
        await transfer(listener, await connect({ ...listener.addr }));
      }),
  );
}

test(
  "Conn.write() with zeroCopy settles where both ends close unread, by AF_VSOCK",
  { ...LIMIT, skip: NO_ZEROCOPY },
  async () => {
    using listener = listen({ cid: 1, port: 6_000 }, { transport: "vsock" });
    const near = await connect({ cid: 1, port: 6_000 }, { transport: "vsock" });
    const far = await listener.accept();
    const sockets = openSockets();
    const writes = [near, far].map((conn) =>
      conn.write(new Uint8Array(LENGTH), { zeroCopy: true })
    );
    const settled = Promise.allSettled(writes);
    await delay(500);
    for (const conn of [near, far]) {
      assertEquals([conn.zeroCopy.pending > 0, conn.bytesRead], [
        true,
        0,
      ]);
    }
    near.close();
    far.close();
    const held = setInterval(() => {}, 1_000); // the waits of closed connections hold nobody
    for (const { status } of await settled) assertEquals(status, "rejected");
    await until(() => openSockets() === sockets - 2, openSockets);
    clearInterval(held);
  },
);
