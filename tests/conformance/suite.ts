/**
 * All cases on one transport, as tests of the runtime's runner.
 *
 * @module
 */
import { after, before, test } from "node:test";
import type { Case, Lab, Pair } from "./case.ts";
import { CASES } from "./cases.ts";

/** A case waits for its peer at most this long. */
const TIMEOUT_MS = 60_000;

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
    test(`${lab.name}: ${name}`, { skip, timeout: TIMEOUT_MS }, async () => {
      const used = pair ??= await lab.open();
      pair = undefined;
      let usable = false;
      try {
        await run(used.near, used.far);
        usable = await used.reset();
      } finally {
        if (usable) pair = used;
        else await used.close();
      }
    });
  }
}
