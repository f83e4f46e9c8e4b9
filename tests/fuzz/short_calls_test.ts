/**
 * Calls of libc come to less than was asked for, to nothing, or are cut short by a signal, as a
 * random number says: all bytes arrive. `VSOCKIT_SEED` replays a run, `VSOCKIT_RUNS` makes more.
 */
import { Buffer } from "node:buffer";
import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { IPPROTO_TCP } from "../../ffi/abi/in.ts";
import { MSG_ERRQUEUE } from "../../ffi/abi/socket.ts";
import { TCP_ZEROCOPY_RECEIVE, TCP_ZEROCOPY_RECEIVE_STRUCT } from "../../ffi/abi/tcp.ts";
import { stringifyAddress } from "../../src/address_text.ts";
import { parseOptions } from "../../src/cli/proxy/options.ts";
import { Proxy } from "../../src/cli/proxy/server.ts";
import { connect } from "../../src/connect.ts";
import type { Conn } from "../../src/conn.ts";
import { createVmm } from "../../src/hybrid/vmm.ts";
import { listen } from "../../src/listen.ts";
import { seeded } from "../../src/loopback/random.ts";
import { type CallName, type Decision, FaultyLibc } from "../helpers/faulty_libc.ts";
import { join, pattern } from "../helpers/pair.ts";
import { TempFolder } from "../helpers/temp_folder.ts";

const DEFAULT_RUNS = 12;
const RUNS = Number(process.env["VSOCKIT_RUNS"] ?? DEFAULT_RUNS);
const SEED = Number(process.env["VSOCKIT_SEED"] ?? Math.floor(Math.random() * 2 ** 32));
const MOST_BYTES = 400_000;
const PAGE = 4_096;
const TCP = { hostname: "127.0.0.1", port: 0 };

/** What may be EAGAIN whatever poll(2) says; recv(2) of what is queued is not. */
const MAY_WAIT: ReadonlySet<CallName> = new Set(["send", "recvmsg", "accept4"]);
const MAY_BE_CUT: ReadonlySet<CallName> = new Set(
  ["send", "recv", "recvmsg", "accept4", "poll", "ppoll", "epoll_wait", "getsockopt", "ioctl"],
);

/** A libc that does as little as it may, and how often it did what. */
class LazyLibc extends FaultyLibc {
  readonly counts: Record<string, number>;

  constructor(random: () => number) {
    const counts: Record<string, number> = {};
    super((name, args) => {
      const what = random();
      const told = what < 0.8 ? shorten(name, args, what) : refuse(name, args, what);
      if (told !== undefined) counts[told.does] = (counts[told.does] ?? 0) + 1;
      return told?.comes;
    });
    this.counts = counts;
  }
}

interface Told {
  readonly does: string;
  readonly comes?: Decision;
}

function refuse(name: CallName, args: readonly unknown[], what: number): Told | undefined {
  if (what < 0.9 && MAY_BE_CUT.has(name)) return { does: `${name} is cut`, comes: "EINTR" };
  if (what < 0.9) return undefined;
  if (MAY_WAIT.has(name)) return { does: `${name} waits`, comes: "EAGAIN" };
  const waits = name === "epoll_wait" || name === "ppoll" || name === "poll" && args[2] !== 0;
  return waits ? { does: `${name} sees nothing`, comes: 0 } : undefined;
}

/** Has a call that moves bytes move some of them. */
function shorten(name: CallName, args: unknown[], what: number): Told | undefined {
  const part = (length: number): number => Math.ceil(length * what * what);
  if (name === "send" || name === "recv" && (Number(args[3]) & MSG_ERRQUEUE) === 0) {
    if (Number(args[2]) <= 1) return undefined;
    const length = part(Number(args[2]));
    args[2] = typeof args[2] === "bigint" ? BigInt(length) : length;
  } else if (name === "getsockopt" && args[1] === IPPROTO_TCP && args[2] === TCP_ZEROCOPY_RECEIVE) {
    const { buffer, byteOffset } = args[3] as Uint8Array;
    const view = new DataView(buffer, byteOffset + TCP_ZEROCOPY_RECEIVE_STRUCT.at.length);
    view.setUint32(0, Math.ceil(part(view.getUint32(0, true)) / PAGE) * PAGE, true);
  } else return undefined;
  return { does: `${name} is short` };
}

type Random = () => number;

