import { test } from "node:test";
import { setImmediate, setTimeout as delay } from "node:timers/promises";
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { SO_LINGER, SOL_SOCKET } from "../../../ffi/abi/socket.ts";
import type { Conn } from "../../../src/conn.ts";
import { connect } from "../../../src/connect.ts";
import { createFetch } from "../../../src/http/fetch.ts";
import { Pool } from "../../../src/http/pool.ts";
import type { ServeHandler } from "../../../src/http/serve.ts";
import { listen } from "../../../src/listen.ts";
import { createLoopback } from "../../../src/loopback/mod.ts";
import { until } from "../../helpers/until.ts";
import { bytes, Site } from "./helpers.ts";

const limit = { timeout: 60_000 };
const never: ServeHandler = () => new Promise<Response>(() => {});
const path: ServeHandler = (request) => new Response(new URL(request.url).pathname);

/** What a fetch came to. */
async function outcome(fetched: Promise<Response>): Promise<string> {
  try {
    return await (await fetched).text();
  } catch (error) {
    return `${error}`;
  }
}

const CLOSED = "TypeError: Cannot fetch: the client is closed";

test(
  "FetchClient.close fails what is under way and what waits, and dials no more",
  limit,
  async () => {
    await using site = new Site(never, {}, { maxConnections: 1 });
    const fetched = ["/1", "/2", "/3"].map((path) => outcome(site.fetch(path)));
    await delay(10);
    site.client.close();
    assertEquals(await Promise.all(fetched), [CLOSED, CLOSED, CLOSED]);
    await delay(10);
    assertEquals(site.dials, 1);
  },
);

test("FetchClient.close fails a request on a kept connection", limit, async () => {
  await using site = new Site((request, info) => {
    return request.url.endsWith("/slow") ? never(request, info) : new Response("hello");
  });
  assertEquals(await outcome(site.fetch("/")), "hello");
  const fetched = outcome(site.fetch("/slow"));
  await delay(10);
  site.client.close();
  assertEquals([await fetched, site.dials], [CLOSED, 1]);
});

test("FetchClient.close fails a body that is being read", limit, async () => {
  await using site = new Site(() => {
    return new Response(new ReadableStream({ start: (body) => body.enqueue(new Uint8Array(9)) }));
  });
  const response = await site.fetch("/");
  const read = assertRejects(() => response.text(), TypeError, "the client is closed");
  site.client.close();
  await read;
});

test("FetchClient.close fails a request that dials, and closes what it gets", limit, async () => {
  const dialled = Promise.withResolvers<Conn>();
  await using site: Site = new Site(path, {}, { connect: () => dialled.promise });
  const fetched = site.fetch("/");
  site.client.close();
  assertEquals(await outcome(fetched), CLOSED);
  const conn = await site.dial();
  dialled.resolve(conn);
  await delay(10);
  assertEquals(conn.socket.closed, true);
});

test("FetchClient.close fails what is fetched in its turn or later", limit, async () => {
  await using site = new Site(path);
  const fetched = outcome(site.fetch("/"));
  site.client.close();
  assertEquals([await fetched, await outcome(site.fetch("/"))], [CLOSED, CLOSED]);
});

test(
  "fetch opens no more than maxConnections, for all hosts together, and in order",
  limit,
  async () => {
    const [open, asked]: [Set<Conn>, string[]] = [new Set(), []];
    let most = 0;
    let dials = 0;
    await using site: Site = new Site(
      (request, info) => {
        asked.push(new URL(request.url).pathname);
        return path(request, info);
      },
      {},
      {
        maxConnections: 2,
        connect: async (): Promise<Conn> => {
          dials += 1;
          const conn = await site.dial();
          for (const other of open) if (other.socket.closed) open.delete(other);
          most = Math.max(most, open.add(conn).size);
          return conn;
        },
      },
    );
    const paths = Array.from({ length: 50 }, (_, i) => `/${i}`);
    const fetched = paths.map((path, i) => site.client.fetch(`http://vm${i % 3}${path}`));
    assertEquals(await Promise.all(fetched.map(outcome)), paths);
    assertEquals([dials, most, asked], [2, 2, paths]);
  },
);

