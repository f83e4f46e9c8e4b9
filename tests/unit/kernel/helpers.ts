/** What tests of `src/kernel/` share. */
import { SOCK_CLOEXEC, SOCK_STREAM } from "../../../ffi/abi/socket.ts";
import { AF_VSOCK } from "../../../ffi/abi/vm_sockets.ts";
import { SysError } from "../../../ffi/errno.ts";
import { close, socket } from "../../../ffi/libc.ts";

/** Why the tests cannot run, if so. */
export const NO_VSOCK: string | false = whyNot();

function whyNot(): string | false {
  try {
    close(socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC));
    return false;
  } catch (error) {
    if (error instanceof SysError && error.code === "EAFNOSUPPORT") {
      return "the kernel has no AF_VSOCK: modprobe vsock, or run it in the guest by deno task vm";
    }
    throw error;
  }
}
