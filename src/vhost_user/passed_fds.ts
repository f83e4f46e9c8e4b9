/**
 * Descriptors that a VMM has passed by `SCM_RIGHTS`. They may be of any file, and the last ones of
 * it, so that it may take long to close them.
 *
 * @module
 */
import { SO_LINGER, SOL_SOCKET } from "../../ffi/abi/socket.ts";
import { close, setsockopt } from "../../ffi/libc.ts";
import { ignoreRefusal } from "../kernel/refusal.ts";

/** The most that one message can bring. */
export const SCM_MAX_FD = 253;

/** `struct linger`: off. */
const NO_LINGER: Uint8Array<ArrayBuffer> = new Uint8Array(8);

/**
 * Closes `fd`, which is gone whatever its file has to say of that; of a socket without the wait
 * that its SO_LINGER may ask for, which O_NONBLOCK does not prevent. A file of FUSE or NFS takes as
 * long as its server does, and no call can tell without asking that server.
 */
export function closePassed(fd: number): void {
  ignoreRefusal(() => setsockopt(fd, SOL_SOCKET, SO_LINGER, NO_LINGER)); // it may be no socket
  ignoreRefusal(() => close(fd));
}
