/** The far end of a conformance case in a guest: it does what it is told from here. */
import { test } from "node:test";
import { assertEquals, assertRejects } from "@std/assert";
import { SysError } from "../../ffi/errno.ts";
import { Far } from "../conformance/far.ts";
import { openMessageChannel } from "../conformance/message_channel.ts";
import { TempFolder } from "../helpers/temp_folder.ts";
import { ControlHost } from "./control_host.ts";
import { startGuest } from "./guest_process.ts";

const COMMAND: readonly string[] = ["deno", "run", "-A", "--no-check", "tests/vm/far_guest.ts"];
const LOCAL = 1;

test(
  "Far drives the sockets of a guest, waits and errors and all",
  { timeout: 300_000 },
  async () => {
    using folder = new TempFolder();
    await using control = await ControlHost.listen(folder.path("control"));
    await using guest = startGuest({ control: control.path, command: COMMAND });
    const { channel, end } = openMessageChannel(control);
    const far = await Far.open(channel);
    const [listener, client] = [await far.socket(), await far.socket()];
    await listener.bind({ cid: LOCAL, port: 5000 });
    await listener.listen(1);
    const accepted = listener.accept(); // waits, and what is told next goes on meanwhile
    await client.connect({ cid: LOCAL, port: 5000 });
    const server = await accepted;
    const data = new Uint8Array(100_000).map((_, index) => index * 7);
    const [received] = await Promise.all([server.receiveToEnd(), send()]);
    assertEquals(received, data);
    await assertRejects(() => client.send(data), SysError, "EPIPE");
    await far.reset();
    await assertRejects(() => client.send(data), Error, "no far socket");
    await end();
    assertEquals((await guest.ended).code, 0);
    await assertRejects(() => far.socket(), Error, "the far end is");

    async function send(): Promise<void> {
      await client.sendAll(data);
      await client.shutdown(1);
    }
  },
);

test("Far fails what it is told once the guest is killed", { timeout: 300_000 }, async () => {
  using folder = new TempFolder();
  await using control = await ControlHost.listen(folder.path("control"));
  await using guest = startGuest({ control: control.path, command: COMMAND });
  const { channel } = openMessageChannel(control);
  const listener = await (await Far.open(channel)).socket();
  await listener.bind({ cid: LOCAL, port: 5000 });
  await listener.listen(1);
  const accepted = assertRejects(() => listener.accept(), Error, "the far end is gone");
  guest.kill();
  await accepted;
});
