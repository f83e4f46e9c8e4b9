/**
 * How two ends find each other: one listens and takes one connection, the other connects.
 *
 * @module
 */
import { POLLIN, POLLOUT } from "../../../ffi/abi/poll.ts";
import { VMADDR_CID_ANY } from "../../../ffi/abi/vm_sockets.ts";
import { VsockError } from "../../error.ts";
import type { Socket } from "../../socket.ts";
import type { Transport } from "../../transport.ts";
import type { Control } from "./control.ts";
import type { Plan } from "./plan.ts";

const TIMEOUT_MS = 10_000;

/** What an end needs to meet the other one. */
export interface Meeting {
  /** Makes the sockets. */
  readonly transport: Transport;
  /** Where to connect to; an end without it listens. */
  readonly cid?: number | undefined;
  /** Shared with the other end where that is in this process. */
  readonly control: Control;
  /** Whether it is not: then it has to listen already. */
  readonly alone: boolean;
}

/**
 * A connected socket, which the caller closes. `prepare` runs on the one that connects or listens:
 * before, where options count that an accepted socket inherits.
 */
export function meet(meeting: Meeting, plan: Plan, prepare: (socket: Socket) => void): Socket {
  const { cid } = meeting;
  return cid === undefined
    ? acceptOne(meeting, plan, prepare)
    : connectTo({ cid, port: plan.port }, meeting, plan, prepare);
}

function acceptOne(
  { transport, control }: Meeting,
  plan: Plan,
  prepare: (socket: Socket) => void,
): Socket {
  using listener = transport.socket(plan.type);
  prepare(listener);
  listener.bind({ cid: VMADDR_CID_ANY, port: plan.port });
  listener.listen(1);
  control.announceListening();
  for (;;) {
    const socket = listener.accept();
    if (socket !== undefined) return socket;
    listener.waitSync(POLLIN, Infinity);
  }
}

function connectTo(
  address: { readonly cid: number; readonly port: number },
  { transport, control, alone }: Meeting,
  plan: Plan,
  prepare: (socket: Socket) => void,
): Socket {
  if (!alone && !control.awaitListening(TIMEOUT_MS)) {
    throw new Error("the other end never listened");
  }
  const socket = transport.socket(plan.type);
  try {
    prepare(socket);
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
