/**
 * A sandbox for this thread: system calls that are refused from now on, as a container does it.
 *
 * @module
 */
import { SYS_preadv2 } from "../../../ffi/abi/uio.ts";
import { X86_64 } from "../../../ffi/arch.ts";
import { systemCall } from "../../../ffi/call.ts";
import { type Code, ERRNO } from "../../../ffi/errno.ts";
import { library } from "../../../ffi/select.ts";

/** What can be refused, by `<sys/syscall.h>`. */
const CALLS: Readonly<Record<"socket" | "setsockopt" | "preadv2" | "mmap", number>> = {
  socket: X86_64 ? 41 : 198,
  setsockopt: X86_64 ? 54 : 208,
  preadv2: SYS_preadv2,
  mmap: X86_64 ? 9 : 222,
};

const [SYS_prctl, SYS_seccomp] = X86_64 ? [157, 317] : [167, 277];
const [PR_SET_NO_NEW_PRIVS, SECCOMP_SET_MODE_FILTER] = [38, 1];
const [SECCOMP_RET_ERRNO, SECCOMP_RET_ALLOW] = [0x0005_0000, 0x7fff_0000];
/** Instructions of BPF, and where `struct seccomp_data` has what they load. */
const [LOAD, JUMP_IF_EQUAL, RETURN, NUMBER_AT, ARGUMENT_AT] = [0x20, 0x15, 0x06, 0, 16];

/**
 * Refuses `call` with `code` for ever, where that argument, counted from 0, is `value`.
 *
 * @throws {SysError} Where there is a sandbox already that does not let this one be made.
 */
export function deny(call: keyof typeof CALLS, code: Code, value: number, argument = 0): void {
  const program: readonly (readonly [code: number, then: number, else_: number, k: number])[] = [
    [LOAD, 0, 0, NUMBER_AT],
    [JUMP_IF_EQUAL, 0, 3, CALLS[call]],
    [LOAD, 0, 0, ARGUMENT_AT + 8 * argument],
    [JUMP_IF_EQUAL, 0, 1, value],
    [RETURN, 0, 0, SECCOMP_RET_ERRNO | ERRNO[code]],
    [RETURN, 0, 0, SECCOMP_RET_ALLOW],
  ];
  const filter = new DataView(new ArrayBuffer(8 * program.length));
  for (const [i, [opcode, then, else_, k]] of program.entries()) {
    filter.setUint16(8 * i, opcode, true);
    filter.setUint8(8 * i + 2, then);
    filter.setUint8(8 * i + 3, else_);
    filter.setUint32(8 * i + 4, k, true);
  }
  const { pointerOf } = library();
  const header = new DataView(new ArrayBuffer(16)); // struct sock_fprog
  header.setUint16(0, program.length, true);
  header.setBigUint64(8, BigInt(pointerOf(filter)), true);
  systemCall("prctl", SYS_prctl, [PR_SET_NO_NEW_PRIVS, 1]);
  systemCall("seccomp", SYS_seccomp, [SECCOMP_SET_MODE_FILTER, 0, pointerOf(header)]);
}
