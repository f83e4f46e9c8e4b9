/**
 * A device, and a machine that was booted with it: Debian's own kernel and a command in it.
 *
 * @module
 */
import {
  createVsockDevice,
  type VsockDevice,
  type VsockDeviceOptions,
} from "../../src/vhost_user/device.ts";
import { TempFolder } from "../helpers/temp_folder.ts";
import { ControlHost } from "../vm/control_host.ts";
import { type GuestOptions, type GuestProcess, startGuest } from "../vm/guest_process.ts";

/** The CID of a guest. */
export const GUEST_CID = 42;

/** Where `echo_guest.ts` listens; `up` is where it connects to on the host once it does. */
export const PORTS = { up: 5000, echo: 5001, silent: 5002, sysrq: 5003 } as const;

/** Cases in which a far end is told something while this thread blocks: why not. */
export const BLOCKED: ReadonlyMap<string, string> = new Map(
  [
    "waitSync() blocks this thread until the far end sends, closes, or reads",
    "poll_value is seen by a spin without any call: data, then the end",
  ].map((name) => [name, "the far end is told by this thread's event loop"] as const),
);

/** How a program of the project is run in the guest: there it is always Deno that runs it. */
export function denoRun(...args: readonly string[]): readonly string[] {
  return ["deno", "run", "-A", "--no-check", ...args];
}

/** A device with sockets for one machine, and messages from and to the command that it runs. */
export class Host implements AsyncDisposable {
  readonly device: VsockDevice;
  /** For one machine: give its path to `boot()`. */
  readonly control: ControlHost;
  readonly folder: TempFolder;
  readonly #faults: Error[];
  #guest: GuestProcess | undefined;

  private constructor(
    folder: TempFolder,
    device: VsockDevice,
    control: ControlHost,
    faults: Error[],
  ) {
    this.folder = folder;
    this.device = device;
    this.control = control;
    this.#faults = faults;
  }

  /** Becomes the device of a machine that is yet to be started. The caller closes it. */
  static async open(options: Partial<VsockDeviceOptions> = {}): Promise<Host> {
    const folder = new TempFolder();
    const faults: Error[] = [];
    const device = createVsockDevice({
      socketPath: folder.path("vhost"),
      guestCid: GUEST_CID,
      onFault: (error) => faults.push(error),
      ...options,
    });
    const control = await ControlHost.listen(folder.path("control"));
    return new Host(folder, device, control, faults);
  }

  /** Boots the machine, with 1 GiB of memory unless said; resolves once its driver runs. */
  async boot(options: GuestOptions): Promise<GuestProcess> {
    const { device } = this;
    const guest = this.#guest = startGuest({
      memoryMiB: 1024,
      vhostUser: device.guest.socketPath,
      ...options,
    });
    const early = guest.ended.then(({ code, stdout, stderr }) => {
      throw new Error(`the guest ended with ${code}\n${stdout}${stderr}`);
    });
    await Promise.race([device.guest.ready(), early]);
    early.catch(() => {});
    return guest;
  }

  /** Ends the machine, then the device; throws where that has told of a fault. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#guest?.[Symbol.asyncDispose]();
    await this.control.close();
    this.device.close();
    this.folder[Symbol.dispose]();
    if (this.#faults.length > 0) {
      throw new AggregateError(this.#faults, "the device told of faults");
    }
  }
}
