/** The control port: messages between this process and programs in a guest. */
import { test } from "node:test";
import { assertEquals, assertRejects } from "@std/assert";
import { TempFolder } from "../helpers/temp_folder.ts";
import { ControlHost } from "./control_host.ts";
import { startGuest } from "./guest_process.ts";

const LIMIT = { timeout: 300_000 };
const RUN: readonly string[] = ["deno run -A --no-check", "bun", "node"];

test("ControlHost and ControlGuest pass messages both ways on each runtime", LIMIT, async () => {
  using folder = new TempFolder();
  await using host = await ControlHost.listen(folder.path("control,1"));
  const script = RUN.map((run) => `${run} tests/vm/control_echo.ts "${run}"`).join(" && ");
  await using guest = startGuest({ control: host.path, command: ["bash", "-c", script] });
  const heard = host[Symbol.asyncIterator]();
  const next = async (): Promise<unknown> => (await heard.next()).value;
  // Longer than what the driver, QEMU and a socket take at a time.
  const large = Array.from({ length: 40 }, (_, index) => new Uint8Array(10_000).fill(index));
  const messages = ["ä\n€", { bytes: large[7], deep: [{ flag: true }, null] }, ...large, large];
  for (const runtime of RUN) {
    assertEquals(await next(), { runtime });
    const sent = Promise.all(messages.map((message) => host.send(message)));
    for (const message of messages) assertEquals(await next(), message);
    await sent;
    await host.send("end");
  }
  assertEquals(await heard.next(), { value: undefined, done: true });
  assertEquals((await guest.ended).code, 0);
});

test("ControlHost ends its messages when the machine is killed", LIMIT, async () => {
  using folder = new TempFolder();
  await using host = await ControlHost.listen(folder.path("control"));
  const command = ["bash", "-c", "echo up; sleep 1000"];
  await using guest = startGuest({ control: host.path, command });
  await guest.says("up\n");
  await host.send("never read");
  guest.kill();
  assertEquals(await Array.fromAsync(host), []);
  assertEquals((await guest.ended).code, null);
});

test("ControlHost closed before a machine came gives no messages, takes none", async () => {
  using folder = new TempFolder();
  const host = await ControlHost.listen(folder.path("control"));
  const sent = assertRejects(() => host.send("lost"), Error, "no machine has come");
  await host.close();
  await host.close();
  await sent;
  assertEquals(await Array.fromAsync(host), []);
});
