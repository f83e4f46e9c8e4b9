/**
 * Whether this machine's pages are those of the receive ABI.
 *
 * @module
 */
import { USR_PAGE_SIZE } from "../../ffi/abi/virtio_vsock_usr.ts";
import { pageSize } from "../../ffi/memory.ts";

/**
 * Why nothing is mapped to receive here, or `undefined`. Batches count in pages of 4096 bytes, as
 * the receive ABI does, and arm64 has kernels with pages of 16 and of 64 KiB.
 */
export function whyNoPages(): string | undefined {
  const bytes = pageSize();
  if (bytes === USR_PAGE_SIZE) return undefined;
  return `pages are of ${bytes} bytes here, not of ${USR_PAGE_SIZE}`;
}
