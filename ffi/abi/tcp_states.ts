/**
 * `<netinet/tcp.h>`: states of sockets. AF_VSOCK has these five, and its own names for them.
 *
 * @module
 */

/** Connected. */
export const TCP_ESTABLISHED = 1;
/** Connecting. */
export const TCP_SYN_SENT = 2;
/** Neither connected nor listening. */
export const TCP_CLOSE = 7;
/** Listening. */
export const TCP_LISTEN = 10;
/** Closing. */
export const TCP_CLOSING = 11;
