/**
 * Memory with a hole: pages that no system call can use.
 *
 * @module
 */
import { PROT_NONE } from "../../../ffi/abi/mman.ts";
import { MappedRegion, pageSize } from "../../../ffi/memory.ts";
import { mprotect } from "../../../ffi/mman_calls.ts";

/**
 * `pages` pages of which page `hole` may not be touched, by nobody: `bytes` is for system calls,
 * which find it as they find what is not mapped. The caller unmaps the region.
 */
export function brokenMemory(
  pages: number,
  hole: number,
): { readonly region: MappedRegion; readonly bytes: Uint8Array<ArrayBuffer> } {
  const region = new MappedRegion(pages * pageSize());
  try {
    const bytes = region.lend(0, region.byteLength);
    mprotect(region.address + hole * pageSize(), pageSize(), PROT_NONE);
    return { region, bytes };
  } catch (error) {
    region.unmap();
    throw error;
  }
}
