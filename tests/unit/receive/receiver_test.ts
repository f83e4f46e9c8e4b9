import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import type { UsrHdrPage } from "../../../ffi/abi/virtio_vsock_usr.ts";
import { POLLERR, POLLIN } from "../../../ffi/abi/poll.ts";
import { MSG_PEEK } from "../../../ffi/abi/socket.ts";
import { type Code, SysError } from "../../../ffi/errno.ts";
import { VsockError } from "../../../src/error.ts";
import { openReceiver, type ReceiverOptions } from "../../../src/receive/receiver.ts";
import { WOULD_BLOCK } from "../../../src/socket.ts";
import { openPair } from "../../helpers/pair.ts";
import { EOM, FakeSocket, pattern } from "./fake.ts";

const TIMEOUT = { timeout: 60_000 };
const MODES = ["map", "copy"] as const;

function throwsCode(code: Code, f: () => unknown): void {
  assertEquals(assertThrows(f, VsockError).code, code);
}

async function rejectsCode(code: Code, f: () => Promise<unknown>): Promise<void> {
  assertEquals((await assertRejects(f, VsockError)).code, code);
}

const REFUSED: readonly [ReceiverOptions, typeof RangeError | typeof TypeError, string][] = [
  [{ pages: 0 }, RangeError, "Cannot use pages"],
  [{ pages: 1.5 }, RangeError, "Cannot use pages"],
  [{ pages: NaN }, RangeError, "Cannot use pages"],
  [{ pages: 2 ** 18 }, RangeError, "Cannot use pages"],
  [{ pages: "8" as never }, TypeError, "Cannot use pages"],
  [{ bufferBytes: -1 }, RangeError, "Cannot use bufferBytes"],
  [{ bufferBytes: Infinity }, RangeError, "Cannot use bufferBytes"],
  [{ bufferBytes: 4096, pages: 1 }, TypeError, "Cannot use bufferBytes"],
  [{ mode: "mmap" as never }, TypeError, "Cannot use mode"],
];
for (const [options, type, text] of REFUSED) {
  test(`openReceiver() refuses ${JSON.stringify(options)} before it touches the socket`, () => {
    const socket = new FakeSocket();
    assertThrows(() => openReceiver(socket, options), type, text);
    assertEquals(socket.calls, []);
  });
}

test("openReceiver() maps page 0 and 128 data pages to read, or as many as asked for", () => {
  for (
    const [options, length] of [
      [{}, 129 * 4096],
      [{ pages: 1 }, 2 * 4096],
      [{ bufferBytes: 4097 }, 3 * 4096],
    ] as const
  ) {
    const socket = new FakeSocket();
    assertEquals(openReceiver(socket, options).mapped, true);
    assertEquals(socket.calls, [`mmap(${length}, 1)`]);
  }
});

test("openReceiver() copies in auto mode where zero-copy is off, unknown or impossible", () => {
  for (
    const fake of [
      { zerocopy: false },
      { zerocopy: undefined },
      { mmapError: "EOPNOTSUPP" },
      { mmapError: "ENODEV" },
      { mmapError: "EBUSY" },
      { mmapError: "ENOMEM" },
      { mmapError: "EACCES" },
      { mmapError: "EPERM" },
    ] as const
  ) {
    assertEquals(openReceiver(new FakeSocket(fake)).mapped, false);
  }
  throwsCode("EINVAL", () => openReceiver(new FakeSocket({ mmapError: "EINVAL" })));
});

test("openReceiver() says why it cannot map where that was asked for", () => {
  const map = (socket: FakeSocket) => () => openReceiver(socket, { mode: "map" });
  throwsCode("EOPNOTSUPP", map(new FakeSocket({ zerocopy: false })));
  throwsCode("EOPNOTSUPP", map(new FakeSocket({ zerocopy: undefined })));
  throwsCode("EBUSY", map(new FakeSocket({ mmapError: "EBUSY" })));
});

test("openReceiver() maps each message in auto mode, since recv(2) would take a part for one", () => {
  const socket = new FakeSocket({ type: "seqpacket" });
  using receiver = openReceiver(socket, { pages: 1 });
  socket.arrive(pattern(10_000), EOM);
  for (const length of [4096, 4096, 1808]) {
    using batch = receiver.tryReceive()!;
    assertEquals([batch.mapped, batch.byteLength], [true, length]);
  }
});

