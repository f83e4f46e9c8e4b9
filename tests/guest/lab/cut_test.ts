/**
 * A flow that ends anywhere: what a receiver of mapped pages gets is what was sent, up to there.
 */
import "../../vm/in_guest.ts";
import { Buffer } from "node:buffer";
import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { SHUT_WR } from "../../../ffi/abi/socket.ts";
import { SysError } from "../../../ffi/errno.ts";
import type { KernelSocket } from "../../../src/kernel/socket.ts";
import { seeded } from "../../../src/loopback/random.ts";
import type { Batch } from "../../../src/receive/batch.ts";
import { openReceiver } from "../../../src/receive/receiver.ts";
import { type SocketType, WOULD_BLOCK } from "../../../src/socket.ts";
import { openPair } from "./pair.ts";

/** How often each. */
const ROUNDS = Number(process.env["VSOCKIT_ROUNDS"] ?? 250);
const MOST = 200_000;
const PAGES = 16;
const seed = Number(process.env["VSOCKIT_SEED"] ?? Math.floor(Math.random() * 2 ** 32));
const REPLAY = `VSOCKIT_SEED=${seed}`;
const random = seeded(seed);
const below = (limit: number): number => Math.floor(random() * limit);
const PATTERN = Uint8Array.from({ length: MOST }, (_, at) => at * 31 + (at >> 8));

/** How the sender ends. */
type End = "shutdown" | "close" | "reset";

/** A flow on its way, and how much of it has come. */
interface Flow {
  readonly type: SocketType;
  /** Where messages end. */
  readonly bounds: Set<number>;
  got: number;
}

/** Compares what came with what was sent at that place. */
function check(flow: Flow, data: Uint8Array, endOfMessage: boolean): void {
  const sent = PATTERN.subarray(flow.got, flow.got + data.length);
  assertEquals(Buffer.compare(data, sent), 0, `${REPLAY}: bytes ${flow.got} and on`);
  flow.got += data.length;
  if (flow.type === "stream") return;
  assertEquals(endOfMessage, flow.bounds.has(flow.got), `${REPLAY}: a bound at ${flow.got}`);
}

function checkBatch(flow: Flow, batch: Batch): void {
  for (const { data, endOfMessage } of batch) check(flow, data, endOfMessage);
  batch.release();
}

const buffer = new Uint8Array(MOST);

/** recv(2) of some bytes, or of the rest of a message. */
function receiveCopy(flow: Flow, here: KernelSocket): void {
  const most = flow.type === "stream" ? 1 + below(20_000) : MOST;
  const length = here.recv(buffer.subarray(0, most), 0);
  if (length > 0) check(flow, buffer.subarray(0, length), true);
}

/** A reset is what a closed peer answers. */
function end(how: End, here: KernelSocket, there: KernelSocket): void {
  if (how === "shutdown") return there.shutdown(SHUT_WR);
  there.close();
  if (how !== "reset") return;
  try {
    here.send(PATTERN.subarray(0, 1), 0);
  } catch (error) {
    assert(error instanceof SysError && error.code === "EPIPE", `${error}`);
  }
}

/** `mixes`: takes some of it by recv(2), between the batches. */
async function round(how: End, type: SocketType, mixes: boolean): Promise<void> {
  const { here, there } = await openPair(type);
  using _here = here;
  using _there = there;
  using receiver = openReceiver(here, { mode: "map", pages: PAGES });
  const flow: Flow = { type, bounds: new Set(), got: 0 };
  const total = below(MOST);
  let [sent, next] = [0, 1 + below(40_000)];
  while (sent < total) {
    const chunk = PATTERN.subarray(sent, Math.min(total, sent + next));
    const taken = there.send(chunk, 0);
    if (taken !== WOULD_BLOCK) {
      sent += taken;
      flow.bounds.add(sent);
      next = 1 + below(40_000); // a message that was refused is to be sent again
    }
    if (mixes && below(2) === 0) receiveCopy(flow, here);
    const batch = taken === WOULD_BLOCK || below(3) === 0 ? receiver.tryReceive() : undefined;
    if (batch) checkBatch(flow, batch);
  }
  end(how, here, there);
  for (;;) {
    if (mixes && below(2) === 0) receiveCopy(flow, here);
    const batch = await receiver.receive({ timeoutMs: 30_000 });
    if (batch === null) break;
    checkBatch(flow, batch);
  }
  assertEquals(flow.got, sent, `${REPLAY}: ${how} after ${sent} bytes`);
}

for (const type of ["stream", "seqpacket"] as const) {
  for (const how of ["shutdown", "close", "reset"] as const) {
    test(`Receiver of mapped pages gets all that was sent before a ${how}, ${type}`, {
      timeout: 300_000,
    }, async () => {
      for (let done = 0; done < ROUNDS; done++) await round(how, type, false);
    });
  }

  test(`Receiver of mapped pages takes turns with recv(), ${type}`, {
    timeout: 300_000,
  }, async () => {
    for (let done = 0; done < ROUNDS; done++) await round("shutdown", type, true);
  });
}