test("fetch that cannot dial fails alone", limit, async () => {
  let dials = 0;
  await using site: Site = new Site(path, {}, {
    maxConnections: 1,
    connect: (): Promise<Conn> => {
      dials += 1;
      if (dials === 1) throw new RangeError("thrown");
      return dials === 2 ? Promise.reject(new RangeError("rejected")) : site.dial();
    },
  });
  const fetched = ["/1", "/2", "/3", "/4"].map((path) => site.fetch(path));
  const [first, second, ...others] = await Promise.all(fetched.map(outcome));
  assertMatch(first!, /^TypeError: Cannot fetch: connect failed: thrown$/);
  assertMatch(second!, /^TypeError: Cannot fetch: connect failed: rejected$/);
  assertEquals([others, dials], [["/3", "/4"], 3]);
});

test("fetch that is aborted leaves its place to the next", limit, async () => {
  const dialled = Promise.withResolvers<Conn>();
  let dials = 0;
  await using site: Site = new Site(path, {}, {
    maxConnections: 1,
    connect: () => (dials += 1, dialled.promise),
  });
  const abort = new AbortController();
  const dialling = site.fetch("/1", { signal: abort.signal });
  const waiting = site.fetch("/2", { signal: abort.signal });
  const next = outcome(site.fetch("/3"));
  await delay(10);
  abort.abort(new RangeError("enough"));
  for (const aborted of [dialling, waiting]) {
    assertEquals(await outcome(aborted), "RangeError: enough");
  }
  dialled.resolve(site.dial());
  assertEquals([await next, dials], ["/3", 1]);
});

test("fetch that is aborted under way takes its connection with it", limit, async () => {
  await using site = new Site(
    (request, info) => {
      return request.url.endsWith("/slow") ? never(request, info) : path(request, info);
    },
    {},
    { maxConnections: 1 },
  );
  for (const ms of [0, 1, 5]) {
    const slow = site.fetch("/slow", { signal: AbortSignal.timeout(ms) });
    const next = outcome(site.fetch("/next"));
    assertMatch(await outcome(slow), /TimeoutError/);
    assertEquals(await next, "/next");
  }
});

/** Ways to want no more of a body. */
const CANCELS: Readonly<Record<string, (body: ReadableStream) => Promise<void>>> = {
  "cancelled": (body) => body.cancel(new RangeError("no")),
  "cancelled by its reader": (body) => body.getReader().cancel(),
};
for (const [name, cancel] of Object.entries(CANCELS)) {
  test(
    `fetch leaves the next request its connection where a small body is ${name}`,
    limit,
    async () => {
      const asked = Promise.withResolvers<void>();
      const answer = Promise.withResolvers<Response>();
      await using site = new Site(
        (request) => {
          if (request.method === "GET") return new Response("small");
          asked.resolve();
          return answer.promise;
        },
        {},
        { maxConnections: 1 },
      );
      const small = await site.fetch("/");
      const next = outcome(site.fetch("/", { method: "POST", body: "once" }));
      await asked.promise;
      await cancel(small.body!);
      answer.resolve(new Response("next"));
      assertEquals([await next, site.dials], ["next", 1]);
    },
  );
}

test(
  "fetch goes on sending where the response is cancelled once all of it is there",
  limit,
  async () => {
    const sent = Promise.withResolvers<string>();
    await using site = new Site((request) => {
      sent.resolve(request.text());
      return new Response("early");
    });
    let end = (): void => {};
    const body = new ReadableStream({
      start(controller): void {
        controller.enqueue(bytes("all "));
        end = (): void => {
          controller.enqueue(bytes("of it"));
          controller.close();
        };
      },
    });
    const response = await site.fetch("/", { method: "POST", body, duplex: "half" });
    await delay(50);
    await response.body!.cancel();
    end();
    assertEquals(await sent.promise, "all of it");
  },
);

