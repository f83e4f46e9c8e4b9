/** What becomes of connections when the guest, its machine, or the device's own process ends. */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import type { Readable } from "node:stream";
import { after, before, test } from "node:test";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { VMADDR_CID_HOST } from "../../ffi/abi/vm_sockets.ts";
import { connect } from "../../src/connect.ts";
import { VsockError } from "../../src/error.ts";
import { listen } from "../../src/listen.ts";
import type { Listener } from "../../src/listener.ts";
import { bytes } from "../conformance/helpers.ts";
import { childCommand } from "../helpers/child.ts";
import { runtimeHasBegun } from "../helpers/few_descriptors.ts";
import { type GuestProcess, startGuest } from "../vm/guest_process.ts";
import { Monitor } from "../vm/monitor.ts";
import { denoRun, GUEST_CID, Host, PORTS } from "./booted.ts";
import { assertReleased, Connections, echoed, holdings, SOON_MS } from "./connections.ts";

const LIMIT = { timeout: 600_000 };
const COMMAND = denoRun("tests/host/echo_guest.ts");
/** Letters of `sysrq`: both end the machine, which is not to boot again. */
const [POWER_OFF, REBOOT] = ["o", "b"];

/** `backend_child.ts`, which is killed at last. */
class Backend implements Disposable {
  readonly #child: ChildProcessByStdio<null, Readable, null>;
  #printed = "";

  constructor(socketPath: string) {
    const [file = "", ...args] = childCommand(new URL("./backend_child.ts", import.meta.url));
    this.#child = spawn(file, [...args, socketPath], { stdio: ["ignore", "pipe", "inherit"] });
    this.#child.stdout.setEncoding("utf8").on("data", (text: string) => this.#printed += text);
  }

  /** Waits until it has printed `text`. */
  async says(text: string): Promise<void> {
    while (!this.#printed.includes(text)) await once(this.#child.stdout, "data");
  }

  /** SIGKILL. */
  kill(): void {
    this.#child.kill("SIGKILL");
  }

  [Symbol.dispose](): void {
    this.kill();
  }
}

let host: Host;
let up: Listener;
before(async () => {
  host = await Host.open();
  up = listen({ cid: VMADDR_CID_HOST, port: PORTS.up }, { transport: host.device });
  await assertRejects(() => up.accept({ timeoutMs: 10 }), VsockError, "ETIMEDOUT");
  await runtimeHasBegun(); // with the thread that waits, too
});
after(async () => {
  up.close();
  await host[Symbol.asyncDispose]();
});

/** A guest that is up, and its machine's monitor. */
interface Running {
  readonly guest: GuestProcess;
  readonly monitor: Monitor;
}

/** Runs a guest, which `use` ends: all that it took is there again then. */
async function run(use: (running: Running) => Promise<void>): Promise<void> {
  const free = holdings();
  await using monitor = await Monitor.listen(host.folder.path("monitor"));
  await using guest = await host.boot({ command: COMMAND, monitor: monitor.path });
  await use({ guest, monitor });
  await guest.ended;
  await monitor[Symbol.asyncDispose]();
  assertEquals(host.device.guest.up, false);
  await assertReleased(free);
}

/** Opens connections once the guest is up, and has `act` end them. */
async function resetBy(act: () => unknown): Promise<void> {
  using open = await Connections.open(host.device, up);
  const start = performance.now();
  await act();
  await open.reset(start);
}

/** It may be gone before it answers. */
async function quit(monitor: Monitor): Promise<void> {
  await monitor.execute("quit").catch(() => {});
}

async function sysrq(letter: string): Promise<void> {
  const address = { cid: GUEST_CID, port: PORTS.sysrq };
  using conn = await connect(address, { transport: host.device });
  await conn.write(new TextEncoder().encode(letter));
}

test(
  "a guest that is killed ends its connections, and leaves nothing",
  LIMIT,
  () => run(({ guest }) => resetBy(() => guest.kill())),
);

test(
  "a guest that powers off ends its connections, and leaves nothing",
  LIMIT,
  () => run(() => resetBy(() => sysrq(POWER_OFF))),
);

test(
  "a guest that reboots ends its connections, and leaves nothing",
  LIMIT,
  () => run(() => resetBy(() => sysrq(REBOOT))),
);

test(
  "a machine that is reset ends connections, and its guest connects again",
  LIMIT,
  () =>
    run(async ({ monitor }) => {
      await monitor.execute("set-action", { reboot: "reset" });
      await resetBy(() => monitor.execute("system_reset"));
      await resetBy(() => quit(monitor));
    }),
);

test(
  "a guest that is paused hears of the end of its connections when it goes on, and connects again",
  LIMIT,
  () =>
    run(async ({ guest, monitor }) => {
      await resetBy(async () => {
        await monitor.execute("stop");
        await monitor.execute("cont");
      });
      await guest.says(`${PORTS.up}: the end`);
      const address = { cid: GUEST_CID, port: PORTS.echo };
      using conn = await connect(address, { transport: host.device });
      assertEquals(await echoed(conn, bytes(100_000)), bytes(100_000));
      conn.close();
      await quit(monitor);
    }),
);

test(
  "a device whose process is killed is replaced under its guest, which goes on",
  LIMIT,
  async () => {
    const { folder } = host;
    const [first, second] = [folder.path("first"), host.device.guest.socketPath];
    const free = holdings();
    {
      using backend = new Backend(first);
      await backend.says("listening");
      await using monitor = await Monitor.listen(folder.path("monitor"));
      await using guest = startGuest({
        ...{ memoryMiB: 1024, command: COMMAND },
        ...{ vhostUser: first, monitor: monitor.path },
      });
      await backend.says("connected");
      backend.kill();
      await monitor.replug(second);
      await host.device.guest.ready();
      // The guest has lost its connections with the first device.
      await guest.says(`${PORTS.echo}: ECONNRESET`);
      const address = { cid: GUEST_CID, port: PORTS.echo };
      using conn = await connect(address, { transport: host.device });
      assertEquals(await echoed(conn, bytes(100_000)), bytes(100_000));
      const start = performance.now();
      guest.kill();
      await assertRejects(() => conn.read(new Uint8Array(1)), VsockError, "ECONNRESET");
      assert(performance.now() - start < SOON_MS);
      await guest.ended;
    }
    assertEquals(host.device.guest.up, false);
    await assertReleased(free);
  },
);
