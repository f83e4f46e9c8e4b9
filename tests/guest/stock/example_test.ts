/** The example of a socket unit, started as systemd does. */
import "../../vm/in_guest.ts";
import { spawn } from "node:child_process";
import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { VMADDR_PORT_ANY } from "../../../ffi/abi/vm_sockets.ts";
import { connect } from "../../../src/connect.ts";
import { KernelSocket } from "../../../src/kernel/socket.ts";
import { openVsock } from "../../../src/kernel/transport.ts";
import { listen } from "../../../src/listen.ts";
import { childCommand } from "../../helpers/child.ts";

const transport = openVsock();
const EXAMPLE = childCommand(new URL("../../../examples/socket_unit.ts", import.meta.url));

test("examples/socket_unit.ts serves the socket that is passed to it", {
  timeout: 120_000,
}, async () => {
  const listener = listen({ cid: 1, port: VMADDR_PORT_ANY }, { transport });
  assert(listener.socket instanceof KernelSocket);
  const { port } = listener.addr;
  // The shell becomes the example, whose process ID is then its own.
  const command = ["-c", 'LISTEN_PID=$$ exec "$@"', "sh", ...EXAMPLE];
  const child = spawn("sh", command, {
    env: { ...process.env, LISTEN_FDS: "1", LISTEN_FDNAMES: "echo.socket" },
    stdio: ["ignore", "pipe", "inherit", listener.socket.fd],
  });
  const exit = new Promise((resolve) => child.on("close", resolve));
  let printed = "";
  child.stdout!.setEncoding("utf8").on("data", (text: string) => printed += text);
  listener.close();
  using conn = await connect({ cid: 1, port }, { transport });
  await conn.write(new TextEncoder().encode("woken up"));
  await conn.closeWrite();
  assertEquals(await new Response(conn.readable).text(), "woken up");
  child.kill();
  await exit;
  assertEquals(printed, `echo.socket is port ${port}\n`);
});