test("fetch uses no connection that its server has closed meanwhile", limit, async () => {
  const conns: Conn[] = [];
  await using site: Site = new Site(path, { idleTimeoutMs: 200 }, {
    connect: async (): Promise<Conn> => {
      const conn = await site.dial();
      conns.push(conn);
      return conn;
    },
  });
  assertEquals(await outcome(site.fetch("/1")), "/1");
  await until(() => conns[0]!.socket.closed);
  assertEquals(await outcome(site.fetch("/2", { method: "POST", body: "once" })), "/2");
  assertEquals(conns.length, 2);
});

test("fetch uses no connection on which more has come than was asked for", limit, async () => {
  const [transport, address] = [createLoopback(), { cid: 1, port: 4003 }];
  using listener = listen(address, { transport });
  const dialled: Conn[] = [];
  using client = createFetch({
    connect: async (): Promise<Conn> => {
      const conn = await connect(address, { transport });
      dialled.push(conn);
      return conn;
    },
  });
  for (const answer of ["first", "second"]) {
    const fetched = outcome(client.fetch("http://vm/"));
    const conn = await listener.accept(); // one for each
    await conn.read(new Uint8Array(4096));
    const head = `HTTP/1.1 200 OK\r\nContent-Length: ${answer.length}\r\n\r\n`;
    await conn.write(bytes(head + answer));
    assertEquals(await fetched, answer);
    await conn.write(bytes("more"));
    while (dialled.at(-1)!.bytesRead < conn.bytesWritten) await setImmediate();
  }
});

test("fetch keeps a connection for idleTimeoutMs", limit, async () => {
  const conns: Conn[] = [];
  await using site: Site = new Site(path, {}, {
    idleTimeoutMs: 20,
    connect: async (): Promise<Conn> => {
      const conn = await site.dial();
      conns.push(conn);
      return conn;
    },
  });
  const began = performance.now();
  assertEquals(await outcome(site.fetch("/1")), "/1");
  await until(() => conns[0]!.socket.closed);
  assert(performance.now() - began >= 19, "it was kept");
  assertEquals(await outcome(site.fetch("/2")), "/2");
});

test("fetch keeps a connection that it opened in vain for idleTimeoutMs", limit, async () => {
  const [begun, opened] = [Promise.withResolvers<void>(), Promise.withResolvers<Conn>()];
  const caller = new AbortController();
  await using site: Site = new Site(path, {}, {
    idleTimeoutMs: 20,
    connect(): Promise<Conn> {
      begun.resolve();
      return opened.promise;
    },
  });
  const fetched = outcome(site.fetch("/", { signal: caller.signal }));
  await begun.promise;
  caller.abort(new Error("enough"));
  assertEquals(await fetched, "Error: enough");
  const conn = await site.dial();
  opened.resolve(conn);
  await until(() => conn.socket.closed);
});

test(
  "fetch() that gets a connection which ends at that moment fails, or dials anew",
  limit,
  async () => {
    const asked = Promise.withResolvers<void>();
    await using site = new Site(
      async () => {
        asked.resolve();
        await delay(50);
        return new Response("x".repeat(20_000)); // its connection is free before it is read
      },
      {},
      { maxConnections: 1 },
    );
    const first = outcome(site.fetch("/1"));
    const second = outcome(site.fetch("/2")); // waits for its turn
    await asked.promise;
    const down = site.server.shutdown();
    assertEquals((await first).length, 20_000);
    await down;
    assertMatch(await second, /ECONNRESET/);
  },
);

