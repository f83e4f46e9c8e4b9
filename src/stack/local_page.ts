/**
 * Page 0 of a mapping that this thread alone writes.
 *
 * @module
 */
import {
  POLL_VALUE_CLOSED,
  POLL_VALUE_DATA,
  POLL_VALUE_EMPTY,
  USR_PAGE_SIZE,
  UsrHdrPage,
} from "../../ffi/abi/virtio_vsock_usr.ts";
import type { RxPage } from "./node.ts";

/** Plain memory; `poll_value` follows the socket at once. */
export class LocalPage implements RxPage {
  readonly words: Int32Array = new Int32Array(USR_PAGE_SIZE / 4);
  readonly volatile: boolean;
  readonly spins: boolean;
  readonly #page = new UsrHdrPage(this.words);

  /** Both as in `RxPage`: the data may be in a guest's memory, or in that of another thread. */
  constructor(volatile: boolean = false, spins: boolean = false) {
    this.volatile = volatile;
    this.spins = spins;
  }

  settle(readable: boolean, closed: boolean): void {
    if (this.#page.pollValue === POLL_VALUE_CLOSED) return;
    this.#page.storePollValue(
      closed ? POLL_VALUE_CLOSED : readable ? POLL_VALUE_DATA : POLL_VALUE_EMPTY,
    );
  }

  close(): void {
    this.settle(false, true);
  }
}
