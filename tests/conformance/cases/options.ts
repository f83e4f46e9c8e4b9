/** getsockopt(2) and setsockopt(2). */
import { assertEquals } from "@std/assert";
import {
  SO_LINGER,
  SO_RCVLOWAT,
  SO_RCVTIMEO,
  SO_SNDTIMEO,
  SO_ZEROCOPY,
  SOL_SOCKET,
} from "../../../ffi/abi/socket.ts";
import {
  AF_VSOCK,
  SO_VM_SOCKETS_BUFFER_MAX_SIZE as MAX,
  SO_VM_SOCKETS_BUFFER_MIN_SIZE as MIN,
  SO_VM_SOCKETS_BUFFER_SIZE as SIZE,
  SO_VM_SOCKETS_CONNECT_TIMEOUT_NEW as TIMEOUT,
  SO_VM_SOCKETS_CONNECT_TIMEOUT_OLD as TIMEOUT_OLD,
} from "../../../ffi/abi/vm_sockets.ts";
import type { Case } from "../case.ts";
import {
  getConnectTimeout,
  getU64,
  int,
  pair,
  pairBack,
  refuses,
  setConnectTimeout,
  setRcvlowat,
  setU64,
  timeval,
  u64,
} from "../helpers.ts";
import type { Socket } from "../../../src/socket.ts";

function sizes(socket: Socket): number[] {
  return [MIN, SIZE, MAX].map((name) => getU64(socket, name));
}