test("openReceiver() opens on a connection that is over, and tells what else is wrong", () => {
  const socket = new FakeSocket();
  const fails = (code: Code) => (): never => {
    throw new SysError("getpeername", code);
  };
  socket.remoteAddress = fails("ENOTCONN");
  using receiver = openReceiver(socket, { mode: "copy" });
  socket.end();
  assertEquals(receiver.tryReceive(), null);
  socket.remoteAddress = fails("EBADF");
  throwsCode("EBADF", () => openReceiver(socket));
});

for (const mode of MODES) {
  test(`Receiver.tryReceive() (${mode}) tells nothing yet from end of stream`, () => {
    const socket = new FakeSocket();
    using receiver = openReceiver(socket, { mode });
    assertEquals(receiver.tryReceive(), undefined);
    socket.arrive(pattern(10));
    socket.end();
    receiver.tryReceive()!.release();
    assertEquals(receiver.tryReceive(), null);
    assertEquals(receiver.tryReceive(), null);
  });

  test(`Receiver.tryReceive() (${mode}) throws EBUSY while a batch is held`, () => {
    const socket = new FakeSocket();
    using receiver = openReceiver(socket, { mode });
    socket.arrive(pattern(10, 1));
    const batch = receiver.tryReceive()!;
    socket.arrive(pattern(10, 2));
    throwsCode("EBUSY", () => receiver.tryReceive());
    throwsCode("EBUSY", () => receiver.receiveSync());
    assertEquals([...batch].map(({ data }) => data), [pattern(10, 1)]);
    batch.release();
    using next = receiver.tryReceive()!;
    assertEquals([...next].map(({ data }) => data), [pattern(10, 2)]);
  });

  test(`Receiver.receive() (${mode}) waits, and is alone in that`, TIMEOUT, async () => {
    const socket = new FakeSocket();
    using receiver = openReceiver(socket, { mode });
    const pending = receiver.receive();
    await rejectsCode("EBUSY", () => receiver.receive());
    throwsCode("EBUSY", () => receiver.tryReceive());
    socket.arrive(pattern(10));
    using batch = await pending;
    assertEquals(batch?.byteLength, 10);
  });

  test(`Receiver.receive() (${mode}) honours SO_RCVLOWAT`, TIMEOUT, async () => {
    for (const wait of ["poll", "spin"] as const) {
      const socket = new FakeSocket();
      socket.rcvlowat = 100;
      using receiver = openReceiver(socket, { mode });
      socket.arrive(pattern(50));
      const pending = receiver.receive({ wait });
      socket.arrive(pattern(49));
      await setImmediate();
      socket.arrive(pattern(1));
      using batch = await pending;
      assertEquals(batch?.byteLength, mode === "map" ? 100 : 50);
      assertEquals(socket.queue.length, mode === "map" ? 0 : 2);
    }
  });

  test(`Receiver.receive() (${mode}) ends with ETIMEDOUT and goes on later`, TIMEOUT, async () => {
    const socket = new FakeSocket();
    using receiver = openReceiver(socket, { mode });
    for (const wait of ["poll", "spin"] as const) {
      await rejectsCode("ETIMEDOUT", () => receiver.receive({ wait, timeoutMs: 0 }));
      await rejectsCode("ETIMEDOUT", () => receiver.receive({ wait, timeoutMs: 5 }));
    }
    socket.arrive(pattern(10));
    using batch = await receiver.receive({ timeoutMs: 0 });
    assertEquals(batch?.byteLength, 10);
  });

  test(`Receiver.receive() (${mode}) rejects with the reason of its signal`, TIMEOUT, async () => {
    for (const wait of ["poll", "spin"] as const) {
      const receiver = openReceiver(new FakeSocket(), { mode });
      const [controller, reason] = [new AbortController(), new Error("enough")];
      const pending = receiver.receive({ wait, signal: controller.signal });
      setTimeout(() => controller.abort(reason), 1);
      assertStrictEquals(await assertRejects(() => pending), reason);
      assertStrictEquals(
        await assertRejects(() => receiver.receive({ signal: controller.signal })),
        reason,
      );
    }
  });

  test(`Receiver.receive() (${mode}) gives what had come before an abort`, TIMEOUT, async () => {
    const socket = new FakeSocket();
    using receiver = openReceiver(socket, { mode });
    const controller = new AbortController();
    const { wait } = socket;
    socket.wait = async (events, signal): Promise<number> => {
      const revents = await wait.call(socket, events, signal);
      controller.abort(new Error("too late"));
      return revents;
    };
    const pending = receiver.receive({ signal: controller.signal });
    socket.arrive(pattern(10));
    using batch = await pending;
    assertEquals(batch?.byteLength, 10);
  });

  test(`Receiver.close() (${mode}) ends a pending receive() with EBADF`, TIMEOUT, async () => {
    const { signal } = new AbortController();
    for (const options of [{ wait: "poll" }, { wait: "spin" }, { signal }] as const) {
      const socket = new FakeSocket();
      const receiver = openReceiver(socket, { mode });
      const pending = receiver.receive(options);
      setTimeout(() => receiver.close(), 1);
      await rejectsCode("EBADF", () => pending);
      assertEquals(socket.closed, false);
    }
  });

  test(`Receiver.close() (${mode}) wins over what comes in the same turn`, TIMEOUT, async () => {
    const socket = new FakeSocket();
    const [receiver, other] = [openReceiver(socket, { mode }), openReceiver(socket, { mode })];
    socket.wait = (): Promise<number> => {
      socket.arrive(pattern(10));
      receiver.close();
      return Promise.resolve(POLLIN);
    };
    await rejectsCode("EBADF", () => receiver.receive());
    socket.turns.end();
    const pending = other.receive();
    other.close();
    await rejectsCode("EBADF", () => pending);
    assertEquals(socket.queue.length, 1);
  });

  test(`Receiver.receive() (${mode}) tells an error that is no end`, TIMEOUT, async () => {
    const socket = new FakeSocket();
    using receiver = openReceiver(socket, { mode });
    socket.wait = (): Promise<number> => {
      socket.errno = 113;
      return Promise.resolve(POLLERR);
    };
    await rejectsCode("EHOSTUNREACH", () => receiver.receive());
  });

  test(`Receiver.close() (${mode}) releases the open batch, and only once`, () => {
    const socket = new FakeSocket();
    let told = 0;
    const receiver = openReceiver(socket, { mode }, () => told++);
    socket.arrive(pattern(10));
    const batch = receiver.tryReceive()!;
    const [{ data }] = batch as Iterable<{ data: Uint8Array }> as [{ data: Uint8Array }];
    receiver.close();
    receiver.close();
    assertEquals([batch.released, data.length, told], [true, 0, 1]);
    throwsCode("EBADF", () => receiver.tryReceive());
    throwsCode("EBADF", () => receiver.waitSync());
    throwsCode("EBADF", () => receiver.receiveSync());
  });

  test(`Receiver (${mode}) iterates to the end and releases each batch`, TIMEOUT, async () => {
    const socket = new FakeSocket();
    using receiver = openReceiver(socket, { mode });
    setTimeout(() => socket.arrive(pattern(10, 2)), 1);
    setTimeout(() => socket.end(), 2);
    socket.arrive(pattern(10, 1));
    const [got, views]: [number[], Uint8Array[]] = [[], []];
    for await (const batch of receiver) {
      for (const { data } of batch) {
        got.push(...data);
        views.push(data);
      }
    }
    assertEquals(got, [...pattern(10, 1), ...pattern(10, 2)]);
    assertEquals(views.map(({ length }) => length), views.map(() => 0));
  });

  test(`Receiver (${mode}) ends with what SO_ERROR says, again and again`, () => {
    const socket = new FakeSocket();
    using receiver = openReceiver(socket, { mode });
    socket.arrive(pattern(10));
    socket.errno = 105;
    socket.end();
    receiver.tryReceive()!.release();
    throwsCode("ENOBUFS", () => receiver.tryReceive());
    throwsCode("ENOBUFS", () => receiver.tryReceive());
  });
}

