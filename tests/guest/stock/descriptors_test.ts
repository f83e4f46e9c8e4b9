/** No call leaves a descriptor behind, whether it succeeds or fails. */
import "../../vm/in_guest.ts";
import { readdirSync } from "node:fs";
import { test } from "node:test";
import { assertLessOrEqual, assertRejects, assertThrows } from "@std/assert";
import { VMADDR_PORT_ANY } from "../../../ffi/abi/vm_sockets.ts";
import { connect } from "../../../src/connect.ts";
import { VsockError } from "../../../src/error.ts";
import { openVsock } from "../../../src/kernel/transport.ts";
import { listen } from "../../../src/listen.ts";
import type { VsockAddress } from "../../../src/address.ts";
import type { Listener } from "../../../src/listener.ts";
import type { SocketType } from "../../../src/socket.ts";
import { NO_SEQPACKET } from "../kernel.ts";

const transport = openVsock();
const ROUNDS = 500;
/** What a runtime may open for its own thread meanwhile: more than that, less than a round each. */
const ITS_OWN = 20;

function descriptors(): number {
  return readdirSync("/proc/self/fd").length;
}

/** Connects, writes a byte, and closes both ends. */
async function meet(listener: Listener<VsockAddress>, type: SocketType): Promise<void> {
  const { port } = listener.addr;
  const [near, far] = await Promise.all([
    connect({ cid: 1, port }, { transport, type }),
    listener.accept(),
  ]);
  await near.write(Uint8Array.of(1, 2));
  await far.read(new Uint8Array(2));
  near.close();
  far.close();
}

/** Has the thread that watches descriptors, and the ring, come up with what they need. */
async function warmUp(listener: Listener<VsockAddress>): Promise<void> {
  await assertRejects(() => listener.accept({ timeoutMs: 100 }), VsockError, "ETIMEDOUT");
  await meet(listener, listener.type);
}

for (const type of ["stream", "seqpacket"] as const) {
  test(`connect() ${ROUNDS * 2} times, half of them refused, leaves no descriptor: ${type}`, {
    timeout: 300_000,
    skip: type === "seqpacket" && NO_SEQPACKET,
  }, async () => {
    using listener = listen({ cid: 1, port: VMADDR_PORT_ANY }, { transport, type });
    using closed = listen({ cid: 1, port: VMADDR_PORT_ANY }, { transport, type });
    const refused = { cid: 1, port: closed.addr.port };
    closed.close();
    await warmUp(listener);
    const before = descriptors();
    for (let round = 0; round < ROUNDS; round++) {
      await meet(listener, type);
      await assertRejects(() => connect(refused, { transport, type }), VsockError, "ECONNRESET");
    }
    assertLessOrEqual(descriptors(), before + ITS_OWN);
  });
}

test("connect() that is refused before it begins leaves no descriptor", {
  timeout: 60_000,
}, async () => {
  const [nowhere, here] = [{ cid: 77, port: 1 }, { cid: 1, port: VMADDR_PORT_ANY }];
  using taken = listen(here, { transport });
  await warmUp(taken);
  const before = descriptors();
  for (let round = 0; round < 200; round++) {
    await assertRejects(() => connect(nowhere, { transport }), VsockError, "ENODEV");
    const localAddress = { cid: 1, port: taken.addr.port };
    const options = { transport, localAddress };
    await assertRejects(() => connect(here, options), VsockError, "EADDRINUSE");
    const signal = AbortSignal.timeout(0);
    await assertRejects(() => connect({ cid: 1, port: 1 }, { transport, signal }));
    assertThrows(() => listen({ cid: 1, port: taken.addr.port }, { transport }), VsockError);
  }
  assertLessOrEqual(descriptors(), before + ITS_OWN);
});
