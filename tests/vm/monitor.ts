/**
 * QEMU's monitor, by which a guest's devices come and go. It speaks QMP, which is lines of JSON.
 *
 * @module
 */
import { resolve } from "node:path";
import { ControlHost } from "./control_host.ts";
import { VSOCK_DEVICE } from "./qemu.ts";

/** What QEMU says: how a command ended, or what happened. */
interface Said {
  readonly id?: number;
  readonly return?: unknown;
  readonly error?: { readonly desc: string };
  readonly event?: string;
  readonly data?: { readonly device?: string };
}

/** Somebody who waits for something that QEMU says. */
interface Listener {
  hears(said: Said): void;
  fails(error: Error): void;
}

/** Listens for the one machine that is started with `--monitor PATH`. */
export class Monitor implements AsyncDisposable {
  readonly #qemu: ControlHost;
  readonly #listeners: Set<Listener> = new Set();
  #last = 0;
  #ready: Promise<unknown> | undefined;

  private constructor(qemu: ControlHost) {
    this.#qemu = qemu;
    const end = (why: unknown): void => {
      const error = new Error("the machine's monitor is gone", { cause: why });
      for (const listener of this.#listeners) listener.fails(error);
    };
    this.#take().then(end, end);
  }

  /** Listens at `path`. The caller closes it. */
  static async listen(path: string): Promise<Monitor> {
    return new Monitor(await ControlHost.listen(path));
  }

  /** What to give to `--monitor`. */
  get path(): string {
    return this.#qemu.path;
  }

  /** Waits for the machine, has it do what `command` says, and gives what that returns. */
  async execute(command: string, args: Readonly<Record<string, unknown>> = {}): Promise<unknown> {
    await (this.#ready ??= this.#ask("qmp_capabilities", {}));
    return await this.#ask(command, args);
  }

  /**
   * Takes the guest's vsock device away, and gives it one whose backend listens at `path`: what it
   * takes to go on after a backend has died.
   */
  async replug(path: string): Promise<void> {
    const { id, chardev } = VSOCK_DEVICE;
    const deleted = this.#hear((said) =>
      said.event === "DEVICE_DELETED" && said.data?.device === id
    );
    await Promise.all([deleted, this.execute("device_del", { id })]);
    await this.execute("chardev-remove", { id: chardev });
    const addr = { type: "unix", data: { path: resolve(path) } };
    const backend = { type: "socket", data: { addr, server: false } };
    await this.execute("chardev-add", { id: chardev, backend });
    await this.execute("device_add", VSOCK_DEVICE);
  }

  /** Ends the connection; the machine goes on. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#qemu.close();
  }

  async #ask(command: string, args: Readonly<Record<string, unknown>>): Promise<unknown> {
    const id = ++this.#last;
    const answered = this.#hear((said) => said.id === id);
    await this.#qemu.send({ execute: command, arguments: args, id });
    const { error, return: value } = await answered;
    if (error !== undefined) throw new Error(`QEMU cannot ${command}: ${error.desc}`);
    return value;
  }

  /** The next that fits. */
  #hear(fits: (said: Said) => boolean): Promise<Said> {
    const { promise, resolve, reject } = Promise.withResolvers<Said>();
    const listener: Listener = {
      hears: (said) => fits(said) && resolve(said),
      fails: reject,
    };
    this.#listeners.add(listener);
    promise.catch(() => {}); // it is awaited later
    return promise.finally(() => this.#listeners.delete(listener));
  }

  async #take(): Promise<void> {
    for await (const said of this.#qemu) {
      for (const listener of this.#listeners) listener.hears(said as Said);
    }
  }
}
