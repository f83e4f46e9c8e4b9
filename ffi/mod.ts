/**
 * libc from TypeScript on Linux: sockets, poll(2) and mapped memory, synchronous and as thin as can
 * be. For Deno (`--allow-ffi`), Bun, and Node (`--experimental-ffi` before 26.9).
 *
 * Calls have their libc names. They throw a `SysError` with `op`, `code` and `errno` where libc
 * gives -1, retry EINTR, and give `WOULD_BLOCK` (or `false`) where a non-blocking socket would
 * block. What is no descriptor, no int or no buffer is a `RangeError` or a `TypeError` before that.
 * libc is opened by the first call, never by the import; where that cannot be, each call throws an
 * `FfiUnavailableError` that says what to do.
 *
 * @example A pipe
 * ```ts
 * import { close, pipe2, read, write } from "@vsockit/vsockit/ffi";
 *
 * const [reader, writer] = pipe2(0);
 * write(writer, new TextEncoder().encode("hello"));
 * const buffer = new Uint8Array(16);
 * console.log(read(reader, buffer)); // 5
 * close(reader);
 * close(writer);
 * ```
 *
 * @module
 */
export { FfiUnavailableError } from "./backend.ts";
export { pointerOf } from "./call.ts";
export { type ControlMessage, decodeControl, encodeControl } from "./cmsg.ts";
export { type Code, ERRNO, errnoName, SysError, WOULD_BLOCK } from "./errno.ts";
export { type Field, type Layout, layout, type LayoutOptions, type Scalar } from "./layout.ts";
export { accept4, bind, close, connect, epoll_create1, epoll_ctl, epoll_wait } from "./libc.ts";
export { dup2, eventfd, fcntl, ftruncate, getpeername, getsockname, getsockopt } from "./libc.ts";
export { fstatfs, ioctl, readlink } from "./libc.ts";
export { listen, lseek, madvise, memfd_create, mmap, mprotect, mremap, munmap } from "./libc.ts";
export { pipe2, poll, ppoll, read, recv, recvmsg, send, sendmsg, setsockopt } from "./libc.ts";
export { shutdown, socket, socketpair, sysconf, write } from "./libc.ts";
export { StolenViewError } from "./loans.ts";
export { createMemfd } from "./memfd.ts";
export { MappedRegion, type MappedRegionOptions, pageSize } from "./memory.ts";
export { Message, type MessageOptions } from "./message.ts";
export { forceBackend } from "./select.ts";
export { type Bytes } from "./symbols.ts";

