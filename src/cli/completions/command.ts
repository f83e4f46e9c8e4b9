/**
 * `vsockit completions`: what makes a shell complete the command lines of `vsockit`.
 *
 * @module
 */
import { type Command, EXIT_OK, EXIT_USAGE } from "../command.ts";
import { type CommandEntry, COMMANDS } from "../commands.ts";
import { describeFlags, HELP_FLAG } from "../args/flags.ts";
import { parseLine } from "../args/line.ts";
import type { Terminal } from "../output/terminal.ts";
import { wrongValue } from "../args/values.ts";
import { bashScript } from "./bash.ts";
import { fishScript } from "./fish.ts";
import { zshScript } from "./zsh.ts";

/** What the shells need to know of a command. */
export type Completed = Pick<CommandEntry, "name" | "summary"> & Pick<Command, "flags" | "words">;

type Script = (commands: readonly Completed[]) => string;

const SCRIPTS: ReadonlyMap<string, Script> = new Map([
  ["bash", bashScript],
  ["zsh", zshScript],
  ["fish", fishScript],
]);
const SHELLS = [...SCRIPTS.keys()];

const HELP = `Usage: vsockit completions ${SHELLS.join("|")}

Prints a script by which a shell completes the command lines of vsockit:

  source <(vsockit completions bash)      in ~/.bashrc
  source <(vsockit completions zsh)       in ~/.zshrc, behind compinit
  vsockit completions fish | source       in ~/.config/fish/config.fish

${describeFlags([])}
Exit codes: ${EXIT_OK} done, ${EXIT_USAGE} wrong usage.
`;

/** The subcommand `completions`. */
export const completions: Command = {
  help: HELP,
  flags: [],
  words: SHELLS,
  async run(args: readonly string[], terminal: Terminal): Promise<number> {
    const { operands: [shell] } = parseLine([], args, 1);
    const script = SCRIPTS.get(shell ?? "");
    if (script === undefined) {
      throw wrongValue("SHELL", `be one of ${SHELLS.join(", ")}`, shell);
    }
    terminal.out(script(await allCommands()));
    return EXIT_OK;
  },
};

async function allCommands(): Promise<Completed[]> {
  const all = await Promise.all(
    COMMANDS.map(async ({ name, summary, load }) => {
      const command = await load();
      return { ...command, name, summary, flags: [...command.flags, HELP_FLAG] };
    }),
  );
  const words = COMMANDS.map(({ name }) => name);
  return [...all, { name: "help", summary: "explain a command", flags: [], words }];
}
