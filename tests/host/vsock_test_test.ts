/** `vsockit test` on the device against the kernel's own `vsock_test` in a guest of it. */
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { after, before, test } from "node:test";
import { assertEquals } from "@std/assert";
import { runAlone } from "../../src/cli/test/alone.ts";
import type { Mode } from "../../src/cli/test/case.ts";
import { CASES } from "../../src/cli/test/cases.ts";
import type { Ended } from "../guest/programs.ts";
import { denoRun, GUEST_CID, Host } from "./booted.ts";
import { DEFAULT_KERNEL, isKernelBefore } from "../vm/options.ts";
import { Words } from "./vsock_test_control.ts";

const HOST = "127.0.0.1";
const PEER_PORT = 1234;
const LISTENING = /^Control socket listening on .*:(\d+)$/m;

/** Our end on the device, as `mode`. */
class OurEnd {
  readonly #listening = Promise.withResolvers<number>();
  #printed = "";

  /** What it has printed, and how it failed. */
  get printed(): string {
    return this.#printed;
  }

  /** Where its control socket listens. */
  get port(): Promise<number> {
    return this.#listening.promise;
  }

  async run({ device }: Host, mode: Mode, controlPort: number): Promise<void> {
    const role = { mode, controlHost: HOST, controlPort, peerCid: GUEST_CID };
    const options = { peerPort: PEER_PORT, chosen: (): boolean => true };
    try {
      await runAlone(role, options, device, (text) => this.#print(text));
    } catch (error) {
      this.#print(`\n${(error as Error).stack}`);
    }
  }

  #print(text: string): void {
    this.#printed += text;
    const port = LISTENING.exec(this.#printed)?.[1];
    if (port !== undefined) this.#listening.resolve(Number(port));
  }
}

/** Runs both ends, the server first: what ours has printed, and how the other one has ended. */
async function runBoth(host: Host, words: Words, mode: Mode): Promise<[string, Ended]> {
  const ours = new OurEnd();
  const startTheirs = async (mode: Mode): Promise<void> => {
    await words.say({ run: { mode, args: ["--peer-cid=2", `--peer-port=${PEER_PORT}`] } });
    assertEquals(await words.hear(), { connected: true });
  };
  if (mode === "server") {
    const running = ours.run(host, mode, 0);
    const port = await ours.port;
    await startTheirs("client");
    await Promise.all([running, words.carry(connect(port, HOST))]);
  } else {
    await startTheirs("server");
    const server = createServer().listen(0, HOST);
    await once(server, "listening");
    const { port } = server.address() as { port: number };
    const connected = once(server, "connection").then(([socket]) => {
      server.close();
      return words.carry(socket as Socket);
    });
    await Promise.all([ours.run(host, mode, port), connected]);
  }
  const { ended } = await words.hear();
  if (ended === undefined) throw new Error("the guest has lost its place");
  return [ours.printed, ended];
}

/**
 * In one test the kernel's client binds its port a second time as soon as it is told to, by way of
 * another wire than that of the reset that frees the port: it can be there first.
 */
const OUTRUN = /double bind connect\.\.\.bind: Address already in use/;

/** The lines about tests, without why one was skipped. */
function testLines(printed: string): string[] {
  return [...printed.matchAll(/^\d+ - .*?\.\.\.(ok|skipped)/gm)].map(([line]) => line);
}

/** The kernel's program fails where its kernel has less than the one that it is of. */
const skip = isKernelBefore(DEFAULT_KERNEL) &&
  `the program is of ${DEFAULT_KERNEL}: unset VSOCKIT_KERNEL`;

let host: Host | undefined;
let words: Words;
before(async () => {
  if (skip !== false) return;
  host = await Host.open();
  const command = denoRun("tests/host/vsock_test_guest.ts");
  await host.boot({ control: host.control.path, command });
  words = new Words(host.control);
});
after(() => host?.[Symbol.asyncDispose]());

for (const mode of ["client", "server"] as const) {
  test(`test passes all that needs no descriptor as the ${mode} of the kernel's program`, {
    timeout: 300_000,
    skip,
  }, async () => {
    const passed = CASES.map(({ name, raw }, id) =>
      `${id} - ${name}...${raw?.[mode] === undefined ? "ok" : "skipped"}`
    );
    let [ours, theirs] = await runBoth(host!, words, mode);
    if (OUTRUN.test(theirs.printed)) [ours, theirs] = await runBoth(host!, words, mode);
    const all = `${ours}\n${theirs.printed}`;
    assertEquals(testLines(ours), passed, all);
    assertEquals([theirs.code, testLines(theirs.printed)], [0, passed], all);
  });
}
