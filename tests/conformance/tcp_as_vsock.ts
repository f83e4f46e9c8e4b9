/**
 * TCP on 127.0.0.1 with the addresses of VM sockets, so that the suite's cases run over it: CID 1
 * is 127.0.0.1, ports are ports, and the socket buffer is both of TCP's.
 *
 * @module
 */
import { SO_RCVBUF, SO_SNDBUF, SOL_SOCKET } from "../../ffi/abi/socket.ts";
import {
  AF_VSOCK,
  SO_VM_SOCKETS_BUFFER_MAX_SIZE,
  SO_VM_SOCKETS_BUFFER_MIN_SIZE,
  SO_VM_SOCKETS_BUFFER_SIZE,
  VMADDR_CID_ANY,
  VMADDR_PORT_ANY,
} from "../../ffi/abi/vm_sockets.ts";
import { SysError } from "../../ffi/errno.ts";
import type { TcpAddress, VsockAddress } from "../../src/address.ts";
import { openTcp } from "../../src/kernel/tcp_unix.ts";
import type { Socket, SocketType } from "../../src/socket.ts";
import type { Transport } from "../../src/transport.ts";

const [HOST, ANY] = ["127.0.0.1", "0.0.0.0"];

const BUFFER: readonly number[] = [
  SO_VM_SOCKETS_BUFFER_SIZE,
  SO_VM_SOCKETS_BUFFER_MIN_SIZE,
  SO_VM_SOCKETS_BUFFER_MAX_SIZE,
];

function readSize(value: Uint8Array): number {
  const view = new DataView(value.buffer, value.byteOffset, value.byteLength);
  return Math.min(Number(view.getBigUint64(0, true)), 0x7fff_ffff);
}

function toTcp({ cid, port }: VsockAddress): TcpAddress {
  return {
    hostname: cid === VMADDR_CID_ANY ? ANY : HOST,
    port: port === VMADDR_PORT_ANY ? 0 : port,
  };
}

function toVsock({ hostname, port }: TcpAddress): VsockAddress {
  return {
    cid: hostname === ANY ? VMADDR_CID_ANY : 1,
    port: port === 0 ? VMADDR_PORT_ANY : port,
  };
}

/** `socket` with other addresses; all else is its own. */
function disguise(socket: Socket<TcpAddress>): Socket {
  const over = {
    bind: (address: VsockAddress): void => socket.bind(toTcp(address)),
    connect: (address: VsockAddress): boolean => socket.connect(toTcp(address)),
    accept(): Socket | undefined {
      const accepted = socket.accept();
      return accepted && disguise(accepted);
    },
    localAddress: (): VsockAddress => toVsock(socket.localAddress()),
    setsockopt(level: number, name: number, value: Uint8Array): void {
      if (level !== AF_VSOCK) return socket.setsockopt(level, name, value);
      if (!BUFFER.includes(name)) throw new SysError("setsockopt", "ENOPROTOOPT");
      if (name !== SO_VM_SOCKETS_BUFFER_SIZE) return; // what bounds it is the system's
      const size = new Uint8Array(Int32Array.of(readSize(value)).buffer);
      for (const name of [SO_RCVBUF, SO_SNDBUF]) socket.setsockopt(SOL_SOCKET, name, size);
    },
    remoteAddress: (): VsockAddress => toVsock(socket.remoteAddress()),
  };
  return new Proxy(socket, {
    get(target, name): unknown {
      if (Object.hasOwn(over, name)) return over[name as keyof typeof over];
      const value = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  }) as unknown as Socket;
}

/** Makes such sockets. */
export function openTcpAsVsock(): Transport {
  const tcp = openTcp(HOST);
  return {
    name: "tcp",
    localCid: 1,
    capabilities: { ...tcp.capabilities, mapRx: false },
    socket: (type: SocketType): Socket => disguise(tcp.socket(type)),
  };
}