test("fetch dials anew where its server has reset a kept connection", limit, async () => {
  using listener = listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  using client = createFetch({ connect: () => connect({ hostname: "127.0.0.1", port }) });
  for (let i = 0; i < 3; i++) {
    const fetched = outcome(client.fetch("http://a/"));
    using conn = await listener.accept();
    await conn.read(new Uint8Array(4096));
    await conn.write(bytes("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
    assertEquals(await fetched, "ok");
    conn.socket.setsockopt(SOL_SOCKET, SO_LINGER, new Uint8Array(Int32Array.of(1, 0).buffer));
    conn.close();
    await delay(10); // so that the client learns of it, as a rule
  }
});

test("fetch gives up a connection whose server says that it closes it at once", limit, async () => {
  const [transport, address] = [createLoopback(), { cid: 1, port: 4003 }];
  using listener = listen(address, { transport });
  const dial = (): Promise<Conn> => connect(address, { transport });
  using client = createFetch({ connect: dial, maxConnections: 1 });
  const answer = async (conn: Conn): Promise<void> => {
    while (await conn.read(new Uint8Array(4096)) !== null) {
      await conn.write(
        bytes("HTTP/1.1 200 OK\r\nKeep-Alive: timeout=0\r\nContent-Length: 2\r\n\r\nok"),
      );
    }
  };
  (async () => {
    for (;;) answer(await listener.accept());
  })().catch(() => {});
  for (let i = 0; i < 3; i++) assertEquals(await outcome(client.fetch("http://a/")), "ok");
});

test("FetchClient.close closes a kept connection", limit, async () => {
  const [transport, address] = [createLoopback(), { cid: 1, port: 4004 }];
  using listener = listen(address, { transport });
  const dial = (): Promise<Conn> => connect(address, { transport });
  using client = createFetch({ connect: dial, idleTimeoutMs: Infinity });
  const fetched = outcome(client.fetch("http://a/"));
  using conn = await listener.accept();
  await conn.read(new Uint8Array(4096));
  await conn.write(bytes("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
  assertEquals(await fetched, "ok");
  client.close();
  assertEquals(await conn.read(new Uint8Array(1)), null);
});

test("fetch gives up a connection whose answer cannot be a Response", limit, async () => {
  const [transport, address] = [createLoopback(), { cid: 1, port: 4005 }];
  using listener = listen(address, { transport });
  const dial = (): Promise<Conn> => connect(address, { transport });
  using client = createFetch({ connect: dial, maxConnections: 1 });
  for (let i = 0; i < 2; i++) {
    const fetched = outcome(client.fetch("http://a/"));
    const conn = await listener.accept();
    await conn.read(new Uint8Array(4096));
    await conn.write(bytes("HTTP/1.1 600 Odd\r\nContent-Length: 9\r\n\r\nodd"));
    assertMatch(await fetched, /^TypeError: Cannot fetch: the response is none of the web's/);
  }
});

test("fetch that is aborted just as it is connected fails", limit, async () => {
  for (let turns = 0; turns < 30; turns++) {
    const abort = new AbortController();
    const later = async (): Promise<void> => {
      for (let turn = 0; turn < turns; turn++) await undefined;
      abort.abort(new RangeError("enough"));
    };
    await using site: Site = new Site(never, {}, {
      connect: async () => {
        const conn = await site.dial();
        later();
        return conn;
      },
    });
    assertEquals(await outcome(site.fetch("/", { signal: abort.signal })), "RangeError: enough");
  }
});

test("Pool.take leaves nothing on a signal that outlives it", limit, async () => {
  await using site = new Site(never);
  using stop = new DisposableStack();
  const options = { maxConnections: 1, idleTimeoutMs: 1_000, unreadTimeoutMs: 1_000 };
  const pool = new Pool({ ...options, connect: () => site.dial() });
  stop.defer(() => pool.close());
  const { signal } = new AbortController();
  const listeners = new Set<unknown>();
  const { addEventListener, removeEventListener } = signal;
  signal.addEventListener = (type: string, listener: EventListener, options?: object): void => {
    listeners.add(listener);
    addEventListener.call(signal, type, listener, options);
  };
  signal.removeEventListener = (type: string, listener: EventListener): void => {
    listeners.delete(listener);
    removeEventListener.call(signal, type, listener);
  };
  (await pool.take(signal)).duplex.destroy();
  assertEquals(listeners.size, 0);
});