/** Cases about options. */
export const optionCases: readonly Case[] = [
  {
    name: "getsockopt() of a fresh socket: buffer 262144, from 128 to 262144",
    needs: [],
    run(near) {
      assertEquals(sizes(near.socket()), [128, 262144, 262144]);
    },
  },
  {
    name: "getsockopt() of a longer value fills 8 bytes and says so",
    needs: [],
    run(near) {
      const value = new Uint8Array(12).fill(0xa5);
      assertEquals(near.socket().getsockopt(AF_VSOCK, SIZE, value), 8);
      assertEquals(value, Uint8Array.of(0, 0, 4, 0, 0, 0, 0, 0, 0xa5, 0xa5, 0xa5, 0xa5));
    },
  },
  {
    name: "getsockopt() and setsockopt() of a size need 8 bytes: EINVAL",
    needs: [],
    run(near) {
      const socket = near.socket();
      for (const name of [SIZE, MIN, MAX]) {
        for (const length of [0, 4, 7]) {
          refuses("EINVAL", () => socket.getsockopt(AF_VSOCK, name, new Uint8Array(length)));
          refuses("EINVAL", () => socket.setsockopt(AF_VSOCK, name, new Uint8Array(length)));
        }
      }
      assertEquals(sizes(socket), [128, 262144, 262144]);
    },
  },
  {
    name: "BUFFER_SIZE is kept within its bounds",
    needs: [],
    run(near) {
      const socket = near.socket();
      setU64(socket, SIZE, 4096);
      assertEquals(getU64(socket, SIZE), 4096);
      setU64(socket, SIZE, 1);
      assertEquals(getU64(socket, SIZE), 128);
      setU64(socket, SIZE, 1 << 20);
      assertEquals(getU64(socket, SIZE), 262144);
    },
  },
  {
    name: "BUFFER_MAX_SIZE lowers the size with it; raising it does not raise the size",
    needs: [],
    run(near) {
      const socket = near.socket();
      setU64(socket, MAX, 8192);
      assertEquals(sizes(socket), [128, 8192, 8192]);
      setU64(socket, MAX, 1 << 20);
      assertEquals(sizes(socket), [128, 8192, 1 << 20]);
    },
  },
  {
    name: "BUFFER_MIN_SIZE raises the size with it; lowering it does not lower the size",
    needs: [],
    run(near) {
      const socket = near.socket();
      setU64(socket, SIZE, 4096);
      setU64(socket, MIN, 16384);
      assertEquals(sizes(socket), [16384, 16384, 262144]);
      setU64(socket, MIN, 256);
      assertEquals(sizes(socket), [256, 16384, 262144]);
    },
  },
  {
    name: "BUFFER_MAX_SIZE wins over a BUFFER_MIN_SIZE above it",
    needs: [],
    run(near) {
      const socket = near.socket();
      setU64(socket, MIN, 100_000);
      setU64(socket, MAX, 5_000);
      assertEquals(sizes(socket), [100_000, 5_000, 5_000]);
      setU64(socket, SIZE, 50_000);
      assertEquals(getU64(socket, SIZE), 5_000);
    },
  },
  {
    name: "BUFFER_SIZE of a connected socket is at most 2^32 - 1",
    needs: [],
    async run(near, far) {
      const { here } = await pair(near, far);
      setU64(here, MAX, 1n << 40n);
      setU64(here, SIZE, 1n << 36n);
      assertEquals(sizes(here), [128, 0xffff_ffff, 2 ** 40]);
    },
  },
  {
    name: "BUFFER_SIZE set before connect() is at most 2^32 - 1 after it",
    needs: [],
    async run(near, far) {
      const { here } = await pair(near, far, {
        here(socket) {
          setU64(socket, MAX, 1n << 40n);
          setU64(socket, SIZE, 1n << 36n);
        },
      });
      assertEquals(getU64(here, SIZE), 0xffff_ffff);
    },
  },
  {
    name: "CONNECT_TIMEOUT is 2 seconds unless set, by its old and its new number",
    needs: [],
    run(near) {
      const socket = near.socket();
      assertEquals(getConnectTimeout(socket), 2000);
      setConnectTimeout(socket, 1500);
      assertEquals(getConnectTimeout(socket), 1500);
      socket.setsockopt(AF_VSOCK, TIMEOUT_OLD, timeval(5, 0));
      assertEquals(getConnectTimeout(socket), 5000);
      const value = new Uint8Array(16);
      assertEquals(socket.getsockopt(AF_VSOCK, TIMEOUT_OLD, value), 16);
      assertEquals(value, timeval(5, 0));
    },
  },
  {
    name: "CONNECT_TIMEOUT of 0 is 2 seconds",
    needs: [],
    run(near) {
      const socket = near.socket();
      setConnectTimeout(socket, 500);
      socket.setsockopt(AF_VSOCK, TIMEOUT, timeval(0, 0));
      assertEquals(getConnectTimeout(socket), 2000);
    },
  },
  {
    name: "CONNECT_TIMEOUT with a million microseconds or negative seconds gives ERANGE",
    needs: [],
    run(near) {
      const socket = near.socket();
      refuses("ERANGE", () => socket.setsockopt(AF_VSOCK, TIMEOUT, timeval(0, 1_000_000)));
      refuses("ERANGE", () => socket.setsockopt(AF_VSOCK, TIMEOUT, timeval(-1, 0)));
      assertEquals(getConnectTimeout(socket), 2000);
    },
  },
  {
    name: "CONNECT_TIMEOUT needs 16 bytes: EINVAL",
    needs: [],
    run(near) {
      const socket = near.socket();
      for (const name of [TIMEOUT, TIMEOUT_OLD]) {
        refuses("EINVAL", () => socket.setsockopt(AF_VSOCK, name, new Uint8Array(15)));
        refuses("EINVAL", () => socket.getsockopt(AF_VSOCK, name, new Uint8Array(15)));
      }
    },
  },
  {
    name: "options in the header only, and unknown ones, give ENOPROTOOPT",
    needs: [],
    run(near) {
      const socket = near.socket();
      for (const name of [3, 4, 5, 7, 99]) {
        refuses("ENOPROTOOPT", () => socket.getsockopt(AF_VSOCK, name, new Uint8Array(8)));
        refuses("ENOPROTOOPT", () => socket.setsockopt(AF_VSOCK, name, new Uint8Array(8)));
      }
      refuses("ENOPROTOOPT", () => socket.getsockopt(SOL_SOCKET, 999, new Uint8Array(8)));
      refuses("ENOPROTOOPT", () => socket.setsockopt(SOL_SOCKET, 999, new Uint8Array(8)));
    },
  },
  {
    name: "options of another protocol's level give ENOPROTOOPT",
    needs: [],
    run(near) {
      const IPPROTO_TCP = 6;
      const socket = near.socket();
      for (const name of [SIZE, SO_RCVLOWAT]) {
        refuses("ENOPROTOOPT", () => socket.getsockopt(IPPROTO_TCP, name, new Uint8Array(8)));
        refuses("ENOPROTOOPT", () => socket.setsockopt(IPPROTO_TCP, name, u64(4096)));
      }
    },
  },
  {
    name: "accept() gives a socket with the listener's sizes and timeout, not its SO_RCVLOWAT",
    needs: [],
    async run(near, far) {
      const { here } = await pairBack(near, far, {
        here(listener) {
          setU64(listener, MIN, 200);
          setU64(listener, MAX, 90_000);
          setU64(listener, SIZE, 80_000);
          setConnectTimeout(listener, 3000);
          setRcvlowat(listener, 50);
        },
      });
      assertEquals(getInt(here, SO_RCVLOWAT), 1);
      assertEquals(sizes(here), [200, 80_000, 90_000]);
      assertEquals(getConnectTimeout(here), 3000);
    },
  },
  {
    name: "SO_RCVLOWAT is 1 unless set, and 0 is 1",
    needs: [],
    run(near) {
      const socket = near.socket();
      assertEquals(getInt(socket, SO_RCVLOWAT), 1);
      setRcvlowat(socket, 500);
      assertEquals(getInt(socket, SO_RCVLOWAT), 500);
      setRcvlowat(socket, 0);
      assertEquals(getInt(socket, SO_RCVLOWAT), 1);
    },
  },
  {
    name: "SO_RCVLOWAT of a stream above BUFFER_SIZE, or negative, gives EINVAL",
    needs: [],
    run(near) {
      const socket = near.socket();
      setRcvlowat(socket, 262144);
      refuses("EINVAL", () => setRcvlowat(socket, 262145));
      refuses("EINVAL", () => setRcvlowat(socket, -1));
      assertEquals(getInt(socket, SO_RCVLOWAT), 262144);
    },
  },
  {
    name: "SO_RCVLOWAT of a seqpacket socket takes any value",
    needs: ["seqpacket"],
    run(near) {
      const socket = near.socket("seqpacket");
      setRcvlowat(socket, 1 << 30);
      assertEquals(getInt(socket, SO_RCVLOWAT), 1 << 30);
    },
  },
  {
    name: "SO_RCVLOWAT needs 4 bytes: EINVAL",
    needs: [],
    run(near) {
      const socket = near.socket();
      const short = new Uint8Array(3);
      refuses("EINVAL", () => socket.setsockopt(SOL_SOCKET, SO_RCVLOWAT, short));
    },
  },
  {
    name: "SO_ZEROCOPY takes 0 and 1, another int or fewer than 4 bytes give EINVAL",
    needs: [],
    run(near) {
      const socket = near.socket();
      const set = (value: Uint8Array): void => socket.setsockopt(SOL_SOCKET, SO_ZEROCOPY, value);
      set(int(1));
      assertEquals(getInt(socket, SO_ZEROCOPY), 1);
      for (const bad of [int(2), int(-1), new Uint8Array(3)]) refuses("EINVAL", () => set(bad));
      assertEquals(getInt(socket, SO_ZEROCOPY), 1);
      set(int(0));
      assertEquals(getInt(socket, SO_ZEROCOPY), 0);
    },
  },
  {
    name: "SO_LINGER gives l_onoff as 0 or 1, with the seconds that were switched on last",
    needs: [],
    run(near) {
      const socket = near.socket();
      const seen = [ints(socket, SO_LINGER)];
      for (const [on, seconds] of [[5, 3], [0, 9], [1, 4], [0, 0]] as const) {
        const value = new Uint8Array(Int32Array.of(on, seconds).buffer);
        socket.setsockopt(SOL_SOCKET, SO_LINGER, value);
        seen.push(ints(socket, SO_LINGER));
      }
      assertEquals(seen, [[0, 0], [1, 3], [0, 3], [1, 4], [0, 4]]);
    },
  },
  {
    name: "SO_RCVTIMEO and SO_SNDTIMEO: microseconds out of range give EDOM, less than 0 is none",
    needs: [],
    run(near) {
      const socket = near.socket();
      for (const name of [SO_RCVTIMEO, SO_SNDTIMEO]) {
        const set = (seconds: number, microseconds: number): void =>
          socket.setsockopt(SOL_SOCKET, name, timeval(seconds, microseconds));
        set(1, 500_000);
        refuses("EDOM", () => set(0, 1_000_000));
        refuses("EDOM", () => set(0, -1));
        assertEquals(ints(socket, name, 16), [1, 0, 500_000, 0]);
        set(-1, 500_000);
        assertEquals(ints(socket, name, 16), [0, 0, 0, 0]);
      }
    },
  },
];

/** An option as 32-bit words. */
function ints(socket: Socket, name: number, length = 8): number[] {
  const value = new Uint8Array(length).fill(0xa5);
  assertEquals(socket.getsockopt(SOL_SOCKET, name, value), length);
  return [...new Int32Array(value.buffer)];
}

function getInt(socket: Socket, name: number): number {
  const value = new Uint8Array(4).fill(0xa5);
  assertEquals(socket.getsockopt(SOL_SOCKET, name, value), 4);
  return new Int32Array(value.buffer)[0]!;
}
