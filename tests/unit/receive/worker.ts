/** The transmitter of `loopback_test.ts`: connects, sends, and goes its way. */
import process from "node:process";
import { workerData } from "node:worker_threads";
import { POLLIN, POLLOUT } from "../../../ffi/abi/poll.ts";
import { type LoopbackEnd, openLoopback } from "../../../src/loopback/mod.ts";
import { WOULD_BLOCK } from "../../../src/socket.ts";
import { pattern } from "./fake.ts";

interface Task {
  readonly end: LoopbackEnd;
  readonly port: number;
  /** How many times `pattern(100_000)`. */
  readonly rounds: number;
  /** Milliseconds of silence before the second round. */
  readonly silenceMs: number;
  /** Ends the thread in place of closing the connection. */
  readonly dies: boolean;
}

const { end, port, rounds, silenceMs, dies } = workerData as Task;
const transport = openLoopback(end);
const socket = transport.socket("stream");
socket.connect({ cid: transport.peerCid, port });
socket.waitSync(POLLOUT, Infinity);
for (let round = 0; round < rounds; round++) {
  if (round === 1) socket.waitSync(POLLIN, silenceMs);
  let rest: Uint8Array = pattern(100_000, round);
  while (rest.length > 0) {
    const sent = socket.send(rest, 0);
    if (sent === WOULD_BLOCK) socket.waitSync(POLLOUT, Infinity);
    else rest = rest.subarray(sent);
  }
}
if (dies) process.exit();
socket.close();
socket.waitSync(POLLIN, 0);