test("Receiver refuses bad options of a wait with nothing changed", TIMEOUT, async () => {
  const socket = new FakeSocket();
  using receiver = openReceiver(socket);
  socket.arrive(pattern(10));
  for (const timeoutMs of [-1, NaN]) {
    assertThrows(() => receiver.receiveSync({ timeoutMs }), RangeError, "Cannot use timeoutMs");
  }
  await assertRejects(() => receiver.receive({ wait: "sleep" as never }), TypeError, "Cannot use");
  assertEquals(socket.queue.length, 1);
});

test("Receiver.waitSync() looks at page 0 before it makes a call", () => {
  const socket = new FakeSocket();
  using receiver = openReceiver(socket);
  socket.arrive(pattern(10));
  socket.calls.length = 0;
  assert(receiver.waitSync());
  assert(receiver.waitSync({ wait: "spin" }));
  assertEquals(socket.calls, []);
});

test("Receiver.waitSync() spins without a call until its time is over", () => {
  const socket = new FakeSocket();
  using receiver = openReceiver(socket);
  socket.calls.length = 0;
  assertEquals(receiver.waitSync({ wait: "spin", timeoutMs: 2 }), false);
  assertEquals(socket.calls, []);
});

test("Receiver.waitSync() gives the carrier a turn while it spins for long", TIMEOUT, () => {
  const socket = new FakeSocket();
  using receiver = openReceiver(socket);
  socket.calls.length = 0;
  throwsCode("EOPNOTSUPP", () => receiver.waitSync({ wait: "spin" }));
  assertEquals(socket.calls, ["waitSync(1, 1)"]);
});

