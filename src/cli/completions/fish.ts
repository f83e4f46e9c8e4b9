/**
 * Completion for fish: see complete(1) of fish.
 *
 * @module
 */
import { type Flag, GENERAL_FLAGS } from "../args/flags.ts";
import type { Completed } from "./command.ts";

/** The script that `vsockit completions fish` prints. */
export function fishScript(commands: readonly Completed[]): string {
  const names = commands.map(({ name, summary }) =>
    `complete -c vsockit -n __fish_use_subcommand -a ${name} -d ${quote(summary)}\n`
  );
  const options = GENERAL_FLAGS.map((flag) =>
    `complete -c vsockit -n __fish_use_subcommand ${flagArguments(flag)}\n`
  );
  return `# Completion of vsockit for fish: vsockit completions fish | source
complete -c vsockit -f
${names.join("")}${options.join("")}${commands.map(commandLines).join("")}`;
}

function commandLines({ name, flags, words = [] }: Completed): string {
  const head = `complete -c vsockit -n '__fish_seen_subcommand_from ${name}'`;
  const lines = flags.map((flag) => `${head} ${flagArguments(flag)}\n`);
  if (words.length > 0) lines.push(`${head} -a ${quote(words.join(" "))}\n`);
  return lines.join("");
}

function flagArguments({ name, short, value, choices, path, help }: Flag): string {
  const parts = [`-l ${name}`, `-d ${quote(help.replaceAll("\n", " "))}`];
  if (short !== undefined) parts.push(`-s ${short}`);
  if (value !== undefined) parts.push(path === true ? "-r -F" : "-x");
  if (choices !== undefined) parts.push(`-a ${quote(choices.join(" "))}`);
  return parts.join(" ");
}

function quote(text: string): string {
  return `'${text.replace(/['\\]/g, "\\$&")}'`;
}
