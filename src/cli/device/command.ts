/**
 * `vsockit device`: the vsock device of virtual machines, as a program.
 *
 * @module
 */
import { LoopHold } from "../../wait/loop_hold.ts";
import { type Command, EXIT_FAILURE, EXIT_OK, EXIT_USAGE } from "../command.ts";
import { describeFlags } from "../args/flags.ts";
import { jsonLog } from "../output/log.ts";
import { onSigusr2, Signals } from "../serving/signals.ts";
import type { Terminal } from "../output/terminal.ts";
import { textLog } from "./log.ts";
import { FLAGS, parseOptions } from "./options.ts";
import { DeviceService } from "./service.ts";

const HELP = `Usage: vsockit device --socket PATH --guest-cid CID [OPTIONS]

Is the vsock device of a guest: a vhost-user back end that QEMU connects to,
without a kernel module, /dev/vhost-vsock or root.
  qemu-system-x86_64 -m 2G \\
    -object memory-backend-memfd,id=mem,size=2G,share=on \\
    -machine q35,memory-backend=mem \\
    -chardev socket,id=vsock,path=vhost.sock \\
    -device vhost-user-vsock-pci,chardev=vsock ...

With --uds-path, processes of the host reach the guest as they reach one of
Firecracker. Who connects to PATH and says CONNECT PORT is connected to that
port of the guest, after an answer of OK and a number; where the guest connects
to a port of CID 2, it reaches the Unix socket at PATH_PORT. An end of stream
goes on alone, so the other way stays open. Sockets are made with mode 0600.

${describeFlags(FLAGS)}
The log waits for nobody: lines that its reader leaves no room for are lost, and
counted. Refusals and faults of one guest are told once a second.

An object of --json has a time and an event, and with that:
  listen    cid, socket, udsPath    close   as open, toGuest, fromGuest, ms,
  up, down  cid                             reason if broken
  open      id, cid, port, from     refuse  cid, port, from, reason,
  stop      cut                             count if several
  lost      count                   fault   reason, cid if of a guest,
  counters  cid, up, and counts             count if several

SIGUSR2 shows how much has gone by. SIGTERM, SIGINT and SIGHUP end all
connections, and then the device; a second SIGTERM or SIGINT cuts them.

Examples:
  vsockit device --socket vhost.sock --guest-cid 3 --uds-path v.sock
  vsockit cat hvsock:v.sock:1024
  vsockit device -s a.sock -c 3 --guest 4:b.sock --siblings --pcap all.pcap
Exit codes: ${EXIT_OK} ended, ${EXIT_FAILURE} failed or cut, ${EXIT_USAGE} wrong usage, nothing started.
`;

/** The subcommand `device`. */
export const device: Command = {
  help: HELP,
  flags: FLAGS,
  async run(args: readonly string[], terminal: Terminal): Promise<number> {
    const options = parseOptions(args);
    using signals = new Signals();
    using service = new DeviceService(
      options,
      options.json ? jsonLog(terminal) : textLog(terminal),
    );
    using _counters = onSigusr2(() => service.tellCounters());
    using hold = new LoopHold();
    hold.acquire();
    await signals.first;
    const cut = await service.end(signals.second);
    hold.release();
    return cut === 0 ? EXIT_OK : EXIT_FAILURE;
  },
};
