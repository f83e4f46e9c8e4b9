/**
 * The flags of `vsockit test`: those of `vsock_test`, and which transport.
 *
 * @module
 */
import { describeFlags, type Flag, HELP_FLAG } from "../flags.ts";

/** The flags, in the order of `--help`. */
export const FLAGS: readonly Flag[] = [
  {
    name: "mode",
    value: "client|server",
    choices: ["client", "server"],
    help: "one end of the run; the peer is another process.\nWithout it both ends are in this one",
  },
  {
    name: "control-host",
    value: "HOST",
    help: "where the server listens on TCP, the client\nconnects to [the server's: 0.0.0.0]",
  },
  { name: "control-port", value: "PORT", help: "its TCP port" },
  { name: "peer-cid", value: "CID", help: "CID of the other end" },
  { name: "peer-port", value: "PORT", help: "port that the tests use, and the next one [1234]" },
  {
    name: "transport",
    value: "NAME",
    choices: ["loopback", "vsock"],
    help: "loopback or vsock [vsock with --mode, else loopback]",
  },
  { name: "list", help: "print ID and name of each test" },
  { name: "skip", value: "ID", many: true, help: "leave out this test; can be repeated" },
  { name: "pick", value: "ID", many: true, help: "run this test only; can be repeated" },
  HELP_FLAG,
];

/** The flags as `--help` has them. */
export const FLAGS_HELP: string = describeFlags(FLAGS);