export { EPOLL_CLOEXEC, EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD } from "./abi/epoll.ts";
export { EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLONESHOT, EPOLLOUT, EPOLLRDHUP } from "./abi/epoll.ts";
export { EPOLL_EVENT, EPOLLET, EpollEvents } from "./abi/epoll.ts";
export { SO_EE_CODE_ZEROCOPY_COPIED, SO_EE_ORIGIN_ZEROCOPY } from "./abi/errqueue.ts";
export { SOCK_EXTENDED_ERR, SockExtendedErr } from "./abi/errqueue.ts";
export { EFD_CLOEXEC, EFD_NONBLOCK, EFD_SEMAPHORE } from "./abi/eventfd.ts";
export { F_GETFD, O_CLOEXEC, O_NONBLOCK, O_RDONLY, O_RDWR, O_WRONLY } from "./abi/fcntl.ts";
export { F_ADD_SEALS, F_GET_SEALS, F_GETFL, F_SETFD, F_SETFL, FD_CLOEXEC } from "./abi/fcntl.ts";
export { F_SEAL_GROW, F_SEAL_SEAL, F_SEAL_SHRINK } from "./abi/fcntl.ts";
export { IP_RECVERR, IPPROTO_IP, IPPROTO_IPV6, IPPROTO_TCP, IPV6_RECVERR } from "./abi/in.ts";
export { INADDR_LOOPBACK, SOCKADDR_IN, SOCKADDR_IN6, SockaddrIn, SockaddrIn6 } from "./abi/in.ts";
export { MAP_SHARED, PROT_EXEC, PROT_NONE, PROT_READ, PROT_WRITE } from "./abi/mman.ts";
export { MAP_ANONYMOUS, MAP_FIXED, MAP_NORESERVE, MAP_POPULATE, MAP_PRIVATE } from "./abi/mman.ts";
export { MADV_DONTNEED, MFD_ALLOW_SEALING, MFD_CLOEXEC, MREMAP_MAYMOVE } from "./abi/mman.ts";
export { POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLOUT, POLLPRI, POLLRDNORM } from "./abi/poll.ts";
export { POLLFD, PollFds, POLLRDHUP, POLLWRNORM } from "./abi/poll.ts";
export { AF_INET, AF_INET6, AF_UNIX, SOCK_DGRAM, SOCK_RAW, SOCK_STREAM } from "./abi/socket.ts";
export { SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_SEQPACKET, SOL_SOCKET } from "./abi/socket.ts";
export { SO_ERROR, SO_RCVBUF, SO_REUSEADDR, SO_SNDBUF, SO_TYPE, SOL_VSOCK } from "./abi/socket.ts";
export { SO_ACCEPTCONN, SO_LINGER, SO_RCVLOWAT, SO_RCVTIMEO, SO_SNDTIMEO } from "./abi/socket.ts";
export { MSG_OOB, MSG_PEEK, SO_DOMAIN, SO_PROTOCOL, SO_ZEROCOPY } from "./abi/socket.ts";
export { MSG_CTRUNC, MSG_DONTWAIT, MSG_EOR, MSG_TRUNC, MSG_WAITALL } from "./abi/socket.ts";
export { MSG_ERRQUEUE, MSG_MORE, MSG_NOSIGNAL, MSG_ZEROCOPY, SHUT_RD } from "./abi/socket.ts";
export { CMSGHDR, MSGHDR, SCM_RIGHTS, SHUT_RDWR, SHUT_WR, SOMAXCONN } from "./abi/socket.ts";
export { CMSG_ALIGN, CMSG_LEN, CMSG_SPACE, LINGER } from "./abi/socket.ts";
export { FIONREAD, SIOCOUTQ } from "./abi/sockios.ts";
export { TCP_MAXSEG, TCP_NODELAY, TCP_USER_TIMEOUT, TCP_ZEROCOPY_RECEIVE } from "./abi/tcp.ts";
export { TCP_RECEIVE_ZEROCOPY_FLAG_TLB_CLEAN_HINT } from "./abi/tcp.ts";
export { TCP_ZEROCOPY_RECEIVE_STRUCT, TcpZerocopyReceive } from "./abi/tcp.ts";
export { decodeTimeval, encodeTimeval, TIMESPEC, TIMEVAL } from "./abi/time.ts";
export { IOVEC } from "./abi/uio.ts";
export { encodeSockaddrUn, SOCKADDR_UN } from "./abi/un.ts";
export { _SC_NPROCESSORS_ONLN, _SC_PAGESIZE, SEEK_CUR, SEEK_END, SEEK_SET } from "./abi/unistd.ts";
export { SO_VM_SOCKETS_MAP_RX, SO_VM_SOCKETS_ZEROCOPY } from "./abi/virtio_vsock_usr.ts";
export { POLL_VALUE_CLOSED, POLL_VALUE_DATA, POLL_VALUE_EMPTY } from "./abi/virtio_vsock_usr.ts";
export { USR_HDR_MAX, USR_PAGE_SIZE, VIRTIO_VSOCK_USR_HDR_PREF } from "./abi/virtio_vsock_usr.ts";
export { UsrHdrPage, VIRTIO_VSOCK_USR_HDR } from "./abi/virtio_vsock_usr.ts";
export { AF_VSOCK, VMADDR_CID_ANY, VMADDR_CID_HYPERVISOR } from "./abi/vm_sockets.ts";
export { VMADDR_CID_HOST, VMADDR_CID_LOCAL, VMADDR_PORT_ANY } from "./abi/vm_sockets.ts";
export { SO_VM_SOCKETS_BUFFER_SIZE, VMADDR_FLAG_TO_HOST } from "./abi/vm_sockets.ts";
export { SO_VM_SOCKETS_BUFFER_MAX_SIZE, SO_VM_SOCKETS_BUFFER_MIN_SIZE } from "./abi/vm_sockets.ts";
export { SO_VM_SOCKETS_PEER_HOST_VM_ID, SO_VM_SOCKETS_TRUSTED } from "./abi/vm_sockets.ts";
export { SO_VM_SOCKETS_CONNECT_TIMEOUT_OLD } from "./abi/vm_sockets.ts";
export { SO_VM_SOCKETS_NONBLOCK_TXRX, VSOCK_RECVERR } from "./abi/vm_sockets.ts";
export { SO_VM_SOCKETS_CONNECT_TIMEOUT_NEW } from "./abi/vm_sockets.ts";
export { IOCTL_VM_SOCKETS_GET_LOCAL_CID, SOCKADDR_VM, SockaddrVm } from "./abi/vm_sockets.ts";
