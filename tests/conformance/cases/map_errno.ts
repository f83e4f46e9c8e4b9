/** The receive ABI's calls and what they refuse: one case for each row of its errno table. */
import { assertEquals, assertThrows } from "@std/assert";
import { PROT_EXEC, PROT_NONE, PROT_READ, PROT_WRITE } from "../../../ffi/abi/mman.ts";
import { POLLIN, POLLRDHUP } from "../../../ffi/abi/poll.ts";
import { SHUT_WR } from "../../../ffi/abi/socket.ts";
import { SO_VM_SOCKETS_MAP_RX, SO_VM_SOCKETS_ZEROCOPY } from "../../../ffi/abi/virtio_vsock_usr.ts";
import { AF_VSOCK } from "../../../ffi/abi/vm_sockets.ts";
import type { Socket } from "../../../src/socket.ts";
import type { Case } from "../case.ts";
import {
  bytes,
  getU64,
  mapOf,
  mappedPair,
  nearListener,
  pair,
  pairBack,
  queued,
  readMapping,
  refuses,
  setZerocopy,
  takeMapped,
  u64,
  wordOf,
} from "../helpers.ts";
import { receive } from "../verbs.ts";

function mapRxAt(socket: Socket, address: number): void {
  socket.getsockopt(AF_VSOCK, SO_VM_SOCKETS_MAP_RX, u64(address));
}

