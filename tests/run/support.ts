/**
 * What runs where, as the suite has found it: a table for the README.
 *
 * @module
 */
import { FEATURES } from "../conformance/cases.ts";
import { RUNTIMES } from "../helpers/runtime.ts";
import type { TestCase } from "./report.ts";

/** A transport of the conformance suite, and what it needs. */
interface Row {
  readonly title: string;
  /** Its name in the conformance suite, which begins the names of its tests. */
  readonly lab: string;
  /** Begins the names of the runs that it is in; nothing for those that boot no guest. */
  readonly guest?: string;
  readonly kernel: string;
  readonly permission: string;
}

const FFI = "`--allow-ffi`";
const ROWS: readonly Row[] = [
  { title: "loopback", lab: "loopback", kernel: "any", permission: "none" },
  {
    title: "loopback between threads",
    lab: "loopback between threads",
    kernel: "any",
    permission: "`--allow-read`",
  },
  {
    title: "AF_VSOCK",
    lab: "kernel",
    guest: "guest stock",
    kernel: "Linux, here 6.12",
    permission: FFI,
  },
  {
    title: "AF_VSOCK with the RFC's ABI",
    lab: "kernel",
    guest: "guest lab",
    kernel: "the laboratory's",
    permission: FFI,
  },
  { title: "a VM behind a path", lab: "hybrid", kernel: "Linux", permission: FFI },
  { title: "TCP", lab: "TCP", kernel: "Linux", permission: FFI },
  {
    title: "the device, with a guest",
    lab: "device and Linux",
    guest: "host",
    kernel: "Linux, the guest's 6.12",
    permission: FFI,
  },
];

/** How the cases of a run ended, by their names. */
type Ends = ReadonlyMap<string, TestCase["end"]>;

/** Gathers what a run of the suite has found. */
export class Support {
  readonly #runs: Map<string, Ends> = new Map();

  /** `name` as in the plan: `deno`, or `guest lab (bun)`. */
  add(name: string, tests: readonly TestCase[]): void {
    this.#runs.set(name, new Map(tests.map(({ name, end }) => [name, end])));
  }

  /**
   * Markdown: for each transport, how many cases of each feature pass on all three runtimes; where
   * they are not the same, each runtime's number. A feature that it has not is a dash.
   */
  table(): string {
    const features = [...FEATURES.keys()];
    const lines = ROWS.map((row) => [
      ...[row.title, row.kernel, row.permission],
      ...features.map((feature) => this.#cell(row, feature)),
    ]);
    const head = ["transport", "kernel", "Deno needs", ...features];
    const rule = head.map((_, column) => column < 3 ? "---" : "--:");
    return [head, rule, ...lines].map((cells) => `| ${cells.join(" | ")} |\n`).join("");
  }

  #cell({ lab, guest }: Row, feature: string): string {
    const counts = RUNTIMES.map((runtime) => {
      const ends = this.#runs.get(guest === undefined ? runtime : `${guest} (${runtime})`);
      return ends === undefined ? "?" : countOf(ends, lab, feature);
    });
    return new Set(counts).size === 1 ? counts[0]! : counts.join(" / ");
  }
}

function countOf(ends: Ends, lab: string, feature: string): string {
  const found = FEATURES.get(feature)!.map(({ name }) => ends.get(`${lab}: ${name}`));
  const count = (end: string): number => found.filter((one) => one === end).length;
  if (count("failed") > 0) return `${count("failed")} FAILED`;
  return count("passed") === 0 ? "-" : String(count("passed"));
}
