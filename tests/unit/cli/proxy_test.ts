import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { POLLHUP } from "../../../ffi/abi/poll.ts";
import type { Address, TcpAddress } from "../../../src/address.ts";
import { stringifyAddress } from "../../../src/address_text.ts";
import type { Entry } from "../../../src/cli/proxy/log.ts";
import { parseOptions } from "../../../src/cli/proxy/options.ts";
import { Proxy } from "../../../src/cli/proxy/server.ts";
import type { Conn } from "../../../src/conn.ts";
import { connect } from "../../../src/connect.ts";
import { createVmm } from "../../../src/hybrid/vmm.ts";
import { listen } from "../../../src/listen.ts";
import { readToEnd, sha256 } from "../../helpers/pair.ts";
import { TempFolder } from "../../helpers/temp_folder.ts";
import { until } from "../../helpers/until.ts";

const WAIT = { timeout: 60_000 };
type AnyConn = Conn<Address>;
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

/** A proxy, what it has logged, and a folder. */
async function withProxy(
  args: readonly string[],
  use: (proxy: Proxy, entries: readonly Entry[]) => Promise<void>,
): Promise<void> {
  const entries: Entry[] = [];
  await using proxy = new Proxy(parseOptions(args), (entry) => entries.push(entry));
  await use(proxy, entries);
}

/** Ends the target's output, then the client's; each way on its own. */
async function halfCloses(client: AnyConn, target: AnyConn): Promise<void> {
  await target.write(bytes("greeting"));
  await target.closeWrite();
  assertEquals(await readToEnd(client), bytes("greeting"));
  const data = new Uint8Array(3_000_000).map((_, index) => index * 31);
  const [got] = await Promise.all([
    readToEnd(target),
    client.write(data).then(() => client.closeWrite()),
  ]);
  assertEquals(sha256(got), sha256(data));
}

test("Proxy keeps half closes both ways, from each family to each", WAIT, async () => {
  using folder = new TempFolder();
  const path = folder.path("vm");
  using vmm = createVmm(path);
  const families: readonly (readonly [listen: string, target: string])[] = [
    ["tcp:127.0.0.1:0", `unix:${folder.path("t1")}`],
    [`unix:${folder.path("l2")}`, "tcp:127.0.0.1:0"],
    ["tcp:[::1]:0", `hvsock:${path}:1024`],
    [`hvsock:${path}:5000`, "tcp:127.0.0.1:0"],
    ["vsock:1:7001", `unix:${folder.path("t5")}`],
    [`unix:${folder.path("l6")}`, "vsock:1:7002"],
  ];
  for (const [listenAt, targetAt] of families) {
    const options = { transport: "auto" } as const;
    const inVm = targetAt.startsWith("hvsock");
    using target = inVm
      ? listen({ cid: 3, port: 1024 }, { transport: vmm.guest })
      : listen(targetAt, options);
    const to = inVm ? targetAt : stringifyAddress(target.addr);
    await withProxy([listenAt, to], async (proxy) => {
      using client = listenAt.startsWith("hvsock")
        ? await connect({ cid: 2, port: 5000 }, { transport: vmm.guest })
        : await connect(stringifyAddress(proxy.address));
      using far = await target.accept();
      await halfCloses(client, far);
    });
  }
});

test("Proxy ends with a client that closes, though the target says nothing", WAIT, async () => {
  using folder = new TempFolder();
  const ways = [
    [`unix:${folder.path("l")}`, "stream"],
    ["vsock:1:7003", "stream"],
    ["vsock-seqpacket:1:7003", "seqpacket"],
  ] as const;
  for (const [listenAt, type] of ways) {
    const to = `unix:${folder.path("t")}`;
    using target = listen(to, { type });
    await withProxy([listenAt, to], async (proxy) => {
      const client = await connect(stringifyAddress(proxy.address, type));
      using far = await target.accept();
      await client.closeWrite();
      assertEquals(await far.read(new Uint8Array(8)), null);
      await far.write(bytes("go on"));
      assertEquals(await client.read(new Uint8Array(8)), 5);
      client.close();
      await far.socket.wait(POLLHUP);
    });
  }
});

