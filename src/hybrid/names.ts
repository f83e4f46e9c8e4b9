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
  /** The name of a socket that has none. */
  readonly none: A;
  /** What to say of an address that names no end of the VM. */
  readonly elsewhere: string;
  /** The end of the VM that `address` names; `undefined` if it names none. */
  peer(address: A): End | undefined;
  /**
   * The end of the host that `address` names. @throws {SysError} `EADDRNOTAVAIL` if it names none.
   */
  own(address: A): End;
  /** The end of the VM behind `path` that has connected here; its port is not told. */
  stranger(path: string): End;
  /** The address of an end. */
  address(end: End): A;
}

/** `{ path, port }`: the path names the VM. */
export const BY_PATH: Names<HybridAddress> = {
  none: { path: "", port: VMADDR_PORT_ANY },
  elsewhere: "", // a path has all ports
  peer: ({ path, port }) => ({ path, cid: VMADDR_CID_ANY, port }),
  own: ({ path, port }) => ({ path, cid: VMADDR_CID_HOST, port }),
  stranger: (path) => ({ path, cid: VMADDR_CID_ANY, port: VMADDR_PORT_ANY }),
  address: ({ path, port }) => ({ path, port }),
};

/** `{ cid, port }`: of the one VM behind `path`, which goes by `guest`, and of the host. */
export function byCid(path: string, guest: number): Names<VsockAddress> {
  return {
    none: { cid: VMADDR_CID_ANY, port: VMADDR_PORT_ANY },
    elsewhere: `this transport's VM is CID ${guest}`,
    peer: ({ cid, port }) => cid === guest ? { path, cid, port } : undefined,
    own({ cid, port }) {
      if (cid !== VMADDR_CID_HOST && cid !== VMADDR_CID_ANY) {
        throw new SysError("bind", "EADDRNOTAVAIL");
      }
      return { path, cid, port };
    },
    stranger: () => ({ path, cid: guest, port: VMADDR_PORT_ANY }),
    address: ({ cid, port }) => ({ cid, port }),
  };
}
