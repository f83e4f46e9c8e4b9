/**
 * Random calls come to the same on sockets of the kernel and of the loopback, one by one.
 * `VSOCKIT_SEED` replays a run, `VSOCKIT_ROUNDS` makes more sequences of calls.
 */
import "../vm/in_guest.ts";
import process from "node:process";
import { test } from "node:test";
import { createLoopback, ManualClock } from "../../src/loopback/mod.ts";
import { seeded } from "../../src/loopback/random.ts";
import type { Transport } from "../../src/transport.ts";
import { type Call, Sequences } from "../fuzz/socket_calls.ts";
import { differences, shrunk } from "../fuzz/socket_world.ts";
import { KernelGround } from "./ground.ts";
import { kernelDifferences } from "./kernel.ts";

const ROUNDS = Number(process.env["VSOCKIT_ROUNDS"] ?? 60);
const SEED = Number(process.env["VSOCKIT_SEED"] ?? 1); // what is new to us fails no run of the suite
const CALLS = 25;

/** Its clock stands still: the kernel's would have to go on for seconds. */
function loopback(): Transport {
  return createLoopback({ clock: new ManualClock() });
}

/** Fails with the calls that it takes. */
async function fail(seed: number, calls: readonly Call[], kernel: KernelGround): Promise<never> {
  const fewer = await shrunk(calls, async (sequences) => {
    return (await differences(sequences, loopback, kernel)).map((found) => found !== undefined);
  });
  const [found] = await differences([fewer], loopback, kernel);
  const lines = fewer.map((call, at) => `${at}: ${JSON.stringify(call)}`);
  throw new Error(`VSOCKIT_SEED=${seed} VSOCKIT_ROUNDS=1: ${found}\n${lines.join("\n")}`);
}

const others = await kernelDifferences();
const skip = others.size > 0 && `the loopback keeps to Linux 6.12: ${[...others.values()][0]}`;

test(`createLoopback() does as the kernel does, in ${ROUNDS} sequences of calls`, {
  timeout: 1_000_000,
  skip,
}, async () => {
  using kernel = await KernelGround.open();
  const { mapRx } = kernel.transport.capabilities;
  const seeds = Array.from({ length: ROUNDS }, (_, at) => (SEED + at) >>> 0);
  const sequences = seeds.map((seed) => new Sequences(seeded(seed), mapRx).draw(CALLS));
  const found = await differences(sequences, loopback, kernel);
  const at = found.findIndex((what) => what !== undefined);
  if (at >= 0) await fail(seeds[at]!, sequences[at]!, kernel);
});
