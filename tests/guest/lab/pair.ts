/**
 * Two connected sockets of a kernel with the receive ABI.
 *
 * @module
 */
import { SO_VM_SOCKETS_ZEROCOPY } from "../../../ffi/abi/virtio_vsock_usr.ts";
import { AF_VSOCK, VMADDR_CID_ANY, VMADDR_PORT_ANY } from "../../../ffi/abi/vm_sockets.ts";
import type { KernelSocket } from "../../../src/kernel/socket.ts";
import { KernelTransport } from "../../../src/kernel/transport.ts";
import type { SocketType } from "../../../src/socket.ts";
import { u64 } from "../../conformance/helpers.ts";
import { accepted, connected } from "../../conformance/verbs.ts";

const transport = new KernelTransport();

/** Two connected ends; `here` may be mapped. The caller closes them. */
export async function openPair(
  type: SocketType = "stream",
): Promise<{ here: KernelSocket; there: KernelSocket }> {
  using listener = transport.socket(type);
  listener.bind({ cid: VMADDR_CID_ANY, port: VMADDR_PORT_ANY });
  listener.listen(1);
  const here = transport.socket(type);
  here.setsockopt(AF_VSOCK, SO_VM_SOCKETS_ZEROCOPY, u64(1));
  await connected(here, { cid: 1, port: listener.localAddress().port });
  return { here, there: await accepted(listener) as KernelSocket };
}
