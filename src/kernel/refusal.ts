/**
 * What the kernel refuses where nothing can be done about it.
 *
 * @module
 */
import { SysError } from "../../ffi/errno.ts";

/** Calls `call`, and goes on where the kernel refuses it: for what is given back at the end. */
export function ignoreRefusal(call: () => void): void {
  try {
    call();
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
  }
}
