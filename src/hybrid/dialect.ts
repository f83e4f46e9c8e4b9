/**
 * The dialects by which a VMM puts the ports of a VM behind Unix sockets.
 *
 * @module
 */

/** What a VMM speaks: see `HybridOptions.dialect`. */
export type DialectName = "firecracker" | "hyperkit" | "libkrun";

/** What the host says to a VMM, and where. */
export interface Dialect {
  /** The socket to connect to for `port` of the VM. */
  dialPath(path: string, port: number): string;
  /** The socket that the VMM connects to when the VM connects to `port` of the host. */
  servePath(path: string, cid: number, port: number): string;
  /** What is sent first, in one write; nothing where it is `""`. */
  hello(cid: number, port: number): string;
  /** Whether the VMM answers with a line once somebody in the VM has accepted. */
  readonly acks: boolean;
}

const PORT = "{port}";

/** Each dialect by its name. */
export const DIALECTS: Readonly<Record<DialectName, Dialect>> = {
  // Also Cloud Hypervisor and vhost-device-vsock.
  firecracker: {
    dialPath: (path) => path,
    servePath: (path, _, port) => portPath(path, port),
    hello: (_, port) => `CONNECT ${port}\n`,
    acks: true,
  },
  hyperkit: {
    dialPath: (path) => `${path}/connect`,
    servePath: (path, cid, port) => `${path}/${hex(cid)}.${hex(port)}`,
    hello: (cid, port) => `${hex(cid)}.${hex(port)}\n`,
    acks: false,
  },
  // A socket for each port, wherever its user wants it, and nothing but the bytes.
  libkrun: {
    dialPath: pathOfPort,
    servePath: (path, _, port) => pathOfPort(path, port),
    hello: () => "",
    acks: false,
  },
};

/** `path` with the port in place of `{port}`, or behind it. */
function pathOfPort(path: string, port: number): string {
  return path.includes(PORT) ? path.replaceAll(PORT, `${port}`) : portPath(path, port);
}

/** Where Firecracker's VM that is behind `path` finds `port` of the host. */
export function portPath(path: string, port: number): string {
  return `${path}_${port}`;
}

function hex(u32: number): string {
  return u32.toString(16).padStart(8, "0");
}
