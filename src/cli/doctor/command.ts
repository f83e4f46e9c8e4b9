/**
 * `vsockit doctor`: what this machine can do, and why not.
 *
 * @module
 */
import { CAPABILITIES, probe } from "../../probe.ts";
import type { Finding } from "../../probe/finding.ts";
import { type Command, EXIT_FAILURE, EXIT_OK, EXIT_USAGE } from "../command.ts";
import { describeFlags, type Flag, flag } from "../args/flags.ts";
import { parseLine } from "../args/line.ts";
import { formatColumns } from "../output/table.ts";
import type { Terminal } from "../output/terminal.ts";
import { UsageError } from "../args/values.ts";
import { formatCosts, measureCosts } from "./costs.ts";

const FLAGS: readonly Flag[] = [
  flag("--json", "one JSON object in place of text"),
];
const NAMES = [...CAPABILITIES.keys()];
const LIST = formatColumns(Array.from(CAPABILITIES, ([name, about]) => [`  ${name}`, about]));

const HELP = `Usage: vsockit doctor [OPTIONS] [NAME...]

Says what this machine can do: yes or no, why, and the cure. Then it measures,
over the loopback and TCP, the time to copy and to map what has come, by which
receivers choose between the two. Nothing is connected or sent over AF_VSOCK.
With NAMEs it looks at those alone, and fails where one is missing.

${describeFlags(FLAGS)}
NAME is one of:
${LIST}
The object of --json has a member for each NAME:
  ok     true or false
  value  what is there: a version, a limit in bytes, a CID; or left out
  why    why it is there or not
  cure   what to do about it, a command where there is one; or left out
and without NAMEs a member receive_costs, with one for each carrier that maps:
  map_from  bytes of a wake-up from which on mapping is cheaper, or null
  sizes     an array of {bytes, copy_ns, map_ns}

Exit codes: ${EXIT_OK} done, ${EXIT_FAILURE} a NAME is missing, ${EXIT_USAGE} wrong usage.
`;

/** The subcommand `doctor`. */
export const doctor: Command = {
  help: HELP,
  flags: FLAGS,
  words: NAMES,
  async run(args: readonly string[], terminal: Terminal): Promise<number> {
    const { given, operands } = parseLine(FLAGS, args);
    const unknown = operands.find((name) => !CAPABILITIES.has(name));
    if (unknown !== undefined) throw new UsageError(`Unknown capability: ${unknown}`);
    const all = operands.length === 0;
    const findings = all ? probe() : probe(operands);
    const json = given.has("json");
    if (!json) terminal.out(formatFindings(findings, terminal.outColor === true));
    const costs = all ? await measureCosts() : {};
    if (json) {
      const measured = all ? { receive_costs: costs } : {};
      terminal.out(`${JSON.stringify({ ...Object.fromEntries(findings), ...measured })}\n`);
    } else terminal.out(formatCosts(costs));
    const missing = Array.from(findings.values()).some(({ ok }) => !ok);
    return !all && missing ? EXIT_FAILURE : EXIT_OK;
  },
};

const [GREEN, RED, RESET] = ["\x1b[32m", "\x1b[31m", "\x1b[39m"];

/** A line for each finding, and one for its cure. */
export function formatFindings(findings: ReadonlyMap<string, Finding>, color: boolean): string {
  const width = Math.max(...Array.from(findings.keys(), ({ length }) => length));
  const paint = (ok: boolean, text: string): string =>
    color ? `${ok ? GREEN : RED}${text}${RESET}` : text;
  return Array.from(findings, ([name, { ok, value, why, cure }]) => {
    const answer = paint(ok, ok ? "yes" : "no ");
    const what = value === undefined ? why : `${value}: ${why}`;
    const line = `${answer}  ${name.padEnd(width)}  ${what}\n`;
    return cure === undefined ? line : `${line}${" ".repeat(width + 7)}cure: ${cure}\n`;
  }).join("");
}
