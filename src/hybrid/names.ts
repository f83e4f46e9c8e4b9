/**
 * The addresses that the host's sockets of a hybrid transport go by.
 *
 * @module
 */
import { VMADDR_CID_ANY, VMADDR_CID_HOST, VMADDR_PORT_ANY } from "../../ffi/abi/vm_sockets.ts";
import { SysError } from "../../ffi/errno.ts";
import type { Address, HybridAddress, VsockAddress } from "../address.ts";

/** One end of a connection, whatever its address looks like. */
export interface End {
  /** Where the VMM listens. */
  readonly path: string;
  /** Context ID. */
  readonly cid: number;
  /** Port; `VMADDR_PORT_ANY` where it is not known. */
  readonly port: number;
}

/** How addresses `A` stand for ends. */
export interface Names<A extends Address> {
  /** The address of a socket that is not bound. */
  readonly unbound: A;
  /** The hint where `guestEnd()` gives nothing. */
  readonly unreachable: string;
  /** The end of the VM that `address` names; `undefined` if it names none. */
  guestEnd(address: A): End | undefined;
  /**
   * The end of the host that `address` names. @throws {SysError} `EADDRNOTAVAIL` if it names none.
   */
  hostEnd(address: A): End;
  /** The end of the VM behind `path` that has connected here; its port is not told. */
  unknownGuestEnd(path: string): End;
  /** The address of an end. */
  addressOf(end: End): A;
}

/** `{ path, port }`: the path names the VM. */
export const BY_PATH: Names<HybridAddress> = {
  unbound: { path: "", port: VMADDR_PORT_ANY },
  unreachable: "", // a path has all ports
  guestEnd: ({ path, port }) => ({ path, cid: VMADDR_CID_ANY, port }),
  hostEnd: ({ path, port }) => ({ path, cid: VMADDR_CID_HOST, port }),
  unknownGuestEnd: (path) => ({ path, cid: VMADDR_CID_ANY, port: VMADDR_PORT_ANY }),
  addressOf: ({ path, port }) => ({ path, port }),
};

/** `{ cid, port }`: of the one VM behind `path`, which goes by `guest`, and of the host. */
export function byCid(path: string, guest: number): Names<VsockAddress> {
  return {
    unbound: { cid: VMADDR_CID_ANY, port: VMADDR_PORT_ANY },
    unreachable: `this transport's VM is CID ${guest}`,
    guestEnd: ({ cid, port }) => cid === guest ? { path, cid, port } : undefined,
    hostEnd({ cid, port }) {
      if (cid !== VMADDR_CID_HOST && cid !== VMADDR_CID_ANY) {
        throw new SysError("bind", "EADDRNOTAVAIL");
      }
      return { path, cid, port };
    },
    unknownGuestEnd: () => ({ path, cid: guest, port: VMADDR_PORT_ANY }),
    addressOf: ({ cid, port }) => ({ cid, port }),
  };
}
