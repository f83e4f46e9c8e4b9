/**
 * Connections between a guest and Unix sockets of the host.
 *
 * @module
 */
import { SHUT_RD } from "../../../ffi/abi/socket.ts";
import { ASKING_MAX } from "../../hybrid/vmm_path.ts";
import { ignoreRefusal } from "../../kernel/refusal.ts";
import type { AnySocket } from "../../socket.ts";
import { drain, type Served } from "../serving/drain.ts";
import { type Flow, relayBytes } from "../serving/relay.ts";
import type { Log, Way } from "./log.ts";

/** Connections of a guest at most: as many as Firecracker serves. */
const MOST = 1_023;
/** Descriptors of the runtime, and of files. */
const KEPT = 128;
/**
 * Descriptors of a guest without connections: its VMM, its rings, its paths, its memory as it
 * comes, and who has not asked for a port yet.
 */
const KEPT_EACH = 24 + ASKING_MAX;

/** Connections that each of so many guests may have, of `limit` descriptors. */
export function shareOf(guests: number, limit: number): number {
  const share = Math.floor((limit - KEPT) / guests) - KEPT_EACH;
  return Math.max(1, Math.min(share, MOST));
}

/** One connection that is served. */
interface Session extends Served {
  readonly cid: number;
  /** Reads no more from either end: what was read goes on, and then the end. */
  end(): void;
}

/** All connections of a device. */
export class Sessions {
  readonly #log: Log;
  readonly #most: number;
  readonly #sessions: Set<Session> = new Set();
  #ids = 0;

  /** `most`: of one guest, which must not use up the descriptors of all. */
  constructor(log: Log, most: number) {
    this.#log = log;
    this.#most = most;
  }

  /** Why the guest `cid` can have no more connections beside `begun` others, if so. */
  full(cid: number, begun: number): string | undefined {
    let count = begun;
    for (const session of this.#sessions) if (session.cid === cid) count++;
    return count < this.#most ? undefined : `it has ${count} connections`;
  }

  /** Moves bytes between both until both have ended, and closes them. */
  start(way: Way, guest: AnySocket, unix: AnySocket): void {
    const id = ++this.#ids;
    this.#log({ event: "open", id, ...way });
    const ends = [guest, unix];
    let cut: string | undefined;
    const session: Session = {
      cid: way.cid,
      end(): void {
        // Where a peer has gone, there is nothing to shut down.
        for (const end of ends) ignoreRefusal(() => end.shutdown(SHUT_RD));
      },
      cut: () => {
        cut = "it was cut";
        for (const end of ends) end.close();
      },
      over: this.#serve(id, way, guest, unix, () => cut)
        .finally(() => this.#sessions.delete(session)),
    };
    this.#sessions.add(session);
  }

  async #serve(
    id: number,
    way: Way,
    guest: AnySocket,
    unix: AnySocket,
    cut: () => string | undefined,
  ): Promise<void> {
    const began = performance.now();
    const [fromGuest, toGuest]: [Flow, Flow] = [{ bytes: 0 }, { bytes: 0 }];
    const failure = await relayBytes(guest, unix, fromGuest, toGuest);
    this.#log({
      event: "close",
      id,
      ...way,
      toGuest: toGuest.bytes,
      fromGuest: fromGuest.bytes,
      ms: Math.round(performance.now() - began),
      reason: cut() ?? failure?.message,
    });
  }

  /**
   * Ends all, and waits for that, for `timeoutMs` or until `signal`.
   *
   * @returns How many were cut then.
   */
  async end(timeoutMs: number, signal: AbortSignal): Promise<number> {
    for (const session of this.#sessions) session.end();
    return await drain(this.#sessions, timeoutMs, signal);
  }
}
