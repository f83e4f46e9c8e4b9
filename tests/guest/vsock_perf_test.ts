/** `vsockit perf` against the kernel's own `vsock_perf`: who sends connects. */
import "../vm/in_guest.ts";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { assert, assertEquals, assertMatch } from "@std/assert";
import { NO_ZEROCOPY } from "./kernel.ts";
import { type Ended, runCommand, runKernelProgram } from "./programs.ts";

const LIMIT = { timeout: 120_000 };
const PERF = ["perf", "--transport", "vsock", "--json", "-v", "256K"];
/** No multiple of a page or of a buffer. */
const BYTES = 8_388_613;
const PAUSE_MS = 100;
let port = 62_000;

/**
 * Runs a sender until it finds the receiver listening, of which neither program tells: with nobody
 * there it ends at once. Gives up when the receiver has ended.
 */
async function sendTo(receiver: Promise<Ended>, send: () => Promise<Ended>): Promise<Ended> {
  let over = false;
  const end = (): boolean => over = true;
  receiver.then(end, end);
  for (;;) {
    const sent = await send();
    if (sent.code === 0 || over) return sent;
    await setTimeout(PAUSE_MS);
  }
}

for (
  const [name, flags] of [["vsock_perf", []], ["vsock_perf --zerocopy", ["--zerocopy"]]] as const
) {
  const skip = flags.length > 0 && NO_ZEROCOPY;
  test(`perf receives all that ${name} sends`, { ...LIMIT, skip }, async () => {
    const at = `${port++}`;
    // With --zerocopy the sender waits until the last bytes are taken, however few they are.
    const receiver = runCommand([...PERF, "--listen", "--port", at, "-b", "64K", "-r", "1"]);
    const sender = ["--sender", "1", "--port", at, "--bytes", `${BYTES}`, ...flags];
    const sent = await sendTo(receiver, () => runKernelProgram("VSOCK_PERF", sender));
    const { code, printed } = await receiver;
    assertEquals([sent.code, code], [0, 0], sent.printed + printed);
    assertEquals(JSON.parse(printed).bytes, BYTES);
  });
}

for (const [name, flags] of [["perf", []], ["perf --tx-zerocopy", ["--tx-zerocopy"]]] as const) {
  const skip = flags.length > 0 && NO_ZEROCOPY;
  test(`${name} sends all that it says to vsock_perf`, { ...LIMIT, skip }, async () => {
    const at = `${port++}`;
    // C's receiver ends after the read that finds the sender gone: that one has to take all.
    const sizes = ["--buf-size", "256K", "--vsk-size", "256K"];
    const receiver = runKernelProgram("VSOCK_PERF", ["--port", at, ...sizes]);
    const sender = [...PERF, "--server", "--cid", "1", "--port", at, "-m", "8193K", ...flags];
    const sent = await sendTo(receiver, () => runCommand(sender));
    const { code, printed } = await receiver;
    assertEquals([sent.code, code], [0, 0], sent.printed + printed);
    assertEquals(JSON.parse(sent.printed).bytes, 8_193 * 1024);
    assertMatch(printed, /^total bytes received: 8389632$/m);
  });
}

test("perf --tx-zerocopy sends to a perf that waits for more than the rest", {
  ...LIMIT,
  skip: NO_ZEROCOPY,
}, async () => {
  const at = `${port++}`;
  const receiver = runCommand([...PERF, "--listen", "--port", at, "-b", "64K", "--verify"]);
  const flags = ["--server", "--cid", "1", "--port", at, "-m", "8193K", "--tx-zerocopy"];
  const sent = await sendTo(receiver, () => runCommand([...PERF, ...flags, "--verify"]));
  const { code, printed } = await receiver;
  assertEquals([sent.code, code], [0, 0], sent.printed + printed);
  const [{ sha256, tx_copied_share }, got] = [JSON.parse(sent.printed), JSON.parse(printed)];
  assertEquals([got.bytes, got.sha256], [8_193 * 1024, sha256]);
  assert(tx_copied_share >= 0 && tx_copied_share < 0.9, sent.printed);
});
