/**
 * `vsockit device` in a process of its own, with a folder for its sockets.
 *
 * @module
 */
import { readdirSync } from "node:fs";
import process from "node:process";
import type { Entry } from "../../src/cli/device/log.ts";
import { Machine, type MachineOptions } from "../device/machine.ts";
import { TempFolder } from "../helpers/temp_folder.ts";
import { Running } from "./process.ts";

/** The CID of its guest. */
export const CID = 42;

type Event = Entry["event"];
type EntryOf<E extends Event> = Extract<Entry, { readonly event: E }>;

/** A started device, whose guest is not there yet. Ends with its folder. */
export class DeviceProcess implements Disposable {
  readonly folder: TempFolder = new TempFolder();
  /** Where the VMM connects to, and where other processes do. */
  readonly socketPath: string = this.folder.path("vhost");
  readonly udsPath: string = this.folder.path("v");
  readonly running: Running;
  #read = 0;
  #wake: () => void = () => {};

  private constructor(args: readonly string[]) {
    const first = ["--socket", this.socketPath, "--guest-cid", String(CID)];
    const more = args.map((arg) => arg.replaceAll("FOLDER", this.folder.path("")));
    this.running = new Running(
      ...["device", "--json", ...first, "--uds-path", this.udsPath, ...more],
    );
    this.running.child.stdout?.on("data", () => this.#wake());
    this.running.child.once("close", () => this.#wake());
  }

  /** Starts one that listens; `FOLDER` in arguments is its folder. */
  static async start(...args: readonly string[]): Promise<DeviceProcess> {
    const device = new DeviceProcess(args);
    try {
      await device.event("listen");
      return device;
    } catch (error) {
      device[Symbol.dispose]();
      throw error;
    }
  }

  /** Brings a guest up. */
  async boot(options: Partial<MachineOptions> = {}): Promise<Machine> {
    const machine = await Machine.start({ socketPath: this.socketPath, ...options });
    await this.event("up");
    return machine;
  }

  /** The next event of that kind; those before it are gone. */
  async event<E extends Event>(event: E): Promise<EntryOf<E>> {
    for (;;) {
      const lines = this.running.out.split("\n").slice(0, -1);
      while (this.#read < lines.length) {
        const entry = JSON.parse(lines[this.#read++]!) as Entry;
        if (entry.event === event) return entry as EntryOf<E>;
      }
      const { exitCode } = this.running.child;
      if (exitCode !== null) throw new Error(`It ended with ${exitCode}: ${this.running.err}`);
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
  }

  /** Sends it a signal. What Deno kills itself it takes for dead of that. */
  signal(name: "SIGTERM" | "SIGINT" | "SIGHUP" | "SIGUSR2"): void {
    process.kill(this.running.child.pid!, name);
  }

  /** How many descriptors it has open. */
  get descriptors(): number {
    return readdirSync(`/proc/${this.running.child.pid}/fd`).length;
  }

  /** What is in its folder. */
  get files(): string[] {
    return readdirSync(this.folder.path("")).sort();
  }

  [Symbol.dispose](): void {
    this.running[Symbol.dispose]();
    this.folder[Symbol.dispose]();
  }
}
