/**
 * `<linux/sockios.h>` and `<sys/ioctl.h>`: requests of ioctl(2) on sockets.
 *
 * @module
 */

/** int: bytes sent that the peer has not taken yet. */
export const SIOCOUTQ = 0x5411;
/** int: bytes that can be read; ENOTTY on AF_VSOCK. */
export const FIONREAD = 0x541b;
