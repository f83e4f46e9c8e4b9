/**
 * Maps the receive queue of a TCP socket, where a page that was given back is a SIGBUS to touch,
 * and touches it after its release. Prints what it found, and how many bytes were mapped.
 */
import { INADDR_LOOPBACK, IPPROTO_TCP, SockaddrIn } from "../../../ffi/abi/in.ts";
import { PROT_READ } from "../../../ffi/abi/mman.ts";
import { PollFds, POLLIN } from "../../../ffi/abi/poll.ts";
import * as c from "../../../ffi/abi/socket.ts";
import { TCP_MAXSEG, TCP_ZEROCOPY_RECEIVE, TcpZerocopyReceive } from "../../../ffi/abi/tcp.ts";
import * as libc from "../../../ffi/libc.ts";
import { MappedRegion, pageSize } from "../../../ffi/memory.ts";

const PAGE = pageSize();
const SIZE = 16 * PAGE;
/** A page, and the timestamp option: only whole pages of payload can be mapped. */
const SEGMENT = Int32Array.of(PAGE + 12);

const listener = libc.socket(c.AF_INET, c.SOCK_STREAM);
libc.setsockopt(listener, IPPROTO_TCP, TCP_MAXSEG, SEGMENT);
libc.setsockopt(listener, c.SOL_SOCKET, c.SO_RCVLOWAT, Int32Array.of(SIZE));
libc.bind(listener, new SockaddrIn(INADDR_LOOPBACK, 0).bytes);
libc.listen(listener, 1);
const address = new SockaddrIn(0, 0);
libc.getsockname(listener, address.bytes);
const sender = libc.socket(c.AF_INET, c.SOCK_STREAM);
libc.setsockopt(sender, IPPROTO_TCP, TCP_MAXSEG, SEGMENT);
libc.setsockopt(sender, c.SOL_SOCKET, c.SO_ZEROCOPY, Int32Array.of(1));
libc.connect(sender, address.bytes);
const receiver = libc.accept4(listener, c.SOCK_NONBLOCK);

const region = new MappedRegion(SIZE, { fd: receiver, prot: PROT_READ });
const source = new MappedRegion(SIZE);
const data = source.lend(0, SIZE).fill(7);
libc.send(sender, data, c.MSG_ZEROCOPY | c.MSG_NOSIGNAL);
const fds = new PollFds(1);
fds.set(0, receiver, POLLIN);
libc.poll(fds, 10_000);

const receive = new TcpZerocopyReceive();
receive.ask(region.address, SIZE);
libc.getsockopt(receiver, IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE, receive.bytes);
const view = region.lend(0, receive.length);
const right = view.every((byte) => byte === 7);
region.discard(0, SIZE);
const found = { right, length: view.length, first: String(view[0]), mapped: receive.length };
console.log(JSON.stringify(found));
region.unmap();
for (const fd of [listener, sender, receiver]) libc.close(fd);
