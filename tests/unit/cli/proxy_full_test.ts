/** A proxy that serves as many as it may, for long. */
import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { parseOptions } from "../../../src/cli/proxy/options.ts";
import { Proxy } from "../../../src/cli/proxy/server.ts";
import { connect } from "../../../src/connect.ts";
import { listen } from "../../../src/listen.ts";
import { collect } from "../../helpers/collect.ts";
import { runWithFewDescriptors } from "../../helpers/child.ts";
import { TempFolder } from "../../helpers/temp_folder.ts";

const IDLE = 100;
const SHORT = 24_000;
const WARM_UP = 8_000;

function heapUsed(): number {
  collect();
  return process.memoryUsage().heapUsed;
}

test("Proxy keeps nothing of sessions that it waits for, and logs refusals once a second", {
  timeout: 240_000,
}, async () => {
  using folder = new TempFolder();
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
  let before = 0;
  for (let count = 0; count < SHORT; count++) {
    if (count === WARM_UP) before = heapUsed();
    using refused = await connect({ path: at });
    assertEquals(await refused.read(new Uint8Array(1)), null);
  }
  const grown = heapUsed() - before;
  assert(told < 100, `${told} lines about ${SHORT} refusals of one peer`);
  assert(grown < 4 * 2 ** 20, `${grown} bytes more`);
});

test("Proxy tells once a second that it has no descriptor, and goes on when it has", {
  timeout: 60_000,
}, () => {
  const shown = runWithFewDescriptors(new URL("./proxy_full_child.ts", import.meta.url));
  assertEquals(shown, "true true true\nserved stream\n");
});
