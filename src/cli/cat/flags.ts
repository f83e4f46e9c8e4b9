/**
 * The flags of `vsockit cat`.
 *
 * @module
 */
import { describeFlags, type Flag, HELP_FLAG } from "../flags.ts";

/** The flags, in the order of `--help`. */
export const FLAGS: readonly Flag[] = [
  { name: "listen", short: "l", help: "wait for a connection in place of making one" },
  {
    name: "keep",
    short: "k",
    help:
      "with -l: go on listening. Without -e standard\ninput is not sent, and one is served after the other",
  },
  {
    name: "exec",
    short: "e",
    value: "COMMAND",
    help: "give each connection to sh -c COMMAND, as its\nstandard input and output",
  },
  { name: "seqpacket", help: "messages: each read of standard input is one" },
  { name: "lines", help: "with --seqpacket: each line is a message" },
  {
    name: "timeout",
    short: "w",
    value: "SECONDS",
    help: "fail when there is no connection, or without\n-e when nothing moves, for so long",
  },
  { name: "verbose", short: "v", help: "say on standard error who listens and connects" },
  HELP_FLAG,
];

/** The flags as `--help` has them. */
export const FLAGS_HELP: string = describeFlags(FLAGS);
