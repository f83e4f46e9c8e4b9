import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals, assertMatch } from "@std/assert";
import { connect } from "../../src/connect.ts";
import { endingSignals } from "../../src/cli/serving/signals.ts";
import { kernelTransports } from "../../src/kernel/reach.ts";
import { listen } from "../../src/listen.ts";
import { TempFolder } from "../helpers/temp_folder.ts";
import { vsockit } from "./captured.ts";
import { Running, VSOCKIT } from "./process.ts";

test("vsockit proxy drains on SIGTERM, and logs JSON", { timeout: 60_000 }, async () => {
  using folder = new TempFolder();
  const [at, to] = [folder.path("l"), folder.path("t")];
  using target = listen({ path: to });
  const [command = "", ...before] = VSOCKIT;
  const args = [...before, "proxy", "--json", `unix:${at}`, `unix:${to}`];
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "inherit"] });
  const ended = new Promise<number | null>((resolve) => child.on("exit", resolve));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async (): Promise<Record<string, unknown>> =>
    JSON.parse((await lines.next()).value as string) as Record<string, unknown>;
  assertEquals((await next())["event"], "listen");
  using client = await connect({ path: at });
  using far = await target.accept();
  assertEquals((await next())["event"], "open");
  process.kill(child.pid!, "SIGTERM"); // what Deno kills itself it takes for dead of that
  assertEquals((await next())["event"], "drain");
  await client.write(new TextEncoder().encode("still served"));
  assertEquals(await far.read(new Uint8Array(64)), 12);
  client.close();
  far.close();
  const { event, id, sent, received, time } = await next();
  assertEquals([event, id, sent, received], ["close", 1, 12, 0]);
  assert(!Number.isNaN(Date.parse(String(time))));
  assertEquals((await next())["cut"], 0);
  assertEquals(await ended, 0);
});

test("vsockit proxy drains on SIGHUP, which a second one does not cut", {
  timeout: 60_000,
  skip: endingSignals().includes("SIGHUP") ? false : "SIGHUP is ignored: run it without nohup",
}, async () => {
  using folder = new TempFolder();
  const [at, to] = [folder.path("l"), folder.path("t")];
  using target = listen({ path: to });
  using proxy = new Running("proxy", `unix:${at}`, `unix:${to}`);
  await proxy.says(/^listening/m);
  using client = await connect({ path: at });
  using far = await target.accept();
  process.kill(proxy.child.pid!, "SIGHUP");
  await proxy.says(/^draining: 1 /m);
  process.kill(proxy.child.pid!, "SIGHUP");
  await client.write(new Uint8Array(5));
  assertEquals(await far.read(new Uint8Array(8)), 5);
  client.close();
  far.close();
  assertEquals(await proxy.ended, 0);
});

test("vsockit proxy has wait for whom there are no descriptors", { timeout: 60_000 }, async () => {
  using folder = new TempFolder();
  const [at, to] = [folder.path("l"), folder.path("t")];
  using target = listen({ path: to });
  const args = ["-c", 'ulimit -n 80; exec "$@"', "sh", ...VSOCKIT, "proxy", "--json"];
  const child = spawn("/bin/sh", [...args, `unix:${at}`, `unix:${to}`], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = once(child, "exit");
  await once(child.stdout, "data");
  const served: Promise<number | null>[] = [];
  for (let count = 0; count < 40; count++) {
    const client = await connect({ path: at });
    served.push(client.read(new Uint8Array(8)).finally(() => client.close()));
  }
  for (const _ of served) {
    using far = await target.accept();
    await far.write(new Uint8Array(3));
  }
  assertEquals(new Set(await Promise.all(served)), new Set([3]));
  process.kill(child.pid!, "SIGTERM");
  await exited;
});

test("vsockit proxy says what is wrong with its command line", async () => {
  const { code, err } = await vsockit(["proxy", "tcp:0.0.0.0:80", "vsock:3:80"]);
  assertEquals(code, 2);
  assert(err.includes("must have --allow PEER, or --open"), err);
  const help = await vsockit(["proxy", "--help"]);
  assert(help.out.includes("--max-connections N"), help.out);
});

const transports = kernelTransports();
const skip = typeof transports === "object" && transports.local &&
  "vsock_loopback is loaded: AF_VSOCK is the machine's";
for (const [listen, target] of [["vsock:local:5000", "unix:PATH"], ["unix:PATH", "vsock:1:5000"]]) {
  test(`vsockit proxy ${listen} ${target} fails where CID 1 is this process alone`, {
    timeout: 60_000,
    skip,
  }, async () => {
    using folder = new TempFolder();
    const place = (address = ""): string => address.replace("PATH", folder.path("s"));
    using proxy = new Running("proxy", place(listen), place(target));
    assertEquals(await proxy.ended, 1);
    assertMatch(proxy.err, /^vsockit proxy: Cannot (listen|connect) 1:5000: ENODEV/);
  });
}
