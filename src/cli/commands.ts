/**
 * The subcommands that there are. Each is loaded when it is asked for.
 *
 * @module
 */
import type { Command } from "./command.ts";

/** What is known of a subcommand before it is loaded. */
export interface CommandEntry {
  /** The word on the command line. */
  readonly name: string;
  /** One line for the list of commands. */
  readonly summary: string;
  /** Whether it serves others: where nobody reads what it prints it goes on, or ends by itself. */
  readonly serves?: boolean;
  /** Gives the subcommand itself. */
  load(): Promise<Command>;
}

/** All of them, in the order of `--help`. */
export const COMMANDS: readonly CommandEntry[] = [
  {
    name: "perf",
    summary: "measure copying against zero-copy receive (vsock_rx_perf)",
    load: async () => (await import("./perf/command.ts")).perf,
  },
  {
    name: "test",
    summary: "run the tests of the kernel's vsock_test, with it or alone",
    load: async () => (await import("./test/command.ts")).test,
  },
  {
    name: "cat",
    summary: "connect standard input and output, or a command, to a socket",
    serves: true,
    load: async () => (await import("./cat/command.ts")).cat,
  },
  {
    name: "proxy",
    summary: "connect vsock, hybrid vsock, TCP and Unix sockets with each other",
    serves: true,
    load: async () => (await import("./proxy/command.ts")).proxy,
  },
  {
    name: "device",
    summary: "be the vsock device of QEMU's guests: a vhost-user back end",
    serves: true,
    load: async () => (await import("./device/command.ts")).device,
  },
  {
    name: "ss",
    summary: "list the sockets of AF_VSOCK, of all processes",
    load: async () => (await import("./ss/command.ts")).ss,
  },
  {
    name: "doctor",
    summary: "say what this machine can do, and why not",
    load: async () => (await import("./doctor/command.ts")).doctor,
  },
  {
    name: "completions",
    summary: "print what makes a shell complete these commands",
    load: async () => (await import("./completions/command.ts")).completions,
  },
];

/** The subcommand of that name. */
export function findCommand(name: string | undefined): CommandEntry | undefined {
  return COMMANDS.find((command) => command.name === name);
}
