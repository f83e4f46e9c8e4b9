/**
 * `vsockit ss`: the sockets of AF_VSOCK, as ss(8) shows those of other families.
 *
 * @module
 */
import { VMADDR_CID_ANY, VMADDR_PORT_ANY } from "../../../ffi/abi/vm_sockets.ts";
import type { VsockAddress } from "../../address.ts";
import { listSockets } from "../../kernel/diag.ts";
import type { SocketEntry } from "../../kernel/diag_message.ts";
import { type Command, EXIT_FAILURE, EXIT_OK, EXIT_USAGE } from "../command.ts";
import { describeFlags, type Flag, flag } from "../args/flags.ts";
import { parseFlags } from "../args/line.ts";
import { formatColumns } from "../output/table.ts";
import type { Terminal } from "../output/terminal.ts";

const FLAGS: readonly Flag[] = [
  flag("-l, --listening", "only sockets that listen"),
  flag("--json", "one JSON object a line in place of a table"),
];

const HELP = `Usage: vsockit ss [OPTIONS]

Lists the sockets of AF_VSOCK on this machine, of all processes: those that are
bound, listening or connected. The kernel tells by its module vsock_diag.

${describeFlags(FLAGS)}
What is printed, and the fields of --json:
  state         UNCONNECTED, CONNECTING, CONNECTED, DISCONNECTING or LISTEN
  type          stream, seqpacket or dgram
  local, remote cid and port of this end and of the other one; * in the table,
                4294967295 in JSON is any, and for both: no other end
  inode         as in /proc/PID/fd, socket:[inode]; 0: not accepted yet,
                or closed here, and not by the peer yet
Only in --json: readClosed and writeClosed, what shutdown(2) has ended here.

Exit codes: ${EXIT_OK} done, ${EXIT_FAILURE} the kernel cannot tell, ${EXIT_USAGE} wrong usage.
`;

/** The subcommand `ss`. */
export const ss: Command = {
  help: HELP,
  flags: FLAGS,
  // deno-lint-ignore require-await
  async run(args: readonly string[], terminal: Terminal): Promise<number> {
    const given = parseFlags(FLAGS, args);
    const listening = given.has("listening");
    const entries = listSockets().filter(({ state }) => !listening || state === "LISTEN");
    terminal.out(given.has("json") ? formatJson(entries) : formatTable(entries));
    return EXIT_OK;
  },
};

function formatJson(entries: readonly SocketEntry[]): string {
  return entries.map((entry) => `${JSON.stringify(entry)}\n`).join("");
}

/** The table of `ss`, sorted by this end's port. */
export function formatTable(entries: readonly SocketEntry[]): string {
  const sorted = [...entries].sort((a, b) => a.local.port - b.local.port);
  return formatColumns([
    ["State", "Type", "Local", "Remote", "Inode"],
    ...sorted.map(toRow),
  ]);
}

function toRow({ state, type, local, remote, inode }: SocketEntry): string[] {
  return [state, type, formatEnd(local), formatEnd(remote), String(inode)];
}

function formatEnd({ cid, port }: VsockAddress): string {
  const host = cid === VMADDR_CID_ANY ? "*" : cid;
  return `${host}:${port === VMADDR_PORT_ANY ? "*" : port}`;
}
