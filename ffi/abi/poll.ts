/**
 * `<poll.h>`: what poll(2) can wait for, Linux values.
 *
 * @module
 */

/** Data to read; on a listener, a connection to accept. */
export const POLLIN = 0x001;
/** Urgent data; never on AF_VSOCK. */
export const POLLPRI = 0x002;
/** Room to write. */
export const POLLOUT = 0x004;
/** An error is pending, or the error queue has something. Output only. */
export const POLLERR = 0x008;
/** Both directions are shut. Output only. */
export const POLLHUP = 0x010;
/** The file descriptor is not open. Output only. */
export const POLLNVAL = 0x020;
/** Normal data; set together with `POLLIN`. */
export const POLLRDNORM = 0x040;
/** Room for normal data; set together with `POLLOUT`. */
export const POLLWRNORM = 0x100;
/** The peer sends no more. */
export const POLLRDHUP = 0x2000;
