/** `vsockit ss` and `listSockets()` on a kernel that has vsock_diag. */
import "../../vm/in_guest.ts";
import { test } from "node:test";
import { assert, assertEquals, assertMatch } from "@std/assert";
import { VMADDR_CID_ANY, VMADDR_PORT_ANY } from "../../../ffi/abi/vm_sockets.ts";
import { connect } from "../../../src/connect.ts";
import { listSockets } from "../../../src/kernel/diag.ts";
import type { SocketEntry } from "../../../src/kernel/diag_message.ts";
import { listen } from "../../../src/listen.ts";
import { NO_SEQPACKET } from "../kernel.ts";
import { runCommand } from "../programs.ts";

const LIMIT = { timeout: 120_000 };
const ANYWHERE = { cid: VMADDR_CID_ANY, port: VMADDR_PORT_ANY };

for (const type of ["stream", "seqpacket"] as const) {
  const skip = type === "seqpacket" && NO_SEQPACKET;
  test(`listSockets() has both ends of a ${type} connection`, { ...LIMIT, skip }, async () => {
    using listener = listen(ANYWHERE, { transport: "vsock", type });
    const { port } = listener.addr;
    using near = await connect({ cid: 1, port }, { transport: "vsock", type });
    const waiting = listSockets().filter(({ local }) => local.port === port);
    assertEquals(new Set(waiting.map(({ state }) => state)), new Set(["LISTEN", "CONNECTED"]));

    using _far = await listener.accept();
    const sockets = listSockets();
    const of = (local: number, remote: number): SocketEntry | undefined =>
      sockets.find((entry) => entry.local.port === local && entry.remote.port === remote);
    const client = near.localAddr.port;
    for (const end of [of(port, client), of(client, port)]) {
      assertEquals([end?.state, end?.type, end?.remote.cid], ["CONNECTED", type, 1]);
      assert(end !== undefined && end.inode > 0);
      assertEquals([end.readClosed, end.writeClosed], [false, false]);
    }
    const listening = of(port, VMADDR_PORT_ANY);
    assertEquals([listening?.state, listening?.local.cid], ["LISTEN", VMADDR_CID_ANY]);

    await near.closeWrite();
    const closed = listSockets().find(({ local }) => local.port === client);
    assertEquals([closed?.readClosed, closed?.writeClosed], [false, true]);
  });
}

test("listSockets() reads tables of many datagrams", LIMIT, () => {
  const listeners = Array.from({ length: 1_500 }, () => listen(ANYWHERE, { transport: "vsock" }));
  try {
    const ports = new Set(listSockets().map(({ local }) => local.port));
    assertEquals(listeners.filter(({ addr }) => !ports.has(addr.port)), []);
  } finally {
    for (const listener of listeners) listener.close();
  }
});

test("ss --listening leaves out connections", LIMIT, async () => {
  using listener = listen({ cid: 1, port: VMADDR_PORT_ANY }, { transport: "vsock" });
  const { port } = listener.addr;
  using near = await connect({ cid: 1, port }, { transport: "vsock" });
  using _far = await listener.accept();

  const all = await runCommand(["ss"]);
  assertEquals(all.code, 0, all.printed);
  assertMatch(all.printed, new RegExp(`^LISTEN +stream +1:${port} +\\*:\\* +\\d+$`, "m"));
  const line = `^CONNECTED +stream +1:${port} +1:${near.localAddr.port} +\\d+$`;
  assertMatch(all.printed, new RegExp(line, "m"));

  const { code, printed } = await runCommand(["ss", "--listening", "--json"]);
  assertEquals(code, 0);
  const found: SocketEntry[] = printed.trimEnd().split("\n").map((row) => JSON.parse(row));
  assertEquals(found.filter(({ state }) => state !== "LISTEN"), []);
  assertEquals(found.filter(({ local }) => local.port === port).length, 1);
});
