/**
 * Sockets of AF_UNIX that have a path of their own.
 *
 * @module
 */
import { isNotCapable } from "../../ffi/backend.ts";
import type { UnixAddress } from "../address.ts";
import { type Claim, claimPath } from "./claim.ts";
import { KernelSocket } from "./socket.ts";

/** A socket that owns the path it is bound to: a dead one gives way, and closing unlinks it. */
export class UnixSocket extends KernelSocket<UnixAddress> {
  #claim: Claim | undefined;

  override bind({ path }: UnixAddress): void {
    const bind = (): void => super.bind({ path });
    try {
      this.#claim = claimPath(path, bind);
    } catch (error) {
      if (!isNotCapable(error)) throw error;
      bind(); // as the runtime does not permit more, the path is nobody's
    }
  }

  override close(): void {
    const claim = this.#claim;
    this.#claim = undefined;
    try {
      claim?.release();
    } finally {
      super.close();
    }
  }
}
