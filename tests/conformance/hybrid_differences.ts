/**
 * In which cases a hybrid vsock does not do as AF_VSOCK does, by why.
 *
 * @module
 */

const BY_REASON: Readonly<Record<string, readonly string[]>> = {
  "the VMM does not tell from which port a connection comes, nor take one from the host": [
    "connect() keeps the port that the socket was bound to",
    "accept() gives a socket named after the listener's port and the peer",
    "accept() gives connections in the order they came",
    "listen() with any port tells which one it got, and accept() gives a Conn",
  ],
  "a handshake has 5 seconds, so that the VMM, which has 2, can say no first": [
    "CONNECT_TIMEOUT is 2 seconds unless set, by its old and its new number",
    "CONNECT_TIMEOUT of 0 is 2 seconds",
    "CONNECT_TIMEOUT with a million microseconds or negative seconds gives ERANGE",
  ],
  "AF_UNIX stays connected after shutdown(2)": [
    "remoteAddress() gives ENOTCONN after shutdown()",
    "connect() after shutdown() gives EINVAL",
  ],
  "AF_UNIX refuses options that it does not have by EOPNOTSUPP, SO_ZEROCOPY among them": [
    "options of another protocol's level give ENOPROTOOPT",
    "SO_ZEROCOPY takes 0 and 1, another int or fewer than 4 bytes give EINVAL",
  ],
  "poll(2) of AF_UNIX knows no SO_RCVLOWAT, and its setsockopt(2) no bound of it": [
    "SO_RCVLOWAT of a stream above BUFFER_SIZE, or negative, gives EINVAL",
    "poll() is IN from SO_RCVLOWAT bytes on, not before",
    "recv() with SO_RCVLOWAT as large as the buffer gives ENOMEM",
    "SO_RCVLOWAT above what is queued lets the sender go on",
    "options.rcvlowat makes a pending read() wait for as many bytes",
  ],
  "AF_UNIX has one buffer for each direction, the sender's: no credit of the peer bounds it": [
    "a buffer too small for any packet ends the connection: recv() gives 0, SO_ERROR ENOBUFS",
    "BUFFER_SIZE of a connected socket is at most 2^32 - 1",
    "BUFFER_SIZE set before connect() is at most 2^32 - 1 after it",
    "poll() is not OUT without credit",
    "wait() for writing is not ended by something to read",
    "waitSync() blocks this thread until the far end sends, closes, or reads",
    "send() takes as much as the peer's buffer holds, then would block",
    "send() takes no more than this end's own buffer holds",
    "send() takes 262144 bytes with the default buffers",
    "send() takes more once both buffers are larger",
    "send() can go on when the peer has read everything",
    "recv() of a part of a packet gives no credit back, of the whole it does",
    "BUFFER_SIZE raised on a connection lets the sender go on",
    "BUFFER_SIZE lowered below what is on its way stops the sender, loses nothing",
    "BUFFER_SIZE of this end changes what it may send",
    "write() while another waits rejects with EBUSY",
    "write() without credit rejects with ETIMEDOUT; bytesWritten says how far it came",
    "write() that waits rejects with EPIPE when the peer closes",
    "write() that waits rejects with EPIPE when the peer closes, with bytes unread here",
    "readable does not read ahead: the sender runs out of credit",
  ],
  "AF_UNIX counts a small packet by the memory that it takes, so fewer go before one is read": [
    "send() of single bytes, 2000 of them, arrives in order",
    "send() of 1000 packets of 200 bytes that nobody reads yet loses nothing",
  ],
  "poll(2) of AF_UNIX is OUT after the end of sending, and HUP once the peer has closed": [
    "shutdown(SHUT_WR): send() gives EPIPE, recv() still works, the peer reads 0",
    "shutdown(SHUT_WR) of both ends is POLLHUP",
    "shutdown(SHUT_RDWR) is POLLHUP at once, recv() gives 0, send() EPIPE",
    "close() of the peer: poll() is IN, OUT, RDHUP; no HUP, and SO_ERROR is 0",
    "close() of the peer: shutdown() here is no error and makes it POLLHUP",
  ],
  "close(2) of AF_UNIX with bytes unread is ECONNRESET at the peer": [
    "close() with bytes unread is an end of stream at the peer, never ECONNRESET",
  ],
  "close(2) of AF_UNIX is over at once, whatever the peer has not read": [
    "close() keeps the port while the peer has bytes unread, until the peer closes too",
  ],
};

/** Why, by the name of the case. */
export const HYBRID_DIFFERENCES: ReadonlyMap<string, string> = new Map(
  Object.entries(BY_REASON).flatMap(([why, names]) => names.map((name) => [name, why] as const)),
);
