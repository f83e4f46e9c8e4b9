/**
 * Modules of the kernel, found in `/sys/module` and in the lists of `/lib/modules`.
 *
 * @module
 */
import { fs, os } from "../runtime/builtins.ts";
import { type Finding, type Look, no, yes } from "./finding.ts";

/** By module: what it is for, and what builds it into a kernel. */
const MODULES: Readonly<Record<string, readonly [about: string, config: string]>> = {
  vsock: ["module: AF_VSOCK itself", "CONFIG_VSOCKETS"],
  vsock_loopback: ["module: this machine, as CID 1", "CONFIG_VSOCKETS_LOOPBACK"],
  vmw_vsock_virtio_transport: [
    "module: guests of QEMU, Firecracker and such",
    "CONFIG_VIRTIO_VSOCKETS",
  ],
  vhost_vsock: ["module: a host of such guests", "CONFIG_VHOST_VSOCK"],
  vmw_vsock_vmci_transport: ["module: guests of VMware", "CONFIG_VMWARE_VMCI_VSOCKETS"],
  hv_sock: ["module: guests of Hyper-V", "CONFIG_HYPERV_VSOCKETS"],
  vsock_diag: ["module: what lists sockets, for vsockit ss", "CONFIG_VSOCKETS_DIAG"],
};

/** What else shows one that is built in, for which `/sys/module` has no more than parameters. */
const TRACES: Readonly<Record<string, string>> = {
  vmw_vsock_virtio_transport: "/sys/bus/virtio/drivers/vmw_vsock_virtio_transport",
  vhost_vsock: "/sys/class/misc/vhost-vsock",
};

/** In the order they are told. */
export const MODULE_LOOKS: Readonly<Record<string, Look>> = Object.fromEntries(
  Object.entries(MODULES).map(([name, [about, config]]) => [name, {
    about,
    look: () => lookAtModule(name, config),
  }]),
);

function lookAtModule(name: string, config: string): Finding {
  const { sys, lib } = FOLDERS;
  if (fs().existsSync(`${sys}/${name}`)) {
    // Only what is loaded has a state.
    return yes(fs().existsSync(`${sys}/${name}/initstate`) ? "it is loaded" : "it is built in");
  }
  if (fs().existsSync(TRACES[name] ?? "")) return yes("it is built in");
  const lists = `${lib}/${os().release()}`;
  const [builtIn, known] = ["modules.builtin", "modules.dep"].map((list) => read(lists, list));
  const entry = new RegExp(`/${name}\\.ko\\b`);
  if (builtIn !== undefined && entry.test(builtIn)) return yes("it is built in");
  if (!fs().existsSync(sys)) return no(`there is no ${sys} to tell`, "mount -t sysfs sysfs /sys");
  if (known === undefined) {
    if (hasNoModules()) return no("this kernel has no modules", `a kernel with ${config}`);
    return no("it is not loaded", `modprobe ${name}, or a kernel with ${config}`);
  }
  if (entry.test(known)) return no("it is there and not loaded", `modprobe ${name}`);
  return no("it is not among the modules of this kernel", `a kernel with ${config}`);
}

/** Whether it is known that this kernel loads none, as is usual in a microVM. */
function hasNoModules(): boolean {
  return fs().existsSync("/proc/self") && !fs().existsSync("/proc/modules");
}

const FOLDERS = { sys: "/sys/module", lib: "/lib/modules" } as const;

function read(folder: string, list: string): string | undefined {
  const path = `${folder}/${list}`;
  return fs().existsSync(path) ? fs().readFileSync(path, "utf8") : undefined;
}
