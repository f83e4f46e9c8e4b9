/**
 * Where the numbers come from.
 *
 * @module
 */
import { cpus, loadavg, machine, release, type, version } from "node:os";

/** A machine, as far as numbers depend on it. */
export interface Machine {
  /** Model and count of its processors. */
  readonly cpu: string;
  /** Name, release, architecture and build. */
  readonly kernel: string;
  /** How many threads wanted to run, over the last minute before the benches. */
  readonly load: number;
}

/** The one that runs this. */
export function thisMachine(): Machine {
  const processors = cpus();
  const model = processors[0]?.model.trim() || "unknown processor";
  return {
    cpu: `${processors.length} x ${model}`,
    kernel: `${type()} ${release()} ${machine()}, ${version()}`,
    load: loadavg()[0] ?? NaN,
  };
}
