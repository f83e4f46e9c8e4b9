/**
 * What a person can do about an errno that a call of AF_VSOCK gave.
 *
 * @module
 */

const CLOSED = "it was closed before";

/** By call and code, as `errno` alone says too little. */
const HINTS: Readonly<Record<string, string>> = {
  "bind EACCES": "ports below 1024 need CAP_NET_BIND_SERVICE",
  "bind EADDRINUSE": "a stream or seqpacket socket has this port; 4294967295 lets bind choose",
  "bind EADDRNOTAVAIL": "this CID is not of this machine; 4294967295 binds any that is",
  "connect ECONNRESET": "nobody listens on this port, or the queue of the listener is full",
  "connect ENETUNREACH": "the transport to this CID does not allow this connection",
  "connect ENODEV": "no transport of this machine reaches this CID",
  "connect ESOCKTNOSUPPORT": "the transport to this CID has no SEQPACKET",
  "connect ETIMEDOUT": "no answer: is a machine with this CID up, and does it have vsock",
  "accept EBUSY": "another accept is pending: await that one first",
  "accept ETIMEDOUT": "nobody connected within timeoutMs",
  "recv EBUSY": "another read is pending: await that one first",
  "recv ENOBUFS": "the peer sent more than the buffer holds: raise bufferSize",
  "recv ETIMEDOUT": "nothing came within timeoutMs",
  "send ECONNABORTED": "credit ended within a message, and io_uring is not allowed here to wait",
  "send EBUSY": "another write is pending: await that one first",
  "send EFAULT":
    "the buffer was transferred away during a zero-copy write: who knows what was sent",
  "send EMSGSIZE": "a message must fit in bufferSize of both ends: raise it on both",
  "send EPIPE": "the peer closed or reads no more, or closeWrite() was called",
  "send ETIMEDOUT": "the peer did not read within timeoutMs",
  "setsockopt EINVAL": "this option does not take this value, or not any more",
};

/** The usual cure for `code` from `op`; `undefined` where there is none. */
export function hintFor(op: string, code: string): string | undefined {
  return code === "EBADF" ? CLOSED : HINTS[`${op} ${code}`];
}
