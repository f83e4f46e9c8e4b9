/** Run by proxy_full_test.ts with few descriptors allowed: a proxy while all are taken. */
import { close } from "../../../ffi/libc.ts";
import type { Entry } from "../../../src/cli/proxy/log.ts";
import { Proxy } from "../../../src/cli/proxy/server.ts";
import { openUnix } from "../../../src/kernel/tcp_unix.ts";
import { listen } from "../../../src/listen.ts";
import { runtimeHasBegun, takeDescriptors } from "../../helpers/few_descriptors.ts";
import { TempFolder } from "../../helpers/temp_folder.ts";

/** Those that a proxy takes to listen; a thread to wait for connections wants more. */
const SPARE = 4;

using folder = new TempFolder();
const [at, to] = [folder.path("l"), folder.path("t")];
using target = listen({ path: to });
using client = openUnix().socket("stream");
const full: Entry[] = [];
const { promise: twice, resolve } = Promise.withResolvers<void>();
await runtimeHasBegun();
const fds = takeDescriptors(SPARE);
const options = {
  ...{ listen: { path: at }, target: { path: to }, type: "stream", maxConnections: 8 } as const,
  ...{ allows: () => true, allowsTarget: () => true, json: false, verbose: false },
  ...{ connectTimeoutMs: 5_000, drainTimeoutMs: 0 },
};
await using _proxy = new Proxy(options, (entry) => {
  if (entry.event === "full" && full.push(entry) === 2) resolve();
});
client.connect({ path: at });
await twice;
const [first, second] = full;
console.log(first!.count === undefined, second!.count! > 1, second!.reason === first!.reason);
for (const fd of fds) close(fd);
using far = await target.accept();
console.log("served", far.type);
