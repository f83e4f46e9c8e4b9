/**
 * A guest that answers: it echoes on one port, never reads on another, and does what is fatal on a
 * third. Once it does, it connects to the host and sends a byte, and tells when that is over.
 *
 * @module
 */
import "../vm/in_guest.ts";
import { writeFileSync } from "node:fs";
import { VMADDR_CID_ANY, VMADDR_CID_HOST } from "../../ffi/abi/vm_sockets.ts";
import type { Conn } from "../../src/conn.ts";
import { connect } from "../../src/connect.ts";
import { VsockError } from "../../src/error.ts";
import { openVsock } from "../../src/kernel/transport.ts";
import { listen } from "../../src/listen.ts";
import { PORTS } from "./booted.ts";

const transport = openVsock();

/** Has each connection to `port` be served, whatever becomes of those before. */
async function serve(port: number, use: (conn: Conn) => Promise<void>): Promise<never> {
  using listener = listen({ cid: VMADDR_CID_ANY, port }, { transport });
  for (;;) {
    const conn = await listener.accept();
    use(conn).catch((error) => {
      if (!(error instanceof VsockError)) throw error;
      console.log(`${port}: ${error.code}`);
    });
  }
}

async function echo(conn: Conn): Promise<void> {
  using _conn = conn;
  const buffer = new Uint8Array(65536);
  for (let count; (count = await conn.read(buffer)) !== null;) {
    await conn.write(buffer.subarray(0, count));
  }
}

/** One letter for the kernel: `sysrq` of Linux's admin guide. */
async function obey(conn: Conn): Promise<void> {
  const letter = new Uint8Array(1);
  await conn.read(letter);
  writeFileSync("/proc/sysrq-trigger", letter);
}

const serving = [
  serve(PORTS.echo, echo),
  serve(PORTS.silent, () => new Promise(() => {})),
  serve(PORTS.sysrq, obey),
];
using up = await connect({ cid: VMADDR_CID_HOST, port: PORTS.up }, { transport });
await up.write(Uint8Array.of(1));
const end = await up.read(new Uint8Array(1)).catch(({ code }: VsockError) => code);
console.log(`${PORTS.up}: ${end ?? "the end"}`);
await Promise.all(serving);
