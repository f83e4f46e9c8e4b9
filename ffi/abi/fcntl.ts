/**
 * `<fcntl.h>`: flags of open files, and what fcntl(2) does; needs `_GNU_SOURCE`.
 *
 * @module
 */

/** Open for reading. */
export const O_RDONLY = 0;
/** Open for writing. */
export const O_WRONLY = 1;
/** Open for both. */
export const O_RDWR = 2;
/** Non-blocking. */
export const O_NONBLOCK = 0o4000;
/** Closed on exec. */
export const O_CLOEXEC = 0o2000000;
/** fcntl(2): the flags of the file descriptor. */
export const F_GETFD = 1;
/** fcntl(2): set the flags of the file descriptor. */
export const F_SETFD = 2;
/** fcntl(2): the flags of the open file. */
export const F_GETFL = 3;
/** fcntl(2): set the flags of the open file. */
export const F_SETFL = 4;
/** `F_GETFD`, `F_SETFD`: closed on exec. */
export const FD_CLOEXEC = 1;
/** fcntl(2): another descriptor of the same file, the argument or above; it is closed on exec. */
export const F_DUPFD_CLOEXEC = 1030;
/** fcntl(2): forbid changes of a memfd for ever. */
export const F_ADD_SEALS = 1033;
/** fcntl(2): what is forbidden. */
export const F_GET_SEALS = 1034;
/** Seal: no more seals. */
export const F_SEAL_SEAL = 1;
/** Seal: the file cannot become shorter, so a mapping of it never faults. */
export const F_SEAL_SHRINK = 2;
/** Seal: the file cannot become longer. */
export const F_SEAL_GROW = 4;
