/**
 * The flags of `vsockit perf`.
 *
 * @module
 */
import { type Flag, HELP_FLAG } from "../args/flags.ts";
import { MODES } from "./plan.ts";

const LETTERS = MODES.map(({ letter }) => letter);
/** The device has a flag of its own. */
const NAMES = ["loopback", "vsock", "tcp"];

/** The flags, in the order of `--help`. */
export const FLAGS: readonly Flag[] = [
  { name: "megabytes", short: "m", value: "MB", help: "how much to send [256]" },
  { name: "buffer", short: "b", value: "SIZE", help: "receiver's buffer or mapping [128K]" },
  { name: "rcvlowat", short: "r", value: "SIZE", help: "receiver's SO_RCVLOWAT [same as -b]" },
  {
    name: "credit",
    short: "v",
    value: "SIZE",
    help: "socket buffer of both ends: the credit\n[4M; over TCP what the kernel finds best]",
  },
  { name: "mss", value: "SIZE", help: "TCP_MAXSEG of both ends; 0 leaves it as it is [4108]" },
  {
    name: "mode",
    short: "z",
    value: LETTERS.join("|"),
    choices: LETTERS,
    help:
      "receive by n copy, y zero-copy and poll,\nu zero-copy and user poll (spin), a whichever of\nn and y is cheaper [n]",
  },
  {
    name: "pages",
    value: "N",
    help: "in place of -b, with -z y or u: data pages of the\nmapping, 4096 bytes each",
  },
  { name: "tx-buffer", value: "SIZE", help: "what the transmitter gives to one send(2) [16M]" },
  {
    name: "tx-zerocopy",
    help: "send with MSG_ZEROCOPY; prints which part the\nkernel copied after all",
  },
  { name: "seqpacket", help: "messages of -b bytes in place of a stream" },
  {
    name: "file",
    value: "PATH",
    path: true,
    help: "send this file in place of pseudo-random bytes",
  },
  {
    name: "verify",
    help: "compare SHA-256 of what was sent and what was got;\nhashing counts in A and B, not in C",
  },
  {
    name: "sweep",
    help: "all modes with -b and -r from 4K to 512K;\nwithout -m about a second each",
  },
  {
    name: "svg",
    value: "FILE",
    path: true,
    help: "with --sweep: draw D by the bytes of a wake-up, too",
  },
  { name: "json", help: "one JSON object a line in place of text" },
  {
    name: "transport",
    value: "NAME",
    choices: NAMES,
    help: `one of: ${NAMES.join(", ")} [loopback]`,
  },
  { name: "port", value: "PORT", help: "where one end listens [1234]" },
  {
    name: "server",
    short: "s",
    help: "only the transmitter, which listens, or with -c\nconnects (to vsock_perf)",
  },
  {
    name: "cid",
    short: "c",
    value: "CID",
    help: "only the receiver, which connects to CID,\nover TCP to a hostname or an address",
  },
  {
    name: "listen",
    short: "l",
    help: "only the receiver, which listens\n(for vsock_perf --sender CID)",
  },
  {
    name: "serve",
    help:
      "run the other end of whatever --peer asks for,\nwith --transport and --port, until killed",
  },
  {
    name: "peer",
    value: "CID",
    help:
      "the other end is run by perf --serve there, which\ntransmits; over TCP a hostname or an address",
  },
  { name: "reverse", help: "with --peer: this end transmits" },
  {
    name: "device",
    value: "PATH",
    path: true,
    help:
      "with --peer: be the vsock device of that guest,\nwhose VMM connects to this Unix socket (vhost-user)",
  },
  HELP_FLAG,
];
