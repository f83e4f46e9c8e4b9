/**
 * All cases on one transport, as tests of the runtime's runner.
 *
 * @module
 */
import { after, before, test } from "node:test";
import type { Case, Lab, Pair } from "./case.ts";
import { CASES } from "./cases.ts";

/** A case waits for its peer at most this long. */
const CASE_MS = 200_000;
/** And a test, for a machine to be booted too: the runner's own limit would leave that running. */
const TEST_MS = 500_000;

/**
 * Defines one test for each case. The pair is set up once; a case that fails, or kills the far end,
 * costs it.
 */
export function conformance(lab: Lab, cases: readonly Case[] = CASES): void {
  let pair: Pair | undefined;
  before(async () => {
    pair = await lab.open();
  });
  after(async () => {
    await pair?.close();
  });
  for (const { name, needs, run } of cases) {
    const missing = needs.filter((need) => !lab.has.has(need));
    const why = missing.map((need) => `${need}: ${lab.lacks[need] ?? "this transport has none"}`);
    const difference = lab.differs?.get(name);
    const skip = missing.length > 0 ? `needs ${why.join("; ")}` : difference ?? false;
    test(`${lab.name}: ${name}`, { skip, timeout: TEST_MS }, async () => {
      const used = pair ?? await lab.open();
      pair = undefined;
      if (await runCase(used, run, CASE_MS)) pair = used;
    });
  }
}

/**
 * Runs one case on `pair`: resolves with whether that can be used again, and has closed it if not,
 * however the case ends, or where it does not within `limitMs`.
 */
export async function runCase(pair: Pair, run: Case["run"], limitMs: number): Promise<boolean> {
  const late = Promise.withResolvers<never>();
  const reason = new Error(`the case is not over after ${limitMs} ms`);
  const timer = setTimeout(() => late.reject(reason), limitMs);
  const whole = async (): Promise<boolean> => {
    await run(pair.near, pair.far);
    return await pair.reset();
  };
  let usable = false;
  try {
    return usable = await Promise.race([whole(), late.promise]);
  } finally {
    clearTimeout(timer);
    if (!usable) await pair.close();
  }
}