test("Receiver.waitSync() goes on spinning after a turn of the carrier that brought nothing", () => {
  const socket = new FakeSocket();
  using receiver = openReceiver(socket);
  const given = [0, POLLIN, POLLIN];
  socket.waitSync = (): number => given.shift()!;
  assertEquals([receiver.waitSync({ wait: "spin" }), given], [true, [POLLIN]]);
});

test("Receiver.waitSync() blocks for what is left of its time, or for ever", () => {
  const socket = new FakeSocket();
  using receiver = openReceiver(socket, { mode: "copy" });
  const waits: number[] = [];
  socket.waitSync = (_events, timeoutMs): number => waits.push(timeoutMs);
  for (const options of [{}, { timeoutMs: 60_000 }, { timeoutMs: 0 }]) receiver.waitSync(options);
  const [ever, some, none] = waits as [number, number, number];
  assertEquals([ever, some > 0 && some <= 60_000, none], [Infinity, true, 0]);
});

test("Receiver.waitSync() does not spin where nobody could end it", () => {
  const socket = new FakeSocket({ spins: false });
  using receiver = openReceiver(socket);
  throwsCode("EOPNOTSUPP", () => receiver.waitSync({ wait: "spin" }));
  throwsCode("EOPNOTSUPP", () => receiver.receiveSync({ wait: "spin" }));
});

test("Receiver.receive() lets the event loop run where spinning is in vain", TIMEOUT, async () => {
  const socket = new FakeSocket({ spins: false });
  using receiver = openReceiver(socket);
  setTimeout(() => socket.arrive(pattern(10)), 1);
  using batch = await receiver.receive({ wait: "spin" });
  assertEquals(batch?.byteLength, 10);
});

test("Receiver.receive() goes on after a poll_value of 1 with nothing there", TIMEOUT, async () => {
  for (const wait of ["poll", "spin"] as const) {
    const socket = new FakeSocket();
    using receiver = openReceiver(socket);
    socket.mapping!.page.storePollValue(1);
    setTimeout(() => socket.arrive(pattern(10)), 1);
    using batch = await receiver.receive({ wait });
    assertEquals(batch?.byteLength, 10);
  }
});

test("Receiver.receiveSync() ends in time though poll_value lies", TIMEOUT, () => {
  const socket = new FakeSocket();
  using receiver = openReceiver(socket);
  socket.mapping!.forge = (page) => {
    page.setHdrNum(0);
    page.storePollValue(1);
  };
  socket.mapping!.page.storePollValue(1);
  throwsCode("ETIMEDOUT", () => receiver.receiveSync({ wait: "spin", timeoutMs: 2 }));
  throwsCode("EOPNOTSUPP", () => receiver.receiveSync({ wait: "poll" }));
});

