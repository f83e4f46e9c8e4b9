/**
 * Completion for bash: see "Programmable Completion" in bash(1).
 *
 * @module
 */
import { type Flag, GENERAL_FLAGS, optionsOf } from "../args/flags.ts";
import type { Completed } from "./command.ts";

/** The script that `vsockit completions bash` prints. */
export function bashScript(commands: readonly Completed[]): string {
  const names = commands.map(({ name }) => name).join(" ");
  return `# Completion of vsockit for bash: source <(vsockit completions bash)
_vsockit() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD - 1]}
  if [[ $current == = ]]; then # --flag=value is three words
    current=""
  elif [[ $previous == = ]]; then
    previous=\${COMP_WORDS[COMP_CWORD - 2]}
  fi
  local words="" options=""
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    words="${names}" options="${GENERAL_FLAGS.flatMap(optionsOf).join(" ")}"
  else
    case \${COMP_WORDS[1]} in
${commands.map(commandCase).join("")}    esac
  fi
  [[ $current == -* ]] && words=$options
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}
_vsockit_files() {
  compopt -o filenames
  mapfile -t COMPREPLY < <(compgen -f -- "$current")
}
complete -F _vsockit vsockit
`;
}

function commandCase({ name, flags, words = [] }: Completed): string {
  const values = flags.filter(({ value }) => value !== undefined);
  return `      ${name})
        words="${words.join(" ")}"
        options="${flags.flatMap(optionsOf).join(" ")}"
        case $previous in
${values.map(valueCase).join("")}        esac
        ;;
`;
}

/** What follows a flag that takes a value. */
function valueCase(flag: Flag): string {
  const { path, choices = [] } = flag;
  const words = `words="${choices.join(" ")}" options=""`;
  const action = path === true ? "_vsockit_files; return" : words;
  return `          ${optionsOf(flag).join(" | ")}) ${action} ;;\n`;
}