/** Cases about refusals. All need `mapRx`. */
export const mapErrnoCases: readonly Case[] = [
  {
    name: "mmap() with PROT_WRITE or PROT_EXEC gives EPERM, before anything else",
    needs: ["mapRx"],
    async run(near, far) {
      const { here } = await pair(near, far);
      for (const socket of [here, near.socket()]) {
        for (const prot of [PROT_WRITE, PROT_EXEC, PROT_READ | PROT_WRITE]) {
          refuses("EPERM", () => socket.mmap(8192, prot));
        }
      }
    },
  },
  {
    name: "mmap() of a socket that was never connected gives EOPNOTSUPP, a listener too",
    needs: ["mapRx"],
    run(near) {
      for (const socket of [near.socket(), nearListener(near).listener]) {
        refuses("EOPNOTSUPP", () => socket.mmap(8192, PROT_READ));
      }
    },
  },
  {
    name: "mmap() with PROT_NONE passes",
    needs: ["mapRx"],
    async run(near, far) {
      const { here } = await pair(near, far);
      here.mmap(8192, PROT_NONE).unmap();
    },
  },
  {
    name: "mmap() works on a socket without SO_VM_SOCKETS_ZEROCOPY",
    needs: ["mapRx"],
    async run(near, far) {
      const { here } = await pair(near, far);
      assertEquals(mapOf(near, here, 4).dataPages, 4);
    },
  },
  {
    name: "mmap() a second time gives EBUSY, even after unmap()",
    needs: ["mapRx"],
    async run(near, far) {
      const { here, mapping } = await mappedPair(near, far, 4);
      refuses("EBUSY", () => here.mmap(8192, PROT_READ));
      mapping.unmap();
      refuses("EBUSY", () => here.mmap(8192, PROT_READ));
    },
  },
  {
    name: "mmap() works once on each of two connections",
    needs: ["mapRx"],
    async run(near, far) {
      const [one, two] = [await mappedPair(near, far, 2), await mappedPair(near, far, 2)];
      await one.there.sendAll(bytes(10, 1));
      await two.there.sendAll(bytes(10, 2));
      await one.here.wait(POLLIN);
      await two.here.wait(POLLIN);
      assertEquals(takeMapped(one.mapping).data, [bytes(10, 1)]);
      assertEquals(takeMapped(two.mapping).data, [bytes(10, 2)]);
    },
  },
  {
    name: "setsockopt(ZEROCOPY) while connecting gives EOPNOTSUPP",
    needs: ["mapRx"],
    run(near, far) {
      const here = near.socket();
      here.connect({ cid: far.cid, port: near.port() });
      refuses("EOPNOTSUPP", () => setZerocopy(here, 1));
    },
  },
  {
    name: "setsockopt(ZEROCOPY) of a connected socket gives EOPNOTSUPP, 0 too",
    needs: ["mapRx"],
    async run(near, far) {
      const { here } = await pair(near, far);
      refuses("EOPNOTSUPP", () => setZerocopy(here, 1));
      refuses("EOPNOTSUPP", () => setZerocopy(here, 0));
      assertEquals(getU64(here, SO_VM_SOCKETS_ZEROCOPY), 0);
    },
  },
  {
    name: "setsockopt(ZEROCOPY) of an accepted socket gives EOPNOTSUPP",
    needs: ["mapRx"],
    async run(near, far) {
      const { here } = await pairBack(near, far);
      refuses("EOPNOTSUPP", () => setZerocopy(here, 1));
    },
  },
  {
    name: "setsockopt(ZEROCOPY) after shutdown() gives EOPNOTSUPP",
    needs: ["mapRx"],
    async run(near, far) {
      const { here } = await pair(near, far);
      here.shutdown(SHUT_WR);
      refuses("EOPNOTSUPP", () => setZerocopy(here, 1));
    },
  },
  {
    name: "setsockopt(ZEROCOPY) of a connected socket is EOPNOTSUPP before it is EINVAL",
    needs: ["mapRx"],
    async run(near, far) {
      const { here } = await pair(near, far);
      const short = new Uint8Array(4);
      refuses("EOPNOTSUPP", () => here.setsockopt(AF_VSOCK, SO_VM_SOCKETS_ZEROCOPY, short));
    },
  },
  {
    name: "setsockopt(ZEROCOPY) needs 8 bytes: EINVAL",
    needs: ["mapRx"],
    run(near) {
      const socket = near.socket();
      const short = Uint8Array.of(1, 0, 0, 0);
      refuses("EINVAL", () => socket.setsockopt(AF_VSOCK, SO_VM_SOCKETS_ZEROCOPY, short));
      assertEquals(getU64(socket, SO_VM_SOCKETS_ZEROCOPY), 0);
    },
  },
  {
    name: "setsockopt(ZEROCOPY) of anything but 0 is on, and reads as 1",
    needs: ["mapRx"],
    run(near) {
      const socket = near.socket();
      assertEquals(getU64(socket, SO_VM_SOCKETS_ZEROCOPY), 0);
      for (const on of [1, 7, 1n << 63n]) {
        setZerocopy(socket, on);
        assertEquals(getU64(socket, SO_VM_SOCKETS_ZEROCOPY), 1);
        setZerocopy(socket, 0);
        assertEquals(getU64(socket, SO_VM_SOCKETS_ZEROCOPY), 0);
      }
    },
  },
  {
    name: "getsockopt(ZEROCOPY) needs 8 bytes: EINVAL",
    needs: ["mapRx"],
    run(near) {
      const short = new Uint8Array(7);
      refuses("EINVAL", () => near.socket().getsockopt(AF_VSOCK, SO_VM_SOCKETS_ZEROCOPY, short));
    },
  },
  {
    name: "setsockopt(ZEROCOPY) works on a listener, and accept() hands it on",
    needs: ["mapRx"],
    async run(near, far) {
      const { listener, address } = nearListener(near);
      setZerocopy(listener, 1);
      const there = await far.socket();
      await there.connect(address);
      await listener.wait(POLLIN);
      const here = near.keep(listener.accept()!);
      assertEquals(getU64(here, SO_VM_SOCKETS_ZEROCOPY), 1);
      const mapping = mapOf(near, here, 4);
      await there.sendAll(bytes(5000));
      await queued(here, 5000);
      assertEquals(takeMapped(mapping).data, [bytes(5000)]);
    },
  },
  {
    name: "accept() of a listener without ZEROCOPY gives a socket without it",
    needs: ["mapRx"],
    async run(near, far) {
      const { here } = await pairBack(near, far);
      assertEquals(getU64(here, SO_VM_SOCKETS_ZEROCOPY), 0);
      const mapping = mapOf(near, here, 2);
      refuses("EOPNOTSUPP", () => mapping.mapRx());
    },
  },
  {
    name: "setsockopt(MAP_RX) always gives ENOPROTOOPT",
    needs: ["mapRx"],
    async run(near, far) {
      const { here, mapping } = await mappedPair(near, far, 2);
      for (const socket of [here, near.socket()]) {
        const value = u64(mapping.address);
        refuses("ENOPROTOOPT", () => socket.setsockopt(AF_VSOCK, SO_VM_SOCKETS_MAP_RX, value));
      }
    },
  },
  {
    name: "getsockopt(MAP_RX) needs 8 bytes: EINVAL, before it is EOPNOTSUPP",
    needs: ["mapRx"],
    async run(near, far) {
      const { here } = await mappedPair(near, far, 2);
      for (const socket of [here, near.socket()]) {
        const short = new Uint8Array(7);
        refuses("EINVAL", () => socket.getsockopt(AF_VSOCK, SO_VM_SOCKETS_MAP_RX, short));
      }
    },
  },
  {
    name: "getsockopt(MAP_RX) without ZEROCOPY gives EOPNOTSUPP, and the bytes stay readable",
    needs: ["mapRx"],
    async run(near, far) {
      const { here, there } = await pair(near, far);
      const mapping = mapOf(near, here, 4);
      await there.sendAll(bytes(100));
      await here.wait(POLLIN);
      refuses("EOPNOTSUPP", () => mapping.mapRx());
      refuses("EOPNOTSUPP", () => mapRxAt(here, 4096));
      assertEquals(receive(here, 200).data, bytes(100));
    },
  },
  {
    name: "getsockopt(MAP_RX) after ZEROCOPY was switched off again gives EOPNOTSUPP",
    needs: ["mapRx"],
    async run(near, far) {
      const { mapping } = await mappedPair(near, far, 2, { here: (s) => setZerocopy(s, 0) });
      refuses("EOPNOTSUPP", () => mapping.mapRx());
    },
  },
  {
    name: "getsockopt(MAP_RX) of a socket that was never connected gives ENOTCONN",
    needs: ["mapRx"],
    async run(near, far) {
      const { mapping } = await mappedPair(near, far, 2);
      const [fresh, { listener }] = [near.socket(), nearListener(near)];
      for (const socket of [fresh, listener]) {
        setZerocopy(socket, 1);
        refuses("ENOTCONN", () => mapRxAt(socket, mapping.address));
      }
    },
  },
  {
    name: "getsockopt(MAP_RX) of an address that is no mapping gives EINVAL",
    needs: ["mapRx"],
    async run(near, far) {
      const { here, there } = await mappedPair(near, far, 2);
      await there.sendAll(bytes(100));
      await here.wait(POLLIN);
      for (const address of [0, 4096]) refuses("EINVAL", () => mapRxAt(here, address));
      assertEquals(receive(here, 200).data, bytes(100));
    },
  },
  {
    name: "getsockopt(MAP_RX) of an address inside the mapping gives EINVAL",
    needs: ["mapRx"],
    async run(near, far) {
      const { here, there, mapping } = await mappedPair(near, far, 2);
      await there.sendAll(bytes(100));
      await here.wait(POLLIN);
      for (const offset of [1, 8, 4096]) {
        refuses("EINVAL", () => mapRxAt(here, mapping.address + offset));
      }
      assertEquals(takeMapped(mapping).data, [bytes(100)]);
    },
  },
  {
    name: "getsockopt(MAP_RX) of another socket's mapping gives EINVAL, both keep their bytes",
    needs: ["mapRx"],
    async run(near, far) {
      const [one, two] = [await mappedPair(near, far, 2), await mappedPair(near, far, 2)];
      for (const { here, there } of [one, two]) {
        await there.sendAll(bytes(100));
        await here.wait(POLLIN);
      }
      refuses("EINVAL", () => mapRxAt(one.here, two.mapping.address));
      assertEquals(receive(one.here, 200).data, bytes(100));
      assertEquals(takeMapped(two.mapping).data, [bytes(100)]);
    },
  },
  {
    name: "getsockopt(MAP_RX) of a mapping that was unmapped gives EINVAL",
    needs: ["mapRx"],
    async run(near, far) {
      const { here, mapping } = await mappedPair(near, far, 2);
      mapping.unmap();
      mapping.unmap();
      refuses("EINVAL", () => mapRxAt(here, mapping.address));
    },
  },
  {
    name: "getsockopt(MAP_RX) by address does what mapRx() does, and writes nothing back",
    needs: ["mapRx"],
    async run(near, far) {
      const { here, there, mapping } = await mappedPair(near, far, 2);
      await there.sendAll(bytes(100));
      await here.wait(POLLIN);
      const value = u64(mapping.address);
      here.getsockopt(AF_VSOCK, SO_VM_SOCKETS_MAP_RX, value);
      assertEquals(value, u64(mapping.address));
      assertEquals(readMapping(mapping).data, [bytes(100)]);
    },
  },
  {
    name: "mapRx() onto pages still mapped gives EBUSY, takes nothing and leaves them readable",
    needs: ["mapRx"],
    async run(near, far) {
      const { here, there, mapping } = await mappedPair(near, far, 4);
      await there.sendAll(bytes(100, 1));
      await here.wait(POLLIN);
      mapping.mapRx();
      const view = mapping.lend(0, 100);
      await there.sendAll(bytes(200, 2));
      await here.wait(POLLIN);
      refuses("EBUSY", () => mapping.mapRx());
      assertEquals(view, bytes(100, 1));
      assertEquals(readMapping(mapping).headers, [[100, 0]]);
      mapping.advise();
      assertEquals(takeMapped(mapping).data, [bytes(200, 2)]);
    },
  },
  {
    name: "mapRx() of an empty queue never blocks: hdr_num is 0",
    needs: ["mapRx"],
    async run(near, far) {
      const { mapping } = await mappedPair(near, far, 4);
      for (let times = 0; times < 3; times++) {
        mapping.mapRx();
        const { pollValue, pages, headers } = readMapping(mapping);
        assertEquals([pollValue, pages, headers], [0, 0, []]);
        assertEquals(wordOf(mapping, 2), 0);
      }
    },
  },
  {
    name: "mapRx() works after the peer's close(), and after shutdown() here",
    needs: ["mapRx"],
    async run(near, far) {
      const { here, there, mapping } = await mappedPair(near, far, 4);
      await there.sendAll(bytes(100));
      await there.close();
      await here.wait(POLLRDHUP);
      here.shutdown(SHUT_WR);
      assertEquals(takeMapped(mapping).data, [bytes(100)]);
      assertEquals(takeMapped(mapping).pages, 0);
    },
  },
  {
    name: "lend() outside what is mapped throws a RangeError",
    needs: ["mapRx"],
    async run(near, far) {
      const { here, there, mapping } = await mappedPair(near, far, 4);
      await there.sendAll(bytes(5000));
      await queued(here, 5000);
      mapping.mapRx();
      for (const [page, length] of [[4, 1], [0, 4 * 4096 + 1], [3, 4097]] as const) {
        assertThrows(() => mapping.lend(page, length), RangeError);
      }
    },
  },
];
