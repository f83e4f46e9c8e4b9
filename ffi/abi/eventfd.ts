/**
 * `<sys/eventfd.h>`: a counter that can be waited for.
 *
 * @module
 */

/** eventfd(2): closed on exec. */
export const EFD_CLOEXEC = 0o2000000;
/** eventfd(2): non-blocking. */
export const EFD_NONBLOCK = 0o4000;
/** eventfd(2): a read takes 1, not all. */
export const EFD_SEMAPHORE = 1;