test("Proxy keeps messages and the ends of their records", WAIT, async () => {
  using target = listen({ cid: 1, port: 7010 }, { transport: "auto", type: "seqpacket" });
  await withProxy(["vsock-seqpacket:1:7011", "vsock:1:7010"], async () => {
    using client = await connect("vsock-seqpacket:1:7011");
    using far = await target.accept();
    await client.sendMessage(bytes("one"));
    await client.sendMessage(bytes("two"), { endOfRecord: true });
    await client.closeWrite();
    const got = [await far.receiveMessage(), await far.receiveMessage()];
    assertEquals(got.map((message) => message?.data), [bytes("one"), bytes("two")]);
    assertEquals(got.map((message) => message?.endOfRecord), [false, true]);
    assertEquals(await far.receiveMessage(), null);
    await far.sendMessage(bytes("back"));
    assertEquals((await client.receiveMessage())?.data, bytes("back"));
  });
});

/** A Unix target, a proxy with `flags` before it, and connections through it. */
async function withTarget(
  flags: readonly string[],
  use: (
    open: () => Promise<AnyConn>,
    accept: () => Promise<AnyConn>,
    proxy: Proxy,
    entries: readonly Entry[],
  ) => Promise<void>,
): Promise<void> {
  using folder = new TempFolder();
  const [at, to] = [folder.path("l"), folder.path("t")];
  using target = listen({ path: to });
  await withProxy([...flags, `unix:${at}`, `unix:${to}`], async (proxy, entries) => {
    await use(() => connect({ path: at }), () => target.accept(), proxy, entries);
  });
}

test("Proxy reads no more than it can send on", WAIT, () =>
  withTarget([], async (open, accept) => {
    using client = await open();
    using far = await accept();
    const sending = client.write(new Uint8Array(64 * 2 ** 20));
    await assertRejects(() => client.write(new Uint8Array(1)), Error, "EBUSY");
    await far.read(new Uint8Array(1));
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert(client.bytesWritten < 4 * 2 ** 20, `${client.bytesWritten} bytes were taken`);
    far.close();
    await assertRejects(() => sending, Error, "EPIPE");
  }));

test(
  "Proxy serves so many at a time, and the next when one ends",
  WAIT,
  () =>
    withTarget(["--max-connections", "2"], async (open, accept, proxy) => {
      const [one, two, three] = [await open(), await open(), await open()];
      const far = [await accept(), await accept()];
      const next = accept();
      assertEquals(proxy.active, 2);
      one.close();
      far[0]!.close();
      const last = await next;
      await three.write(bytes("3"));
      assertEquals(await last.read(new Uint8Array(1)), 1);
      for (const conn of [two, three, last, ...far]) conn.close();
    }),
);

test("Proxy refuses who is not allowed, and where it may not go", WAIT, async () => {
  for (const flag of ["--allow", "--allow-target"]) {
    await withTarget([flag, "unix:/nobody"], async (open, _accept, _proxy, entries) => {
      using client = await open();
      assertEquals(await client.read(new Uint8Array(1)), null);
      assertEquals(entries.map(({ event }) => event), ["listen", "refuse"]);
    });
  }
});

test("Proxy logs what a connection was, and why it could not be made", WAIT, async () => {
  using folder = new TempFolder();
  const [at, to] = [folder.path("l"), folder.path("t")];
  await withProxy([`unix:${at}`, `unix:${to}`], async (proxy, entries) => {
    using client = await connect({ path: at });
    assertEquals(await client.read(new Uint8Array(1)), null);
    await until(() => proxy.active === 0, () => proxy.active);
    const { event, id, sent, received, reason } = entries.at(-1)!;
    assertEquals([event, id, sent, received], ["close", 1, 0, 0]);
    assert(reason?.includes("ENOENT"), reason);
  });
});

test(
  "drain() lets connections end, and takes no new ones",
  WAIT,
  () =>
    withTarget([], async (open, accept, proxy) => {
      using client = await open();
      using far = await accept();
      const draining = proxy.drain(60_000, new AbortController().signal);
      await assertRejects(open, Error, "ENOENT");
      await client.write(bytes("last words"));
      await client.closeWrite();
      assertEquals(await readToEnd(far), bytes("last words"));
      far.close();
      assertEquals(await draining, 0);
    }),
);

