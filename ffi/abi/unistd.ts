/**
 * `<unistd.h>`: what sysconf(3) can be asked.
 *
 * @module
 */

/** Bytes of a page. */
export const _SC_PAGESIZE = 30;
/** Processors that are online. */
export const _SC_NPROCESSORS_ONLN = 84;
