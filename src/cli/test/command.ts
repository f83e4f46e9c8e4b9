/**
 * `vsockit test`: a peer of the kernel's `vsock_test`.
 *
 * @module
 */
import { openVsock } from "../../kernel/transport.ts";
import { type Command, EXIT_FAILURE, EXIT_OK, EXIT_USAGE } from "../command.ts";
import { describeFlags } from "../args/flags.ts";
import type { Terminal } from "../output/terminal.ts";
import { runAlone } from "./alone.ts";
import { CASES } from "./cases.ts";
import { runLocally } from "./local.ts";
import { FLAGS, parseOptions } from "./options.ts";

const HELP = `Usage: vsockit test [OPTIONS]
       vsockit test --mode server --control-port PORT --peer-cid CID
       vsockit test --mode client --control-host HOST --control-port PORT
                    --peer-cid CID

Runs the tests of Linux's vsock_test (tools/testing/vsock, as of 6.12) between a
client and a server. Either end may be the C program: a TCP connection keeps
them in step, by its protocol.

${describeFlags(FLAGS)}
Without --mode both ends run in this process, over its own loopback; tests that
need a file descriptor are skipped there. The first failure ends the run.

Exit codes: ${EXIT_OK} done, ${EXIT_FAILURE} failed, ${EXIT_USAGE} wrong usage, nothing started.
`;

/** The subcommand `test`. */
export const test: Command = {
  help: HELP,
  flags: FLAGS,
  async run(args: readonly string[], terminal: Terminal): Promise<number> {
    const options = parseOptions(args);
    if (options.list) {
      const rows = CASES.map(({ name }, id) => `${id}\t${name}\n`);
      terminal.out(`ID\tTest name\n${rows.join("")}`);
      return EXIT_OK;
    }
    const print = (text: string): void => terminal.out(text);
    const { role } = options;
    const { passed, skipped } = role === undefined
      ? await runLocally(options, print)
      : await runAlone(role, options, openVsock(), print);
    print(`${passed} passed, ${skipped} skipped\n`);
    return EXIT_OK;
  },
};
