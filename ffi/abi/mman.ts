/**
 * `<sys/mman.h>`: memory mappings, Linux values of x86-64 and arm64.
 *
 * @module
 */

/** No access. */
export const PROT_NONE = 0;
/** Pages can be read. */
export const PROT_READ = 1;
/** Pages can be written. */
export const PROT_WRITE = 2;
/** Pages can be executed. */
export const PROT_EXEC = 4;
/** Changes are shared. */
export const MAP_SHARED = 1;
/** Changes are private. */
export const MAP_PRIVATE = 2;
/** Replace what is mapped there. */
export const MAP_FIXED = 0x10;
/** Not backed by a file. */
export const MAP_ANONYMOUS = 0x20;
/** Reserve no swap: a large mapping costs address space only. */
export const MAP_NORESERVE = 0x4000;
/** Map every page at once. */
export const MAP_POPULATE = 0x8000;
/** Give the pages back. */
export const MADV_DONTNEED = 4;
/** mremap(2): the mapping may move. */
export const MREMAP_MAYMOVE = 1;
/** memfd_create(2): `F_ADD_SEALS` is allowed. */
export const MFD_ALLOW_SEALING = 2;
/** memfd_create(2): closed on exec. */
export const MFD_CLOEXEC = 1;
/** memfd_create(2): of huge pages. */
export const MFD_HUGETLB = 4;
