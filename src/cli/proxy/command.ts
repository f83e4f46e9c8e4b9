/**
 * `vsockit proxy`: connections from one address to another, of whatever families.
 *
 * @module
 */
import { VMADDR_CID_LOCAL } from "../../../ffi/abi/vm_sockets.ts";
import { type Command, EXIT_FAILURE, EXIT_OK, EXIT_USAGE } from "../command.ts";
import { describeFlags } from "../args/flags.ts";
import { requireReach } from "../serving/reach.ts";
import { Signals } from "../serving/signals.ts";
import type { Terminal } from "../output/terminal.ts";
import { jsonLog } from "../output/log.ts";
import { textLog } from "./log.ts";
import { FLAGS, parseOptions, type ProxyOptions } from "./options.ts";
import { Proxy } from "./server.ts";

const HELP = `Usage: vsockit proxy [OPTIONS] LISTEN TARGET

Listens on LISTEN, and for each connection makes one to TARGET and moves bytes
both ways; an end of stream goes on alone, so the other way stays open. Nothing
is read before it can be sent on. A peer over TCP that is gone without a word is
found out by SO_KEEPALIVE. Addresses, each of any kind:
  vsock:CID:PORT     AF_VSOCK; vsock-seqpacket: keeps messages
  hvsock:PATH:PORT   a VM behind a Unix socket: Firecracker, Cloud Hypervisor
  tcp:HOST:PORT      TCP
  unix:PATH          AF_UNIX; @NAME is an abstract name

${describeFlags(FLAGS)}
PEER and TARGET of --allow are vsock:CID, tcp:IP or tcp:IP/BITS, unix:PATH or
hvsock:PATH; the first two take :PORT, and * stands for any. Several may be one
value, with commas between them; any other comma is part of a PATH.

The log waits for nobody: lines that its reader leaves no room for are lost, and
counted. Refusals of one peer are told once a second, a want of descriptors too.

An object of --json has a time and an event, and with that:
  listen  address         open    id, peer, target
  drain   active          close   id, peer, sent, received, ms, reason if broken
  stop    cut             refuse  id, peer, target if known, count if several
  lost    count           full    reason, count if several

SIGTERM, SIGINT and SIGHUP drain: the proxy accepts no more, and ends when all
connections have, or after --drain-timeout; a second one, but for SIGHUP, cuts
them.

Examples:
  vsockit proxy tcp:127.0.0.1:8080 hvsock:/run/fc.sock:80
  vsockit proxy --allow vsock:3 vsock:any:5000 tcp:db.internal:5432
Exit codes: ${EXIT_OK} drained, ${EXIT_FAILURE} failed or cut, ${EXIT_USAGE} wrong usage, nothing started.
`;

/** The subcommand `proxy`. */
export const proxy: Command = {
  help: HELP,
  flags: FLAGS,
  async run(args: readonly string[], terminal: Terminal): Promise<number> {
    const options = parseOptions(args);
    const { json, verbose, drainTimeoutMs } = options;
    requireMachine(options);
    const log = json ? jsonLog(terminal) : textLog(terminal, verbose);
    using signals = new Signals();
    await using server = new Proxy(options, log);
    await Promise.race([server.accepting, signals.first]);
    const cut = await server.drain(drainTimeoutMs, signals.second);
    log({ event: "stop", cut });
    return cut === 0 ? EXIT_OK : EXIT_FAILURE;
  },
};

/** A target may come to be reached later, unless it is this machine. */
function requireMachine({ listen, target }: ProxyOptions): void {
  requireReach("listen", listen);
  if ("cid" in target && target.cid === VMADDR_CID_LOCAL) requireReach("connect", target);
}
