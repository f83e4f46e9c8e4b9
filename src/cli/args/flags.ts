/**
 * Flags: how each is written, and what `--help` says of it.
 *
 * @module
 */
import { formatColumns } from "../output/table.ts";

/** One flag, for the parser and for `--help`. */
export interface Flag {
  /** Long form without the dashes. */
  readonly name: string;
  /** One letter. */
  readonly short?: string | undefined;
  /** What its value is called in `--help`; a flag without it takes no value. */
  readonly value?: string | undefined;
  /** Whether it may be given several times: its values are a list. */
  readonly many?: boolean;
  /** The values that it takes, where those can be listed. */
  readonly choices?: readonly string[] | undefined;
  /** Whether its value is a path. */
  readonly path?: boolean;
  /** What it does; a line break starts a new line of `--help`. */
  readonly help: string;
}

/**
 * The flag that `head` is in `--help`: `"-s, --socket PATH"`. A PATH or a FILE is a path, of words
 * with `|` between them it is one.
 */
export function flag(
  head: string,
  help: string,
  more: Pick<Flag, "choices" | "many"> = {},
): Flag {
  const [, short, name = head, value] = /^(?:-(\w), )?--([\w-]+)(?: (.+))?$/.exec(head) ?? [];
  const path = value === "PATH" || value === "FILE";
  const choices = value?.includes("|") ? value.split("|") : undefined;
  return { name, short, value, path, choices, help, ...more };
}

/** Every command has it beside its own; who takes the arguments of a command looks for it first. */
export const HELP_FLAG: Flag = flag("-h, --help", "print this");

/** What can stand in place of a command. */
export const GENERAL_FLAGS: readonly Flag[] = [
  HELP_FLAG,
  flag("-V, --version", "print the version"),
];

/** How `flag` is written: `["-b", "--buffer"]`. */
export function optionsOf({ name, short }: Flag): string[] {
  return short === undefined ? [`--${name}`] : [`-${short}`, `--${name}`];
}

/** The lines of `--help` about `flags`, and about that itself. */
export function describeFlags(flags: readonly Flag[]): string {
  return formatColumns([...flags, HELP_FLAG].flatMap(({ name, short, value, help }) => {
    const head = `  ${short ? `-${short},` : "   "} --${name}${value ? ` ${value}` : ""}`;
    return help.split("\n").map((line, index) => [index === 0 ? head : "", line]);
  }));
}