for (const mode of MODES) {
  test(`Receiver.receiveSync() (${mode}) takes what comes while it blocks`, TIMEOUT, () => {
    const socket = new FakeSocket();
    using receiver = openReceiver(socket, { mode });
    let waits = 0;
    socket.waitSync = (): number => {
      if (waits++ === 0) return POLLERR; // of a record of MSG_ZEROCOPY, which is no error
      if (waits === 2) socket.arrive(pattern(10));
      return POLLIN;
    };
    using batch = receiver.receiveSync({ timeoutMs: 5_000 });
    assertEquals([batch?.byteLength, waits], [10, 2]);
  });

  test(`Receiver.receive() (${mode}) takes no event for an end that is none`, TIMEOUT, async () => {
    const socket = new FakeSocket();
    using receiver = openReceiver(socket, { mode });
    const { wait } = socket;
    socket.wait = (): Promise<number> => {
      socket.wait = wait;
      setTimeout(() => socket.arrive(pattern(10)), 1);
      return Promise.resolve(POLLERR);
    };
    using batch = await receiver.receive();
    assertEquals(batch?.byteLength, 10);
  });
}

test("Receiver gives the pages back and stays broken after a page 0 that makes no sense", () => {
  const socket = new FakeSocket();
  using receiver = openReceiver(socket, { mode: "map", pages: 4 });
  socket.mapping!.forge = (page: UsrHdrPage) => {
    page.setHeader(0, 4096 * 9, 0);
    page.setHdrNum(4);
  };
  throwsCode("EPROTO", () => receiver.tryReceive());
  assertEquals([socket.mapping!.advised, socket.mapping!.lent], [1, []]);
  socket.mapping!.forge = undefined;
  throwsCode("EPROTO", () => receiver.tryReceive());
});

test("Receiver takes what came between the last look and the close", () => {
  const socket = new FakeSocket();
  using receiver = openReceiver(socket, { mode: "map" });
  socket.mapping!.forge = (page) => {
    page.setHdrNum(0);
    socket.arrive(pattern(10));
    socket.end();
  };
  assertEquals(receiver.tryReceive(), undefined);
  socket.mapping!.forge = undefined;
  receiver.tryReceive()!.release();
  assertEquals(receiver.tryReceive(), null);
});

test("Receiver refuses a message that was cut after all", () => {
  const socket = new FakeSocket({ type: "seqpacket", bufferSize: 1 });
  const recv = socket.recv.bind(socket);
  socket.recv = (buffer, flags, out): number => {
    if ((flags & MSG_PEEK) !== 0) throw new SysError("recv", "EOPNOTSUPP"); // before Linux 6.6
    return recv(buffer, flags, out);
  };
  using receiver = openReceiver(socket, { mode: "copy", pages: 1 });
  socket.arrive(pattern(5000), EOM);
  throwsCode("EMSGSIZE", () => receiver.tryReceive());
  throwsCode("EMSGSIZE", () => receiver.tryReceive());
});

test(
  "Receiver.receive() looks ever more rarely where a message stays a half",
  TIMEOUT,
  async () => {
    const socket = new FakeSocket();
    using receiver = openReceiver(socket, { mode: "copy" });
    let looks = 0;
    socket.poll = (): number => POLLIN;
    socket.wait = (): Promise<number> => Promise.resolve(POLLIN);
    socket.recv = (): number => (looks += 1, WOULD_BLOCK);
    const held = setInterval(() => {}, 1_000); // as a wait of a real socket holds the event loop
    await assertRejects(() => receiver.receive({ timeoutMs: 1_000 }), VsockError, "ETIMEDOUT");
    clearInterval(held);
    // 32 at once, then 8 naps of each length: a spin would look many thousand times.
    assert(looks > 32 && looks < 100, `${looks}`);
  },
);

test("Receiver cuts no message that came before bufferSize was lowered", TIMEOUT, async () => {
  using pair = await openPair("seqpacket");
  await pair.near.sendMessage(pattern(50_000));
  pair.far.options.bufferSize = 4_096;
  using receiver = pair.far.receiver({ mode: "copy", pages: 1 });
  using batch = await receiver.receive();
  assertEquals(Array.from(batch!, ({ data }) => data.length), [50_000]);
});
