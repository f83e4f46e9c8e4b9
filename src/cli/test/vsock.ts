/**
 * The kernel's AF_VSOCK, with the descriptors of its sockets.
 *
 * @module
 */
import { KernelSocket } from "../../kernel/socket.ts";
import { openVsock } from "../../kernel/transport.ts";
import type { Socket } from "../../socket.ts";
import type { Carrier } from "./alone.ts";

/** What makes sockets of the kernel. */
export function vsockCarrier(): Carrier {
  return {
    transport: openVsock(),
    fdOf(socket: Socket): number {
      if (socket instanceof KernelSocket) return socket.fd;
      throw new TypeError(`Cannot use socket: must be the kernel's: current value is ${socket}`);
    },
  };
}
