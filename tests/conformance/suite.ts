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

/** Defines one test for each case. The pair is set up once; a case that fails gets a new one. */
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
    const skip = missing.length > 0 && `needs ${why.join("; ")}`;
    test(`${lab.name}: ${name}`, { skip, timeout: TIMEOUT_MS }, async () => {
      pair ??= await lab.open();
      const { near, far } = pair;
      try {
        await run(near, far);
        await pair.reset();
      } catch (error) {
        const broken = pair;
        pair = undefined;
        await broken.close();
        throw error;
      }
    });
  }
}
