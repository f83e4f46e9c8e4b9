/**
 * Descriptors that a VMM has sent: of whatever, and maybe the last ones of it.
 *
 * @module
 */
import { SO_LINGER, SOL_SOCKET } from "../../ffi/abi/socket.ts";
import { close, setsockopt } from "../../ffi/libc.ts";
import { ignoreRefusal } from "../kernel/refusal.ts";

/** The most that one message can bring: `SCM_MAX_FD` of the kernel. */
export const GIVEN_MAX = 253;

/** `struct linger`: off. */
const NO_LINGER: Uint8Array<ArrayBuffer> = new Uint8Array(8);

/**
 * Closes `fd`, which is gone whatever its file has to say of that. Of a socket it takes as long as
 * its SO_LINGER says, O_NONBLOCK or not. A file of FUSE or NFS takes as long as its server does,
 * and no call can tell without asking that server.
 */
export function closeGiven(fd: number): void {
  ignoreRefusal(() => setsockopt(fd, SOL_SOCKET, SO_LINGER, NO_LINGER)); // it may be no socket
  ignoreRefusal(() => close(fd));
}
