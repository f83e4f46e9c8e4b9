/**
 * Completion for zsh: see zshcompsys(1), `_arguments`.
 *
 * @module
 */
import { type Flag, GENERAL_FLAGS, optionsOf } from "../args/flags.ts";
import type { Completed } from "./command.ts";

/** The script that `vsockit completions zsh` prints. */
export function zshScript(commands: readonly Completed[]): string {
  const list = commands.map(({ name, summary }) => `    ${quote(`${name}:${summary}`)}\n`);
  const options = GENERAL_FLAGS.flatMap((flag) =>
    optionsOf(flag).map((option) => quote(`${option}:${flag.help}`))
  );
  return `#compdef vsockit
# Completion of vsockit for zsh: source <(vsockit completions zsh), behind compinit
_vsockit() {
  local -a commands=(
${list.join("")}  )
  local -a options=(${options.join(" ")})
  if ((CURRENT == 2)); then
    _describe command commands
    _describe -o option options
    return
  fi
  local name=$words[2]
  shift words
  ((CURRENT--))
  case $name in
${commands.map(commandCase).join("")}  esac
}
compdef _vsockit vsockit
`;
}

function commandCase({ name, flags, words }: Completed): string {
  const specs = flags.flatMap(flagSpecs);
  if (words !== undefined) specs.push(quote(`*:word:(${words.join(" ")})`));
  return `    ${name}) _arguments ${specs.join(" \\\n      ")} ;;\n`;
}

/** One for each form of the flag. */
function flagSpecs(flag: Flag): string[] {
  const { value, choices, path, many } = flag;
  const about = flag.help.replaceAll("\n", " ").replace(/[[\]\\:]/g, "\\$&");
  const offer = path === true ? "_files" : choices === undefined ? "" : `(${choices.join(" ")})`;
  const argument = value === undefined ? "" : `:${value.replaceAll(":", "")}:${offer}`;
  return optionsOf(flag).map((option) => quote(`${many ? "*" : ""}${option}[${about}]${argument}`));
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
