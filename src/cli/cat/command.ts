/**
 * `vsockit cat`: standard input and output over a connection.
 *
 * @module
 */
import { constants } from "node:os";
import process from "node:process";
import { type Command, EXIT_FAILURE, EXIT_OK, EXIT_SIGNAL, EXIT_USAGE } from "../command.ts";
import { describeFlags } from "../args/flags.ts";
import { endingSignals, onStop } from "../serving/signals.ts";
import type { Terminal } from "../output/terminal.ts";
import { signalCommands } from "./exec.ts";
import { FLAGS, parseOptions } from "./options.ts";
import { ProcessPipes } from "./pipes.ts";
import { runCat } from "./run.ts";

const HELP = `Usage: vsockit cat [OPTIONS] ADDRESS
       vsockit cat -l [-k] [-e COMMAND] [OPTIONS] ADDRESS

Connects to ADDRESS, or listens there. Standard input goes to the connection,
what comes from it to standard output. The end of standard input ends what is
sent, and what comes goes on until its own end; the other way round likewise.
It is over when both have ended, or when the peer has closed, which is a failure
where it has left some of the input.

ADDRESS is CID:PORT, where CID can be any, hypervisor, local or host, and PORT
any; or vsock://CID:PORT, hvsock://PATH:PORT (a VM behind a Unix socket),
tcp://HOST:PORT, unix:PATH.

${describeFlags(FLAGS)}
A command gets VSOCKIT_PEER, the address of the other end, in its environment.
It runs without a terminal, in a process group of its own, which gets SIGTERM
when SIGINT, SIGTERM, SIGHUP or SIGQUIT ends vsockit, and stops and goes on with
that.
How much has moved is shown where only standard error is a terminal.

Examples:
  vsockit cat --listen --keep --exec 'tr a-z A-Z' any:5000
  echo hello | vsockit cat host:5000
  ssh -o ProxyCommand='vsockit cat 3:22' root@guest
Exit codes: ${EXIT_OK} done, ${EXIT_FAILURE} failed, or its command did, ${EXIT_USAGE} wrong usage, nothing
started, ${EXIT_SIGNAL} and the number of the signal that ended it.
`;

/** The subcommand `cat`. */
export const cat: Command = {
  help: HELP,
  flags: FLAGS,
  async run(args: readonly string[], terminal: Terminal): Promise<number> {
    const options = parseOptions(args);
    const interrupt = new AbortController();
    let code = EXIT_OK;
    const onSignal = (name: NodeJS.Signals): void => {
      code = EXIT_SIGNAL + constants.signals[name];
      interrupt.abort(new Error("Interrupted"));
    };
    const onLost = (): void => interrupt.abort(new Error("Nobody reads standard output"));
    const signals = endingSignals();
    for (const name of signals) process.once(name, onSignal);
    using _stopping = options.exec === undefined ? undefined : onStop(signalCommands);
    using pipes = new ProcessPipes(onLost);
    if (options.keep && options.exec === undefined) pipes.watchReader(); // it only receives
    try {
      await runCat(options, { terminal, pipes, signal: interrupt.signal });
      return code;
    } catch (error) {
      if (interrupt.signal.aborted) return code;
      throw error;
    } finally {
      for (const name of signals) process.off(name, onSignal);
    }
  },
};
