/** What the suite does of cases that go wrong. */
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { assertEquals, assertRejects } from "@std/assert";
import { POLLIN } from "../../ffi/abi/poll.ts";
import type { Socket } from "../../src/socket.ts";
import type { Near, Pair } from "./case.ts";
import { openPair } from "./ends.ts";
import type { Far } from "./far.ts";
import { farListener, nearListener } from "./helpers.ts";
import { runCase } from "./suite.ts";
import { openTcpAsVsock } from "./tcp_as_vsock.ts";
import { openChannel } from "./worker_channel.ts";

const LIMIT = { timeout: 60_000 };
const LONG_MS = 50_000;

/** A pair with a far end in a Worker, and whether that has ended. */
async function pairWithWorker(): Promise<{ pair: Pair; ended: () => boolean }> {
  let over = false;
  const worker = new Worker(new URL("tcp_worker.ts", import.meta.url));
  worker.once("exit", () => over = true);
  const { channel, end } = openChannel(worker);
  const pair = await openPair({ transport: openTcpAsVsock(), channel, close: end });
  return { pair, ended: () => over };
}

test("runCase() gives a pair back that a case has used, with no socket of it", LIMIT, async () => {
  const { pair, ended } = await pairWithWorker();
  let socket: Socket | undefined;
  const use = (near: Near): void => void (socket = near.socket());
  const usable = await runCase(pair, use, LONG_MS);
  assertEquals([usable, socket?.closed, ended()], [true, true, false]);
  await pair.close();
  assertEquals(ended(), true);
});

test("runCase() ends the far end of a case that never ends", LIMIT, async () => {
  const { pair, ended } = await pairWithWorker();
  const hang = async (near: Near): Promise<void> => {
    await nearListener(near).listener.wait(POLLIN);
    await new Promise(() => {});
  };
  await assertRejects(() => runCase(pair, hang, 50), Error, "not over after 50 ms");
  assertEquals(ended(), true);
});

test("runCase() tells why a case fails whose far end waits on", LIMIT, async () => {
  const { pair, ended } = await pairWithWorker();
  let waiting: Promise<unknown> | undefined;
  const fail = async (_: Near, far: Far): Promise<void> => {
    const { listener } = await farListener(far);
    waiting = listener.accept();
    waiting.catch(() => {});
    throw new RangeError("not what was expected");
  };
  await assertRejects(() => runCase(pair, fail, LONG_MS), RangeError, "not what was expected");
  assertEquals(ended(), true);
  await assertRejects(() => waiting!);
});
