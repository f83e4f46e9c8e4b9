/** `vsockit cat --keep` where descriptors run out for a while. */
import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { TempFolder } from "../helpers/temp_folder.ts";
import { limit, nextDescriptor, untilSettled } from "./descriptors.ts";
import { Running } from "./process.ts";

const WAIT = { timeout: 60_000 };
const PLENTY = 256;

/** A client that has sent "hello" and its end. */
function greet(address: string): Running {
  const client = new Running("cat", address);
  client.feed("hello");
  return client;
}

/** Has it serve until it has all descriptors that it wants for itself; how many it has served. */
async function warmUp(server: Running, address: string): Promise<number> {
  await server.says(/^listening on/m);
  return await untilSettled(server, async () => {
    using client = greet(address);
    assertEquals(await client.ended, 0);
  });
}

for (const flags of [[], ["-e", "cat"]] as const) {
  const name = ["cat --keep", ...flags].join(" ");
  test(`${name} tells of a passing failure of accept(), and goes on`, WAIT, async () => {
    using folder = new TempFolder();
    const address = `unix:${folder.path("s")}`;
    using server = new Running("cat", "-lkv", ...flags, address);
    const served = await warmUp(server, address);
    limit(server, nextDescriptor(server));
    using client = greet(address);
    await server.says(/(^vsockit cat: Cannot accept .*: EMFILE.*\n)/m);
    limit(server, PLENTY);
    assertEquals([await client.ended, client.err], [0, ""]);
    server.child.kill("SIGINT");
    assertEquals(await server.ended, 130);
    const written = flags.length > 0 ? "hello" : "hello".repeat(served + 1);
    assertEquals(client.out + server.out, written);
  });
}

for (const family of ["unix", "hvsock"] as const) {
  test(`cat -k -e over ${family} goes on where a command cannot be started`, WAIT, async () => {
    using folder = new TempFolder();
    const path = folder.path("s");
    const [listen, to] = family === "unix"
      ? [`unix:${path}`, `unix:${path}`]
      : [`hvsock://${path}:5000`, `unix:${path}_5000`];
    using server = new Running("cat", "-lkv", "-e", "cat", listen);
    await warmUp(server, to);
    limit(server, nextDescriptor(server) + 1);
    using refused = new Running("cat", to);
    refused.feed(""); // Bun may find out once the command runs, which serves it then
    await server.says(/^vsockit cat: .*(EMFILE|too many open files).*\n/im);
    assertEquals([await refused.ended, refused.out], [0, ""]);
    limit(server, PLENTY);
    using client = greet(to);
    assertEquals([await client.ended, client.out, client.err], [0, "hello", ""]);
    server.child.kill("SIGINT");
    assertEquals(await server.ended, 130);
  });
}
