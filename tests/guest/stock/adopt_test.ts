/** Sockets that a child process takes over. */
import "../../vm/in_guest.ts";
import { spawn } from "node:child_process";
import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { VMADDR_PORT_ANY } from "../../../ffi/abi/vm_sockets.ts";
import { connect } from "../../../src/connect.ts";
import { KernelSocket } from "../../../src/kernel/socket.ts";
import { openVsock } from "../../../src/kernel/transport.ts";
import { listen } from "../../../src/listen.ts";
import type { Socket } from "../../../src/socket.ts";
import { childCommand } from "../../helpers/child.ts";

const transport = openVsock();
const timeout = 120_000;
const CHILD = childCommand(new URL("./adopt_child.ts", import.meta.url));

/** Starts the child with `socket` as its descriptor 3; the exit code that it will have. */
function adoptedBy(socket: Socket, what: string): Promise<number | null> {
  assert(socket instanceof KernelSocket);
  const [file = "", ...args] = CHILD;
  const child = spawn(file, [...args, what], {
    stdio: ["ignore", "inherit", "inherit", socket.fd],
  });
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", resolve);
  });
}

/** All that comes until the end. */
async function text(readable: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<string> {
  return await new Response(readable).text();
}

test("adoptListener() in a child serves the port that the parent bound", { timeout }, async () => {
  const listener = listen({ cid: 1, port: VMADDR_PORT_ANY }, { transport });
  const { port } = listener.addr;
  const exit = adoptedBy(listener.socket, "listener");
  listener.close();
  using conn = await connect({ cid: 1, port }, { transport });
  assertEquals(await text(conn.readable), `port ${port}`);
  assertEquals(await exit, 0);
});

test("adoptConn() in a child goes on with the parent's connection", { timeout }, async () => {
  using listener = listen({ cid: 1, port: VMADDR_PORT_ANY }, { transport });
  using near = await connect({ cid: 1, port: listener.addr.port }, { transport });
  const far = await listener.accept();
  const exit = adoptedBy(far.socket, "conn");
  far.close();
  await near.write(new TextEncoder().encode("hello"));
  await near.closeWrite();
  assertEquals(await text(near.readable), "hello");
  assertEquals(await exit, 0);
});
