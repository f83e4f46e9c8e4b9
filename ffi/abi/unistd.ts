/**
 * `<unistd.h>`: where lseek(2) counts from, and what sysconf(3) can be asked.
 *
 * @module
 */

/** From the start. */
export const SEEK_SET = 0;
/** From the current offset. */
export const SEEK_CUR = 1;
/** From the end. */
export const SEEK_END = 2;
/** Bytes of a page. */
export const _SC_PAGESIZE = 30;
/** Processors that are online. */
export const _SC_NPROCESSORS_ONLN = 84;
