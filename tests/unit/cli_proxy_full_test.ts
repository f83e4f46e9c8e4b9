/** A proxy that serves as many as it may, for long. */
import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { parseOptions } from "../../src/cli/proxy/options.ts";
import { Proxy } from "../../src/cli/proxy/server.ts";
import { connect } from "../../src/connect.ts";
import { listen } from "../../src/listen.ts";
import { UnixFolder } from "./unix_folder.ts";

const IDLE = 100;
const SHORT = 24_000;

test("Proxy keeps nothing of sessions that it waits for, and logs refusals once a second", {
  timeout: 60_000,
}, async () => {
  using folder = new UnixFolder();
  const [at, to] = [folder.path("l"), folder.path("t")];
  using target = listen({ path: to });
  using held = new DisposableStack();
  const options = parseOptions(["--max-connections", `${IDLE + 1}`, `unix:${at}`, `unix:${to}`]);
  let [peers, told] = [0, 0];
  await using proxy = new Proxy({ ...options, allows: () => ++peers <= IDLE }, ({ event }) => {
    if (event === "refuse") told++;
  });
  for (let count = 0; count < IDLE; count++) {
    held.use(await connect({ path: at }));
    held.use(await target.accept());
  }
  assertEquals(proxy.active, IDLE);
  const heap: number[] = [];
  for (let count = 0; count < SHORT; count++) {
    using refused = await connect({ path: at });
    assertEquals(await refused.read(new Uint8Array(1)), null);
    if (count % (SHORT / 30) === 0) heap.push(process.memoryUsage().heapUsed);
  }
  // What is garbage goes now and then only: the least of many.
  const grown = Math.min(...heap.slice(-20)) - Math.min(...heap.slice(0, 10));
  assert(told < 100, `${told} lines about ${SHORT} refusals of one peer`);
  assert(grown < 10 * 2 ** 20, `${grown} bytes more`);
});
