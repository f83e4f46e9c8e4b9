/**
 * The flags of `vsockit perf`.
 *
 * @module
 */
import { type Flag, flag } from "../args/flags.ts";
import { MODES } from "./plan.ts";

const LETTERS = MODES.map(({ letter }) => letter).join("|");
/** The device has a flag of its own. */
const NAMES = ["loopback", "vsock", "tcp"];

/** The flags, in the order of `--help`. */
export const FLAGS: readonly Flag[] = [
  flag("-m, --megabytes MB", "how much to send [256]"),
  flag("-b, --buffer SIZE", "receiver's buffer or mapping [128K]"),
  flag("-r, --rcvlowat SIZE", "receiver's SO_RCVLOWAT [same as -b]"),
  flag(
    "-v, --credit SIZE",
    "socket buffer of both ends: the credit\n[4M; over TCP what the kernel finds best]",
  ),
  flag("--mss SIZE", "TCP_MAXSEG of both ends; 0 leaves it as it is [4108]"),
  flag(
    `-z, --mode ${LETTERS}`,
    "receive by n copy, y zero-copy and poll,\n" +
      "u zero-copy and user poll (spin), a whichever of\nn and y is cheaper [n]",
  ),
  flag("--pages N", "in place of -b, with -z y or u: data pages of the\nmapping, 4096 bytes each"),
  flag("--tx-buffer SIZE", "what the transmitter gives to one send(2) [16M]"),
  flag("--tx-zerocopy", "send with MSG_ZEROCOPY; prints which part the\nkernel copied after all"),
  flag("--seqpacket", "messages of -b bytes in place of a stream"),
  flag("--file PATH", "send this file in place of pseudo-random bytes"),
  flag(
    "--verify",
    "compare SHA-256 of what was sent and what was got;\nhashing counts in A and B, not in C",
  ),
  flag("--sweep", "all modes with -b and -r from 4K to 512K;\nwithout -m about a second each"),
  flag("--svg FILE", "with --sweep: draw D by the bytes of a wake-up, too"),
  flag("--json", "one JSON object a line in place of text"),
  flag("--transport NAME", `one of: ${NAMES.join(", ")} [loopback]`, { choices: NAMES }),
  flag("--port PORT", "where one end listens [1234]"),
  flag("-s, --server", "only the transmitter, which listens, or with -c\nconnects (to vsock_perf)"),
  flag(
    "-c, --cid CID",
    "only the receiver, which connects to CID,\nover TCP to a hostname or an address",
  ),
  flag("-l, --listen", "only the receiver, which listens\n(for vsock_perf --sender CID)"),
  flag(
    "--serve",
    "run the other end of whatever --peer asks for,\nwith --transport and --port, until killed",
  ),
  flag(
    "--peer CID",
    "the other end is run by perf --serve there, which\n" +
      "transmits; over TCP a hostname or an address",
  ),
  flag("--reverse", "with --peer: this end transmits"),
  flag(
    "--device PATH",
    "with --peer: be the vsock device of that guest,\n" +
      "whose VMM connects to this Unix socket (vhost-user)",
  ),
];
