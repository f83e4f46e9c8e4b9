import { readdirSync } from "node:fs";
import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import type { UnixAddress } from "../../../src/address.ts";
import { connect } from "../../../src/connect.ts";
import { ASKING_MAX, VmmPath } from "../../../src/hybrid/vmm_path.ts";
import { openUnix } from "../../../src/kernel/tcp_unix.ts";
import type { Socket } from "../../../src/socket.ts";
import { turn } from "../../../src/wait/turns.ts";
import { TempFolder } from "../../helpers/temp_folder.ts";
import { until } from "../../helpers/until.ts";

const WAIT = { timeout: 60_000 };
/** Hosts at once: more than may ask, and fewer than may wait to be accepted. */
const HOSTS = 100;
const ENDLESS = 10_000;

/** A host that connects, and says `text`. */
function host(path: string, text: string): Socket<UnixAddress> {
  const socket = openUnix().socket("stream");
  socket.connect({ path });
  socket.send(new TextEncoder().encode(text), 0);
  return socket;
}

test("VmmPath takes no more hosts that ask for nothing, and then the next one", WAIT, async () => {
  using lab = new DisposableStack();
  const path = lab.use(new TempFolder()).path("v");
  const ports: number[] = [];
  const refuse = (_unix: unknown, port: number): Promise<boolean> => {
    ports.push(port);
    return Promise.resolve(false);
  };
  lab.adopt(new VmmPath(path, refuse), (vmmPath) => vmmPath.close());
  {
    using silent = new DisposableStack();
    const open = (): number => readdirSync("/proc/self/fd").length;
    const before = open();
    for (let count = 0; count < HOSTS; count++) {
      silent.adopt(host(path, "CON"), (socket) => socket.close());
    }
    await until(() => open() >= before + HOSTS + ASKING_MAX);
    for (let count = 0; count < HOSTS; count++) await turn();
    assert(open() < before + 2 * HOSTS, `${open()} descriptors, after ${before}`);
  }
  using asks = await connect({ path });
  await asks.write(new TextEncoder().encode("CONNECT 9\n"));
  assertEquals(await asks.read(new Uint8Array(1)), null);
  assertEquals(ports, [9]);
});

test("VmmPath lets others have their turn, however many hosts there are", WAIT, async () => {
  using lab = new DisposableStack();
  const path = lab.use(new TempFolder()).path("v");
  let asked = 0;
  const ask = (): void => host(path, "CONNECT 9\n").close();
  const refuse = (): Promise<boolean> => {
    if (++asked < ENDLESS) ask(); // one goes, one comes
    return Promise.resolve(false);
  };
  lab.adopt(new VmmPath(path, refuse), (vmmPath) => vmmPath.close());
  for (let count = 0; count < HOSTS; count++) ask();
  await until(() => asked > 0);
  assert(asked < ENDLESS, `${asked} before anything else`);
});
