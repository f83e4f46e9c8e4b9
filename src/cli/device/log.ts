/**
 * What a device tells of its guests and of their connections.
 *
 * @module
 */
import type { GuestCounters } from "../../vhost_user/guest_tx.ts";
import { textLines } from "../output/log.ts";
import { lastOf } from "../output/repeats.ts";
import type { Terminal } from "../output/terminal.ts";

/** Between whom a connection is. */
export interface Way {
  readonly cid: number;
  /** The port that was asked for: of the guest where it is from the host, and vice versa. */
  readonly port: number;
  /** Who has opened it. */
  readonly from: "guest" | "host";
}

/** A connection that could not be made. */
export interface Refusal extends Way {
  readonly event: "refuse";
  readonly reason: string;
  /** How many were refused in that second, of which this is the last. @default {1} */
  readonly count?: number | undefined;
}

/** What a VMM or its guest has done wrong, or what went wrong here. */
export interface Fault {
  readonly event: "fault";
  readonly cid?: number | undefined;
  readonly reason: string;
  /** How many of a guest there were in that second, of which this is the last. @default {1} */
  readonly count?: number | undefined;
}

/** One thing that has happened; in JSON, an object a line with these members and `time`. */
export type Entry =
  | {
    readonly event: "listen";
    readonly cid: number;
    /** Where the VMM connects to. */
    readonly socket: string;
    /** Where other processes reach the guest. */
    readonly udsPath?: string | undefined;
  }
  /** The guest's driver has started, or stopped. */
  | { readonly event: "up" | "down"; readonly cid: number }
  | Way & {
    readonly event: "open";
    /** Which connection: counted from 1. */
    readonly id: number;
  }
  | Way & {
    readonly event: "close";
    readonly id: number;
    /** Bytes that the guest's socket has taken. */
    readonly toGuest: number;
    /** Bytes that have come from there. */
    readonly fromGuest: number;
    /** Milliseconds that it has lasted. */
    readonly ms: number;
    /** What broke it. */
    readonly reason?: string | undefined;
  }
  | Refusal
  | Fault
  | ({ readonly event: "counters"; readonly cid: number; readonly up: boolean } & GuestCounters)
  | {
    readonly event: "stop";
    /** Connections that were cut. */
    readonly cut: number;
  };

/** Takes what happens. */
export type Log = (entry: Entry) => void;

/** Lines for people on `err`. */
export function textLog(terminal: Terminal): Log {
  const write = textLines(terminal);
  return (entry) => write(describe(entry));
}

function describe(entry: Entry): string {
  switch (entry.event) {
    case "listen":
      return describeListen(entry.cid, entry.socket, entry.udsPath);
    case "up":
    case "down":
      return `guest ${entry.cid} is ${entry.event}`;
    case "open":
      return `#${entry.id} ${describeWay(entry)}`;
    case "close": {
      const { id, toGuest, fromGuest, ms, reason } = entry;
      const bytes = `${toGuest} bytes to the guest, ${fromGuest} from it`;
      return `#${id} closed after ${ms} ms: ${bytes}${reason === undefined ? "" : `: ${reason}`}`;
    }
    case "refuse":
      return `${describeWay(entry)} refused${lastOf(entry)}: ${entry.reason}`;
    case "fault": {
      const of = entry.cid === undefined ? "" : `guest ${entry.cid} `;
      return `${of}fault${lastOf(entry)}: ${entry.reason}`;
    }
    case "counters":
      return describeCounters(entry);
    case "stop":
      return `stopped: ${entry.cut} connections cut`;
  }
}

function describeWay({ cid, port, from }: Way): string {
  return from === "guest"
    ? `guest ${cid} to host port ${port}`
    : `host to guest ${cid} port ${port}`;
}

function describeListen(cid: number, socket: string, udsPath: string | undefined): string {
  const uds = udsPath === undefined ? "" : `guest ${cid} is reached by CONNECT at ${udsPath}\n`;
  return `${uds}guest ${cid} waits for its VMM; for QEMU:\n${
    qemuArguments(socket).map((line) => `  ${line}`).join(" \\\n")
  }`;
}

/** What QEMU takes for its guest to have this device, by lines for a shell. */
export function qemuArguments(socket: string): string[] {
  const path = socket.replaceAll(",", ",,"); // so QEMU has a comma in a value
  const chardev = `socket,id=vsock,path=${path}`;
  const quoted = /^[\w@%+=:,./-]+$/.test(path) ? chardev : `'${chardev.replaceAll("'", `'\\''`)}'`;
  return [
    "-m 2G -object memory-backend-memfd,id=mem,size=2G,share=on -machine q35,memory-backend=mem",
    `-chardev ${quoted} -device vhost-user-vsock-pci,chardev=vsock`,
  ];
}

function describeCounters(counters: { readonly cid: number } & GuestCounters): string {
  const { cid, rxPackets, rxBytes, rxBorrowedBytes, txPackets, txBytes, kicks, calls } = counters;
  return `guest ${cid}: ${rxPackets} packets with ${rxBytes} bytes from it, ` +
    `${rxBorrowedBytes} of them not copied; ${txPackets} packets with ${txBytes} bytes to it; ` +
    `${kicks} kicks, ${calls} calls`;
}