test(
  "drain() cuts what does not end, when the time is over or its signal says so",
  WAIT,
  async () => {
    for (const timeoutMs of [20, 60_000]) {
      await withTarget([], async (open, accept, proxy) => {
        using client = await open();
        using _far = await accept();
        const signal = timeoutMs === 20 ? new AbortController().signal : AbortSignal.timeout(20);
        assertEquals(await proxy.drain(timeoutMs, signal), 1);
        assertEquals(await client.read(new Uint8Array(1)), null);
      });
    }
  },
);

test("drain() resets what it cuts: neither end takes that for a clean end", WAIT, async () => {
  using target = listen({ hostname: "127.0.0.1", port: 0 });
  const args = ["tcp:127.0.0.1:0", stringifyAddress(target.addr, "stream")];
  await withProxy(args, async (proxy, entries) => {
    using client = await connect(stringifyAddress(proxy.address, "stream"));
    using far = await target.accept();
    await far.write(bytes("half"));
    assertEquals(await client.read(new Uint8Array(8)), 4);
    assertEquals(await proxy.drain(0, new AbortController().signal), 1);
    for (const end of [client, far]) {
      await assertRejects(() => end.read(new Uint8Array(1)), Error, "ECONNRESET");
    }
    assertEquals(entries.at(-1)?.reason, "it was cut");
  });
});

test("Proxy resets who cannot be served: nothing is not all that there is", WAIT, async () => {
  const target = listen({ hostname: "127.0.0.1", port: 0 });
  const to = stringifyAddress(target.addr, "stream");
  target.close();
  for (const flags of [[], ["--allow", "tcp:10.0.0.1"], ["--allow-target", "tcp:10.0.0.1"]]) {
    using _target = flags.length === 0 ? undefined : listen(to);
    await withProxy([...flags, "tcp:127.0.0.1:0", to], async (proxy) => {
      using client = await connect(stringifyAddress(proxy.address, "stream"));
      await assertRejects(() => client.read(new Uint8Array(1)), Error, "ECONNRESET");
    });
  }
});

/** Whether the connection of IPv4 between these ports looks after its peer: its timer is that. */
function isKeptAlive(near: number, far: number): boolean {
  const end = (port: number): string =>
    `[0-9A-F]{8}:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  const queues = "01 00000000:00000000";
  return new RegExp(`: ${end(near)} ${end(far)} ${queues} 02:`)
    .test(readFileSync("/proc/net/tcp", "utf8"));
}

test("Proxy looks after both of its peers over TCP, who may be cut off", WAIT, async () => {
  using target = listen({ hostname: "127.0.0.1", port: 0 });
  const args = ["tcp:127.0.0.1:0", stringifyAddress(target.addr, "stream")];
  await withProxy(args, async (proxy) => {
    using client = await connect(stringifyAddress(proxy.address, "stream"));
    using far = await target.accept();
    for (const { localAddr, remoteAddr } of [client, far] as Conn<TcpAddress>[]) {
      await until(() => isKeptAlive(remoteAddr.port, localAddr.port));
    }
  });
});

test("Proxy replaces a dead Unix socket, and unlinks its own", WAIT, async () => {
  using folder = new TempFolder();
  const [at, to] = [folder.path("l"), `unix:${folder.path("t")}`];
  listen({ path: at }).close();
  await withProxy([`unix:${at}`, to], async () => {
    (await connect({ path: at })).close();
    const again = (): Promise<void> => withProxy([`unix:${at}`, to], () => Promise.resolve());
    await assertRejects(again, Error, "EADDRINUSE");
  });
  assertEquals(existsSync(at), false);
});

test(
  "Proxy keeps the end of reading too: who writes is told, who is written to is not",
  WAIT,
  () =>
    withTarget([], async (open, accept) => {
      using client = await open();
      using far = await accept();
      await far.closeRead();
      const writing = async (): Promise<never> => {
        for (;;) await client.write(new Uint8Array(65_536));
      };
      await assertRejects(writing, Error, "EPIPE");
      await far.write(bytes("still here"));
      await far.closeWrite();
      assertEquals(await readToEnd(client), bytes("still here"));
    }),
);
