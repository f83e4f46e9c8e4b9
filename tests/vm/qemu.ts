/**
 * The emulator: the machine's own, or one unpacked into the cache.
 *
 * @module
 */
import { type ChildProcess, spawn } from "node:child_process";
import { accessSync, constants, globSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import process from "node:process";
import { Apt } from "./apt.ts";
import { cached } from "./cache.ts";

const NAME = "qemu-system-x86_64";

/** A QEMU that can be started. */
export interface Qemu {
  /** The program. */
  readonly file: string;
  /** Arguments that tell it where its firmware is. */
  readonly args: readonly string[];
  /** Variables that tell the loader where its libraries are. */
  readonly env: Readonly<Record<string, string>>;
}

/** The devices of a guest, by what they are connected to. */
export interface Machine {
  readonly cpus: number;
  readonly memoryMiB: number;
  readonly vmlinuz: string;
  readonly initramfs: string;
  /** File for the kernel's console. */
  readonly log: string;
  /** Unix sockets that listen, for the guest's ports 1, 2 and so on. */
  readonly ports: readonly string[];
  /** The one folder that the guest may write to. */
  readonly results: string;
  /** Unix socket that listens, a port named "control" in the guest. */
  readonly control: string | undefined;
  /** Unix socket of a vhost-user backend, which gets the guest's memory and is its vsock device. */
  readonly vhostUser: string | undefined;
  /** Unix socket that listens, and gets the monitor. */
  readonly monitor: string | undefined;
}

/** Finds QEMU on `PATH` or in the cache; else fetches it into the cache. */
export function findQemu(cache: string): Qemu {
  const folders = (process.env["PATH"] ?? "").split(delimiter);
  const installed = folders.map((folder) => join(folder, NAME)).find(isExecutable);
  if (installed !== undefined) return { file: installed, args: [], env: {} };
  const folder = cached(cache, "qemu", (draft) => {
    using apt = new Apt();
    apt.unpack(apt.missing("qemu-system-x86"), draft);
  });
  const found = (pattern: string): string[] =>
    globSync(pattern, { cwd: folder }).map((path) => join(folder, dirname(path)));
  return {
    file: join(folder, "usr", "bin", NAME),
    args: Array.from(new Set(found("usr/{share,lib}/**/*.{bin,rom}")), (path) => ["-L", path])
      .flat(),
    env: { LD_LIBRARY_PATH: Array.from(new Set(found("{usr/,}lib/**/*.so.*"))).join(delimiter) },
  };
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Starts the machine, all its output on our stderr. It ends no later than this process. */
export function startQemu({ file, args, env }: Qemu, machine: Machine): ChildProcess {
  const command = ["--pdeathsig", "KILL", "--", file, ...args, ...machineArgs(machine)];
  return spawn("setpriv", command, {
    env: { ...process.env, ...env },
    stdio: ["ignore", "inherit", "inherit"],
  });
}

function machineArgs(machine: Machine): string[] {
  const { cpus, memoryMiB, vmlinuz, initramfs, log, ports, results } = machine;
  const { control, vhostUser, monitor } = machine;
  return [
    // One thread for all processors: with one each, code that is patched while another processor
    // runs it (the kernel's static keys, V8's compiler) now and then ends in an oops or an abort.
    ...["-M", "q35", "-accel", "tcg,thread=single", "-cpu", "max"],
    ...["-smp", `${cpus}`, "-m", `${memoryMiB}`, "-nodefaults", "-nic", "none"],
    ...["-display", "none", "-no-reboot"],
    ...["-kernel", vmlinuz, "-initrd", initramfs, "-append", KERNEL_ARGS.join(" ")],
    ...["-chardev", `file,id=log,path=${log}`, "-serial", "chardev:log"],
    ...["-device", "virtio-serial-pci"],
    ...ports.flatMap((path, index) => portArgs(path, index + 1)),
    ...(control === undefined ? [] : portArgs(control, ports.length + 1, "control")),
    ...(vhostUser === undefined ? [] : vhostUserArgs(vhostUser, memoryMiB)),
    ...(monitor === undefined ? [] : monitorArgs(monitor)),
    ...shareArgs("root", "path=/,security_model=none,readonly=on,multidevs=remap"),
    // Owners, modes and links that the guest makes are but notes beside plain files.
    ...shareArgs("results", `path=${results},security_model=mapped-file`),
  ];
}

/** Each oops and each warning is a panic, and a panic ends the guest. */
const KERNEL_ARGS: readonly string[] = [
  ...["console=ttyS0", "loglevel=5", "mitigations=off"],
  ...["oops=panic", "panic_on_warn=1", "panic=-1"],
];

function portArgs(path: string, number: number, name = `port${number}`): string[] {
  return [
    ...["-chardev", `socket,id=${name},path=${escaped(path)}`],
    ...["-device", `virtserialport,chardev=${name},nr=${number},name=${name}`],
  ];
}

function monitorArgs(path: string): string[] {
  return [
    ...["-chardev", `socket,id=monitor,path=${escaped(path)}`],
    ...["-mon", "chardev=monitor,mode=control"],
  ];
}

/** The vsock device; the monitor can take it out of its slot, and put in another one. */
export const VSOCK_DEVICE = {
  driver: "vhost-user-vsock-pci",
  chardev: "vsock",
  id: "vsock-device",
  bus: "vsock-slot",
} as const;

/** A device whose other half is another process, which maps the guest's memory: a sealed memfd. */
function vhostUserArgs(path: string, memoryMiB: number): string[] {
  const { driver, chardev, id, bus } = VSOCK_DEVICE;
  return [
    ...["-object", `memory-backend-memfd,id=memory,size=${memoryMiB}M,share=on`],
    ...["-machine", "memory-backend=memory"],
    ...["-chardev", `socket,id=${chardev},path=${escaped(path)}`],
    ...["-device", `pcie-root-port,id=${bus}`],
    ...["-device", `${driver},chardev=${chardev},id=${id},bus=${bus}`],
  ];
}

/** A value among others that commas separate. */
function escaped(value: string): string {
  return value.replaceAll(",", ",,");
}

function shareArgs(tag: string, settings: string): string[] {
  return [
    ...["-fsdev", `local,id=${tag},${settings}`],
    ...["-device", `virtio-9p-pci,fsdev=${tag},mount_tag=${tag}`],
  ];
}
