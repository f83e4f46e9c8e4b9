/**
 * libc, wrapped: errno is read at once, EINTR is retried, and any other failure is a `SysError`.
 *
 * @module
 */
export { close, dup2, eventfd, fcntl, fstatfs, ftruncate, ioctl, lseek } from "./file_calls.ts";
export { pipe2, read, readlink, readNoWait, sysconf, write } from "./file_calls.ts";
export { if_nametoindex, inet_ntop, inet_pton } from "./inet_calls.ts";
export { madvise, memfd_create, mmap, mprotect, mremap, munmap } from "./mman_calls.ts";
export { accept4, bind, connect, getpeername, getsockname } from "./socket_calls.ts";
export { getsockopt, listen, recv, recvmsg, send, sendmsg } from "./socket_calls.ts";
export { setsockopt, shutdown, socket, socketpair } from "./socket_calls.ts";
export { io_uring_enter, io_uring_setup } from "./uring_calls.ts";
export { epoll_create1, epoll_ctl, epoll_wait, poll, pollOnce, ppoll } from "./wait_calls.ts";
