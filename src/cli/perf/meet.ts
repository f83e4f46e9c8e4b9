/**
 * How two ends find each other: one listens and takes one connection, the other connects.
 *
 * @module
 */
import { POLLIN, POLLOUT } from "../../../ffi/abi/poll.ts";
import type { Address } from "../../address.ts";
import { VsockError } from "../../error.ts";
import type { Socket } from "../../socket.ts";
import type { SocketMaker } from "../../transport.ts";
import { sleepSync } from "../../wait/sleep.ts";
import type { Control } from "./control.ts";
import type { Plan } from "./plan.ts";

const TIMEOUT_MS = 10_000;
/** How long an end that will listen may take, as it starts a Worker; and how often it is tried. */
const [COMING_MS, RETRY_MS] = [60_000, 20];

/** What an end needs to meet the other one. */
export interface Meeting {
  /** Makes the sockets. */
  readonly transport: SocketMaker;
  /** Sets the options that count before it connects or listens, or are inherited. */
  prepare(socket: Socket<Address>): void;
  /** Where to connect to or to listen. */
  readonly address: Address;
  /** Whether it listens. */
  readonly listens: boolean;
  /** Shared with the other end where that is in this process. */
  readonly control: Control;
  readonly peer: Peer;
}

/**
 * Where the other end is: in this process, which tells when it listens; in another one, where it
 * listens already; or in one that will listen any moment.
 */
export type Peer = "here" | "there" | "coming";

/** A connected socket, which the caller closes. */
export function meet(meeting: Meeting, plan: Plan): Socket<Address> {
  return meeting.listens ? acceptOne(meeting, plan) : connectTo(meeting, plan);
}

function acceptOne(meeting: Meeting, plan: Plan): Socket<Address> {
  const { transport, control, address } = meeting;
  using listener = transport.socket(plan.type);
  meeting.prepare(listener);
  listener.bind(address);
  listener.listen(1);
  control.announceListening();
  for (;;) {
    const socket = listener.accept();
    if (socket !== undefined) return socket;
    listener.waitSync(POLLIN, Infinity);
  }
}

function connectTo(meeting: Meeting, plan: Plan): Socket<Address> {
  const { control, peer } = meeting;
  if (peer === "here" && !control.awaitListening(COMING_MS)) {
    throw new Error("the other end never listened");
  }
  const deadline = performance.now() + COMING_MS;
  for (;;) {
    try {
      return connectNow(meeting, plan);
    } catch (error) {
      if (peer !== "coming" || !isRefused(error) || performance.now() > deadline) throw error;
    }
    sleepSync(RETRY_MS);
  }
}

function connectNow(meeting: Meeting, plan: Plan): Socket<Address> {
  const { transport, address } = meeting;
  const socket = transport.socket(plan.type);
  try {
    meeting.prepare(socket);
    if (socket.connect(address)) return socket;
    const events = socket.waitSync(POLLOUT, TIMEOUT_MS);
    const errno = events === 0 ? "ETIMEDOUT" : socket.takeError();
    if (errno !== 0) throw new VsockError("connect", errno, { address });
    return socket;
  } catch (error) {
    socket.close();
    throw error;
  }
}

/** Whether nobody listens there, or is too busy to say so. */
export function isRefused(error: unknown): boolean {
  return error instanceof VsockError &&
    (error.code === "ECONNRESET" || error.code === "ECONNREFUSED" || error.code === "ETIMEDOUT");
}