/** Sends `sent` in one of the ways that there are. */
async function send(conn: Conn, sent: Uint8Array<ArrayBuffer>, random: Random): Promise<void> {
  const zeroCopy = random() < 0.5;
  if (random() < 0.3) {
    return await new Blob([sent]).stream().pipeTo(conn.writableOf({ zeroCopy }));
  }
  for (let at = 0; at < sent.length;) {
    const next = at + 1 + Math.floor(random() * random() * (sent.length - at));
    await conn.write(sent.subarray(at, next), { zeroCopy });
    at = next;
  }
  await conn.closeWrite();
}

/** All that comes, in one of the ways that there are. */
async function receive(conn: Conn, random: Random): Promise<Uint8Array> {
  const way = random();
  if (way < 0.2) return await new Response(conn.readable).bytes();
  const parts: Uint8Array[] = [];
  if (way < 0.5) {
    const p = new Uint8Array(1 + Math.floor(random() * 100_000));
    for (let n; (n = await conn.read(p)) !== null;) parts.push(p.slice(0, n));
  } else {
    const mode = way < 0.6 || conn.remoteAddr.transport !== "tcp" ? "auto" : "map";
    using receiver = conn.receiver({ mode, pages: 1 + Math.floor(random() * 64) });
    for await (const batch of receiver) for (const { data } of batch) parts.push(data.slice());
  }
  return Buffer.concat(parts);
}

/** Opens a connection, and gives its ends to `use`. */
type Way = (use: (near: Conn, far: Conn) => Promise<void>) => Promise<void>;

const WAYS: Readonly<Record<string, Way>> = {
  async "over TCP"(use) {
    using listener = listen(TCP, { options: { maxSegment: PAGE + 12 } });
    const { port } = listener.addr;
    using pair = await join(listener, connect({ ...TCP, port }));
    await use(pair.near, pair.far);
  },

  async "over AF_UNIX"(use) {
    using folder = new TempFolder();
    const path = folder.path("s");
    using listener = listen({ path });
    using pair = await join(listener, connect({ path }));
    await use(pair.near, pair.far);
  },

  async "to a VM"(use) {
    using folder = new TempFolder();
    const path = folder.path("vm");
    using vmm = createVmm(path);
    using agent = listen({ cid: 3, port: 1024 }, { transport: vmm.guest });
    using near = await connect({ path, port: 1024 });
    using far = await agent.accept();
    await use(near, far);
  },

  async "through a proxy"(use) {
    using target = listen(TCP);
    const to = stringifyAddress(target.addr);
    await using proxy = new Proxy(parseOptions(["tcp:127.0.0.1:0", to]), () => {});
    using near = await connect(stringifyAddress(proxy.address));
    using far = await target.accept();
    await use(near, far);
  },
};

async function run(way: Way, seed: number, counts: Record<string, number>): Promise<void> {
  const random = seeded(seed);
  const [out, back] = [random, random].map((below) =>
    pattern(1 + Math.floor(below() * MOST_BYTES))
  );
  await way(async (near, far) => {
    using libc = new LazyLibc(seeded(seed + 1));
    const got = await Promise.all([
      receive(far, random),
      receive(near, random),
      send(near, out!, random),
      send(far, back!, random),
    ]);
    assertEquals([Buffer.compare(got[0], out!), Buffer.compare(got[1], back!)], [0, 0]);
    for (const [does, count] of Object.entries(libc.counts)) {
      counts[does] = (counts[does] ?? 0) + count;
    }
  });
}

for (const [name, way] of Object.entries(WAYS)) {
  test(`Conn moves all bytes ${name} whatever calls come to`, { timeout: 600_000 }, async () => {
    const counts: Record<string, number> = {};
    for (let at = 0; at < RUNS; at++) {
      const seed = (SEED + at) >>> 0;
      try {
        await run(way, seed, counts);
      } catch (cause) {
        throw new Error(`VSOCKIT_SEED=${seed} VSOCKIT_RUNS=1 replays this`, { cause });
      }
    }
    if (RUNS > 1_000) console.log(counts);
    if (RUNS < DEFAULT_RUNS) return;
    const rare = ["send is short", "recv is short", "send waits", "recv is cut", "ppoll is cut"];
    for (const what of rare) assert((counts[what] ?? 0) > 0, `no ${what} by seed ${SEED}`);
  });
}
