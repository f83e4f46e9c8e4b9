/**
 * `<linux/sock_diag.h>`: questions about sockets; see sock_diag(7).
 *
 * @module
 */

/** Type of a request and of its answers: the sockets of an address family. */
export const SOCK_DIAG_BY_FAMILY = 20;
