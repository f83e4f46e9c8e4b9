/** Run by backend_test.ts: sends a message that must go whole, where memory is out of reach. */
import { AF_UNIX, SOCK_NONBLOCK, SOCK_SEQPACKET } from "../../../ffi/abi/socket.ts";
import { recv, socketpair } from "../../../ffi/libc.ts";
import { UNIX } from "../../../src/kernel/family_unix.ts";
import { KernelSocket } from "../../../src/kernel/socket.ts";

const [fd, peer] = socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK);
using socket = new KernelSocket(fd, "seqpacket", { ...UNIX, cutsMessages: true });
const sent = socket.send(new Uint8Array(100), 0);
recv(peer, new Uint8Array(1), 0); // an empty message came first, which AF_VSOCK does not carry
console.log(JSON.stringify([sent, recv(peer, new Uint8Array(200), 0)]));
