/**
 * The device at work: its guests, and who else reaches them.
 *
 * @module
 */
import { createVsockDevice, type VsockDevice } from "../../vhost_user/device.ts";
import { pcapTap } from "../../stack/pcap.ts";
import { descriptorLimit } from "../environment.ts";
import { Bridge } from "./bridge.ts";
import { Repeats } from "../output/repeats.ts";
import type { Fault, Log, Refusal } from "./log.ts";
import type { DeviceOptions, GuestChoice } from "./options.ts";
import { PcapFile } from "./pcap_file.ts";
import { Sessions, shareOf } from "./sessions.ts";

/** Milliseconds in which connections are to end. */
const END_MS = 5_000;

/** A device that serves. */
export class DeviceService implements Disposable {
  readonly #log: Log;
  readonly #repeats: Repeats<Refusal | Fault>;
  readonly #sessions: Sessions;
  readonly #pcap: PcapFile | undefined;
  readonly #device: VsockDevice;
  readonly #bridges: Map<number, Bridge> = new Map();

  /** Starts to listen. @throws {Error} If it cannot. */
  constructor(options: DeviceOptions, log: Log) {
    const { guests, siblings, pcap } = options;
    const [first] = guests;
    this.#log = log;
    this.#repeats = new Repeats<Refusal | Fault>(log);
    this.#sessions = new Sessions(log, shareOf(guests.length, descriptorLimit()));
    this.#pcap = pcap === undefined ? undefined : new PcapFile(({ message: why }) => {
      log({ event: "fault", reason: `no more packets are recorded: ${why}` });
    });
    this.#device = createVsockDevice({
      socketPath: first.socketPath,
      guestCid: first.cid,
      siblings,
      tap: this.#pcap === undefined ? undefined : pcapTap(this.#pcap.write),
      onState: ({ cid, up }) => log({ event: up ? "up" : "down", cid }),
      onFault: ({ message: reason }, { cid }) =>
        this.#repeats.tell(`${cid} fault`, { event: "fault", cid, reason }),
      onConnect: (port, type, { cid }, accept) =>
        this.#bridges.get(cid)?.fromGuest(port, type, accept),
    });
    try {
      this.#start(options);
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  #start({ guests, siblings, pcap }: DeviceOptions): void {
    if (pcap !== undefined) this.#pcap?.open(pcap);
    for (const guest of guests) {
      const { cid: guestCid, socketPath } = guest;
      if (guest !== guests[0]) this.#device.addGuest({ guestCid, socketPath, siblings });
      this.#addBridge(guest);
    }
    for (const { cid, socketPath: socket, udsPath } of guests) {
      this.#log({ event: "listen", cid, socket, udsPath });
    }
  }

  #addBridge({ cid, udsPath }: GuestChoice): void {
    if (udsPath === undefined) return;
    const host = { device: this.#device, sessions: this.#sessions, repeats: this.#repeats };
    this.#bridges.set(cid, new Bridge(cid, udsPath, host));
  }

  /** Tells how much has gone by. */
  tellCounters(): void {
    for (const { cid, up, counters } of this.#device.guests.values()) {
      this.#log({ event: "counters", cid, up, ...counters });
    }
  }

  /**
   * Takes no more connections, and ends those that are open; what is left of them after some
   * seconds, or at `signal`, is cut.
   *
   * @returns How many were cut.
   */
  async end(signal: AbortSignal): Promise<number> {
    for (const bridge of this.#bridges.values()) bridge.close();
    const cut = await this.#sessions.end(END_MS, signal);
    this.tellCounters();
    this[Symbol.dispose]();
    this.#log({ event: "stop", cut });
    return cut;
  }

  /** Unlinks all paths and cuts all connections. The second call does nothing. */
  [Symbol.dispose](): void {
    for (const bridge of this.#bridges.values()) bridge.close();
    this.#device.close();
    this.#repeats[Symbol.dispose]();
    this.#pcap?.[Symbol.dispose]();
  }
}
