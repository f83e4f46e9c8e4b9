/** Run by zero_copy_process_test.ts where little memory may be locked: a sender of too much. */
import { setImmediate } from "node:timers/promises";
import { MSG_DONTWAIT, SO_SNDBUF, SOL_SOCKET } from "../../../ffi/abi/socket.ts";
import { send, setsockopt } from "../../../ffi/libc.ts";
import type { TcpAddress } from "../../../src/address.ts";
import type { KernelSocket } from "../../../src/kernel/socket.ts";
import { openTcpPair, type TcpPair } from "../../helpers/tcp_pair.ts";

const [PART, BEFORE, ROOM, TURNS] = [4_096, 1 << 21, 1 << 22, 100];

/** One whose sends have all the memory, behind others that stay: nothing reads. */
async function full(): Promise<TcpPair> {
  for (let tries = 0; tries < 1_000; tries++) { // others of this user may have all of it
    const pair = await openTcpPair();
    const { fd, zeroCopy } = pair.near.socket as KernelSocket<TcpAddress>;
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, Int32Array.of(ROOM));
    send(fd, new Uint8Array(BEFORE), MSG_DONTWAIT); // more than the receiver has room for
    while (zeroCopy!.send(new Uint8Array(PART), () => {}) > 0);
    if (zeroCopy!.full) return pair;
    pair[Symbol.dispose]();
  }
  throw new Error("others have all the memory that may be locked");
}

using pair = await full();
const { near, far } = pair;
const zeroCopy = near.socket.zeroCopy!;
const early = await zeroCopy.wait(AbortSignal.abort("early")).catch((reason) => reason);
const over = new AbortController();
const aborted = zeroCopy.wait(over.signal).catch((reason) => reason);
let waits = true;
const room = zeroCopy.wait().then(() => waits = false);
for (let turn = 0; turn < TURNS; turn++) await setImmediate();
const waited = waits;
over.abort("aborted");
const reason = await aborted;
while (waits) await Promise.race([room, far.read(new Uint8Array(ROOM))]);
console.log(JSON.stringify({ early, waited, reason, full: zeroCopy.full }));
