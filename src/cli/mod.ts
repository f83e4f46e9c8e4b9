/**
 * `vsockit`, the command: subcommands over VM sockets.
 *
 * `perf` starts Workers from a file. A bundle of a program that has `perf` needs that as a second
 * entry, beside the first one:
 *
 * ```sh
 * bun build --compile --entry-naming '[name].[ext]' --outfile program program.ts \
 *   node_modules/@vsockit/vsockit/dist/worker.js
 * ```
 *
 * In a bundle of webpack, `module.parser.javascript.importMeta` has to be `false` beside that: else
 * the Worker is looked for where the package was when it was built.
 *
 * @example Measure the loopback from a program
 * ```ts
 * import { main } from "@vsockit/vsockit/cli";
 *
 * const exitCode = await main(["perf", "--megabytes", "16", "--json"]);
 * console.log(exitCode);
 * ```
 *
 * @module
 */
import process from "node:process";
import { EXIT_FAILURE, EXIT_OK, EXIT_USAGE } from "./command.ts";
import { type CommandEntry, COMMANDS, findCommand } from "./commands.ts";
import { asksForHelp } from "./args/line.ts";
import { formatColumns } from "./output/table.ts";
import { processTerminal, type Terminal } from "./output/terminal.ts";
import { UsageError } from "./args/values.ts";
import { VERSION } from "./version.ts";
import { shown } from "../shown.ts";

export type { Terminal } from "./output/terminal.ts";

const HELP = `Usage: vsockit COMMAND [OPTIONS]

VM sockets (AF_VSOCK), with an embedded loopback and zero-copy receive.

Commands:
${formatColumns(COMMANDS.map(({ name, summary }) => [`  ${name}`, summary]))}
vsockit help COMMAND or vsockit COMMAND --help explains a command.
vsockit --version or -V prints the version.
Exit codes: ${EXIT_OK} done, ${EXIT_FAILURE} failed, ${EXIT_USAGE} wrong usage, nothing started.
`;

/**
 * Runs one command line.
 *
 * @param args Everything behind the program's name: the subcommand, then its arguments.
 * @param terminal Where to print. @default The streams of this process. A reader of standard output
 * that goes away ends the process then, quietly, unless the subcommand is one that serves.
 * @returns The exit code: 0 done, 1 failed, 2 wrong usage. Errors are printed, never thrown.
 */
export async function main(args: readonly string[], terminal?: Terminal): Promise<number> {
  if (!Array.isArray(args)) {
    throw new TypeError(`Cannot run: args must be an array: current value is ${shown(args)}`);
  }
  if (terminal !== undefined) return await runLine(args, terminal);
  const onLost = (error: NodeJS.ErrnoException): void => {
    if (findCommand(args[0])?.serves === true) return;
    if (error.code === "EPIPE") process.exit();
    process.stderr.write(`vsockit: Cannot print: ${error.message}\n`);
    process.exit(EXIT_FAILURE);
  };
  const onUnheard = (): void => {}; // nobody left to tell
  process.stdout.on("error", onLost);
  process.stderr.on("error", onUnheard);
  try {
    return await runLine(args, processTerminal());
  } finally {
    process.stdout.off("error", onLost);
    process.stderr.off("error", onUnheard);
  }
}

async function runLine(args: readonly string[], terminal: Terminal): Promise<number> {
  const explains = args[0] === "help";
  const [name, ...rest] = explains ? args.slice(1).filter((word) => !isHelp(word)) : args;
  if (name === "--version" || name === "-V") {
    terminal.out(`vsockit ${VERSION}\n`);
    return EXIT_OK;
  }
  if (isHelp(name) || name === "help" || (explains && name === undefined)) {
    terminal.out(HELP);
    return EXIT_OK;
  }
  if (name === undefined) {
    terminal.err(HELP);
    return EXIT_USAGE;
  }
  const command = findCommand(name);
  if (command === undefined) {
    const what = name.startsWith("-") ? "option" : "command";
    terminal.err(`vsockit: Unknown ${what}: ${name}\nvsockit --help lists the commands\n`);
    return EXIT_USAGE;
  }
  if (explains && rest.length > 0) {
    terminal.err(`vsockit help: Unexpected operand: ${rest[0]}\n`);
    return EXIT_USAGE;
  }
  return await runCommand(command, explains ? ["--help"] : rest, terminal);
}

function isHelp(word: string | undefined): boolean {
  return word === "--help" || word === "-h";
}

async function runCommand(
  { name, load }: CommandEntry,
  args: readonly string[],
  terminal: Terminal,
): Promise<number> {
  try {
    const command = await load();
    if (!asksForHelp(command.flags, args)) return await command.run(args, terminal);
    terminal.out(command.help);
    return EXIT_OK;
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    terminal.err(`vsockit ${name}: ${message}\n`);
    if (!(error instanceof UsageError)) return EXIT_FAILURE;
    terminal.err(`vsockit ${name} --help lists the options\n`);
    return EXIT_USAGE;
  }
}
