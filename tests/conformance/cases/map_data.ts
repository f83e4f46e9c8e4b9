/** What MAP_RX puts into the mapping. */
import { assert, assertEquals } from "@std/assert";
import { POLLIN, POLLOUT } from "../../../ffi/abi/poll.ts";
import { MSG_EOR } from "../../../ffi/abi/socket.ts";
import {
  VIRTIO_VSOCK_SEQ_EOM as EOM,
  VIRTIO_VSOCK_SEQ_EOR as EOR,
} from "../../../ffi/abi/virtio_vsock.ts";
import { WOULD_BLOCK } from "../../../src/socket.ts";
import type { Case } from "../case.ts";
import {
  arrived,
  assertPoll,
  buffers,
  bytes,
  filledPair,
  mappedPair,
  queued,
  readMapping,
  setRcvlowat,
  takeMapped,
  wordOf,
} from "../helpers.ts";
import { concat, receive } from "../verbs.ts";

/** Cases about the data. All need `mapRx`. */
export const mapDataCases: readonly Case[] = [
  {
    name: "mapRx() lays out packets of 56, 4096 and 8200 bytes as the cover letter does",
    needs: ["mapRx"],
    async run(near, far) {
      const packets = [bytes(56, 1), bytes(4096, 2), bytes(8200, 3)];
      const { mapping } = await filledPair(near, far, 5, ...packets, bytes(300, 4));
      mapping.mapRx();
      // Data is left, so poll_value is 1: pref {1, 5}, three headers, the end marker.
      const words = Array.from({ length: 9 }, (_, i) => wordOf(mapping, i));
      assertEquals(words, [1, 5, 56, 0, 4096, 0, 8200, 0, 0]);
      assertEquals(mapping.lend(0, 56), packets[0]);
      assertEquals(mapping.lend(1, 4096), packets[1]);
      assertEquals(mapping.lend(2, 8200), packets[2]);
      mapping.advise();
      assertEquals(takeMapped(mapping).data, [bytes(300, 4)]);
    },
  },
  {
    name: "mapRx() takes 1 page for 1 byte and 16 pages for 65536",
    needs: ["mapRx"],
    async run(near, far) {
      const { here, there, mapping } = await mappedPair(near, far, 20);
      await there.sendAll(bytes(1));
      await here.wait(POLLIN);
      const one = takeMapped(mapping);
      assertEquals([one.pages, one.headers, one.data], [1, [[1, 0]], [bytes(1)]]);
      await there.sendAll(bytes(65536));
      await queued(here, 65536);
      const large = takeMapped(mapping);
      assertEquals([large.pages, large.headers], [16, [[65536, 0]]]);
      assertEquals(large.data, [bytes(65536)]);
    },
  },
  {
    name: "mapRx() with a mapping of 2 pages gives a page at a time",
    needs: ["mapRx"],
    async run(near, far) {
      const { mapping } = await filledPair(near, far, 1, bytes(10_000));
      const lengths = [];
      const parts = [];
      for (let i = 0; i < 3; i++) {
        const { headers, data } = takeMapped(mapping);
        lengths.push(...headers.map(([length]) => length));
        parts.push(...data);
      }
      assertEquals(lengths, [4096, 4096, 1808]);
      assertEquals(concat(parts), bytes(10_000));
      assertEquals(takeMapped(mapping).pages, 0);
    },
  },
  {
    name: "mapRx() takes as many packets as the mapping has pages, the rest the next time",
    needs: ["mapRx"],
    async run(near, far) {
      const packets = [0, 1, 2, 3, 4].map((i) => bytes(1000, i));
      const { mapping } = await filledPair(near, far, 3, ...packets);
      assertEquals(takeMapped(mapping).data, packets.slice(0, 3));
      assertEquals(takeMapped(mapping).data, packets.slice(3));
    },
  },
  {
    name: "mapRx() continues a packet that is larger than the room in the next batch",
    needs: ["mapRx"],
    async run(near, far) {
      const { mapping } = await filledPair(near, far, 3, bytes(200, 1), bytes(20_000, 2));
      const [first, second, third] = [1, 2, 3].map(() => takeMapped(mapping));
      assertEquals(first!.headers, [[200, 0], [8192, 0]]);
      assertEquals(second!.headers, [[11_808, 0]]);
      assertEquals(third!.pages, 0);
      const tail = [first!.data[1]!, second!.data[0]!];
      assertEquals(concat(tail), bytes(20_000, 2));
    },
  },
  {
    name: "mapRx() gives EOM and EOR of a continued message with its last piece only",
    needs: ["mapRx", "seqpacket"],
    async run(near, far) {
      const ends = await mappedPair(near, far, 2, { type: "seqpacket" });
      await ends.there.sendAll(bytes(20_000), MSG_EOR);
      await ends.there.sendAll(bytes(5));
      await arrived(ends);
      const batches = [1, 2, 3].map(() => takeMapped(ends.mapping));
      assertEquals(batches.map(({ headers }) => headers), [
        [[8192, 0]],
        [[8192, 0]],
        [[3616, EOM | EOR], [5, EOM]],
      ]);
      assertEquals(concat(batches.flatMap(({ data }) => data).slice(0, 3)), bytes(20_000));
    },
  },
  {
    name: "mapRx() gives EOM with the last packet of a message of several",
    needs: ["mapRx", "seqpacket"],
    async run(near, far) {
      const ends = await mappedPair(near, far, 64, { type: "seqpacket" });
      await ends.there.sendAll(bytes(150_000));
      await arrived(ends);
      const { headers, data } = takeMapped(ends.mapping);
      assertEquals(headers.map(([, flags]) => flags), [...headers.slice(1).map(() => 0), EOM]);
      assert(headers.length >= 3);
      assertEquals(concat(data), bytes(150_000));
    },
  },
  {
    name: "mapRx() tells EOM of each message, EOR of those sent with MSG_EOR",
    needs: ["mapRx", "seqpacket"],
    async run(near, far) {
      const ends = await mappedPair(near, far, 8, { type: "seqpacket" });
      for (const flags of [0, MSG_EOR, 0]) await ends.there.sendAll(bytes(7), flags);
      await arrived(ends);
      assertEquals(takeMapped(ends.mapping).headers, [[7, EOM], [7, EOM | EOR], [7, EOM]]);
    },
  },
  {
    name: "mapRx() copies what is left of a partly read packet to a fresh page, drops nothing",
    needs: ["mapRx"],
    async run(near, far) {
      const { here, mapping } = await filledPair(near, far, 4, bytes(5000, 1), bytes(300, 2));
      assertEquals(receive(here, 1000).data, bytes(5000, 1).slice(0, 1000));
      mapping.mapRx();
      const { headers, data } = readMapping(mapping);
      assertEquals(headers, [[4000, 0], [300, 0]]);
      assertEquals(data, [bytes(5000, 1).slice(1000), bytes(300, 2)]);
      assertEquals(mapping.lend(0, 4000).byteOffset % 4096, 0, "the start of a page");
    },
  },
  {
    name: "mapRx() after a whole page was read goes on at the next one",
    needs: ["mapRx"],
    async run(near, far) {
      const { here, mapping } = await filledPair(near, far, 4, bytes(10_000));
      receive(here, 4096);
      const { headers, data } = takeMapped(mapping);
      assertEquals(headers, [[5904, 0]]);
      assertEquals(data, [bytes(10_000).slice(4096)]);
    },
  },
  {
    name: "recv() goes on where mapRx() stopped inside a packet",
    needs: ["mapRx"],
    async run(near, far) {
      const { here, mapping } = await filledPair(near, far, 1, bytes(10_000));
      assertEquals(takeMapped(mapping).data, [bytes(10_000).slice(0, 4096)]);
      assertEquals(receive(here, 100).data, bytes(10_000).slice(4096, 4196));
      assertEquals(takeMapped(mapping).data, [bytes(10_000).slice(4196, 8292)]);
      assertEquals(receive(here, 9999).data, bytes(10_000).slice(8292));
    },
  },
  {
    name: "recv() while pages are mapped goes on behind them and leaves them alone",
    needs: ["mapRx"],
    async run(near, far) {
      const { here, mapping } = await filledPair(near, far, 1, bytes(6000));
      mapping.mapRx();
      const view = mapping.lend(0, 4096);
      assertEquals(receive(here, 9999).data, bytes(6000).slice(4096));
      assertEquals(view, bytes(6000).slice(0, 4096));
    },
  },
  {
    name: "mapRx() gives at most 511 packets, without an end marker then",
    needs: ["mapRx", "seqpacket"],
    async run(near, far) {
      const options = buffers(1 << 20, 1 << 20, "seqpacket");
      const ends = await mappedPair(near, far, 600, options);
      for (let i = 0; i < 513; i++) await ends.there.send(Uint8Array.of(i));
      await arrived(ends);
      const first = takeMapped(ends.mapping);
      assertEquals([first.pages, first.headers.length], [511, 511]);
      assertEquals(concat(first.data), Uint8Array.from({ length: 511 }, (_, i) => i));
      const second = takeMapped(ends.mapping);
      assertEquals([second.pages, second.headers.length], [2, 2]);
      assertEquals(wordOf(ends.mapping, 6), 0, "the end marker");
    },
  },
  {
    name: "mapRx() with fewer packets than before ends them by a marker of length 0",
    needs: ["mapRx"],
    async run(near, far) {
      const { here, there, mapping } = await mappedPair(near, far, 8);
      for (let i = 0; i < 4; i++) await there.sendAll(bytes(500, i));
      await queued(here, 2000);
      assertEquals(takeMapped(mapping).headers.length, 4);
      await there.sendAll(bytes(500, 9));
      await queued(here, 500);
      assertEquals(takeMapped(mapping).headers, [[500, 0]]);
      assertEquals(wordOf(mapping, 4), 0);
    },
  },
  {
    name: "mapRx() merges small sends of a stream, not messages",
    needs: ["mapRx", "seqpacket"],
    async run(near, far) {
      const stream = await mappedPair(near, far, 8);
      const messages = await mappedPair(near, far, 8, { type: "seqpacket" });
      for (const ends of [stream, messages]) {
        for (const length of [10, 20, 30]) await ends.there.sendAll(bytes(length, length));
        await arrived(ends);
      }
      const [bytewise, whole] = [takeMapped(stream.mapping), takeMapped(messages.mapping)];
      assertEquals(bytewise.headers, [[60, 0]]);
      assertEquals(whole.headers, [[10, EOM], [20, EOM], [30, EOM]]);
      assertEquals(concat(bytewise.data), concat(whole.data));
    },
  },
  {
    name: "advise() kills the views lent before",
    needs: ["mapRx"],
    async run(near, far) {
      const { mapping } = await filledPair(near, far, 8, bytes(9000));
      mapping.mapRx();
      const views = [mapping.lend(0, 9000), mapping.lend(0, 10)];
      assertEquals(views[0], bytes(9000));
      mapping.advise();
      if (!mapping.volatile) assertEquals(views.map((view) => view.length), [0, 0]);
    },
  },
  {
    name: "unmap() and close() kill the views lent before",
    needs: ["mapRx"],
    async run(near, far) {
      for (const end of ["unmap", "close"] as const) {
        const { here, mapping } = await filledPair(near, far, 8, bytes(9000));
        mapping.mapRx();
        const view = mapping.lend(0, 9000);
        if (end === "close") here.close();
        mapping.unmap();
        if (!mapping.volatile) assertEquals(view.length, 0);
      }
    },
  },
  {
    name: "advise() twice, or with nothing mapped, does nothing",
    needs: ["mapRx"],
    async run(near, far) {
      const { here, there, mapping } = await mappedPair(near, far, 8);
      mapping.advise();
      await there.sendAll(bytes(9));
      await here.wait(POLLIN);
      assertEquals(takeMapped(mapping).data, [bytes(9)]);
      mapping.advise();
    },
  },
  {
    name: "close() of the socket leaves pages that are mapped readable until unmap()",
    needs: ["mapRx"],
    async run(near, far) {
      const { here, mapping } = await filledPair(near, far, 8, bytes(9000));
      mapping.mapRx();
      const view = mapping.lend(0, 9000);
      here.close();
      assertEquals(view, bytes(9000));
      mapping.unmap();
    },
  },
  {
    name: "mapRx() and advise() give the sender its credit back",
    needs: ["mapRx"],
    async run(near, far) {
      const { here, there, mapping } = await mappedPair(near, far, 64, buffers(65536, 262144));
      for (let round = 0; round < 4; round++) {
        assertEquals(await there.send(bytes(100_000)), 65536);
        await queued(here, 65536);
        assertEquals(await there.send(bytes(1)), WOULD_BLOCK);
        assertEquals(concat(takeMapped(mapping).data), bytes(65536));
        await there.wait(POLLOUT);
      }
    },
  },
  {
    name: "mapRx() through a small mapping brings 2 MiB in order",
    needs: ["mapRx"],
    async run(near, far) {
      const { here, there, mapping } = await mappedPair(near, far, 7);
      const whole = bytes(2 << 20);
      const sent = there.sendAll(whole);
      const parts: Uint8Array[] = [];
      for (let got = 0; got < whole.length;) {
        await here.wait(POLLIN);
        const { data } = takeMapped(mapping);
        parts.push(...data);
        for (const part of data) got += part.length;
      }
      await sent;
      const all = concat(parts);
      assert(all.length === whole.length && all.every((byte, i) => byte === whole[i]));
    },
  },
  {
    name: "mapRx() and recv() in turn keep the order",
    needs: ["mapRx"],
    async run(near, far) {
      const { here, there, mapping } = await mappedPair(near, far, 5);
      const whole = bytes(300_000);
      const sent = there.sendAll(whole);
      const parts: Uint8Array[] = [];
      for (let got = 0, round = 0; got < whole.length; round++) {
        await here.wait(POLLIN);
        const data = round % 2 ? takeMapped(mapping).data : [receive(here, 1 + round * 37).data];
        parts.push(...data);
        for (const part of data) got += part.length;
      }
      await sent;
      assertEquals(concat(parts), whole);
    },
  },
  {
    name: "poll() with SO_RCVLOWAT is what it is without a mapping",
    needs: ["mapRx"],
    async run(near, far) {
      const { here, there, mapping } = await mappedPair(near, far, 64);
      setRcvlowat(here, 10_000);
      await there.sendAll(bytes(9_999));
      await queued(here, 9_999);
      assertPoll(here, 0, POLLIN);
      await there.sendAll(bytes(1));
      await here.wait(POLLIN);
      assertEquals(concat(takeMapped(mapping).data).length, 10_000);
      assertPoll(here, 0, POLLIN);
    },
  },
  {
    name: "mapRx() in the middle of a message leaves the rest of it a message",
    needs: ["mapRx", "seqpacket"],
    async run(near, far) {
      const ends = await mappedPair(near, far, 1, { type: "seqpacket" });
      await ends.there.sendAll(bytes(6000), MSG_EOR);
      await arrived(ends);
      ends.mapping.mapRx();
      assertEquals(readMapping(ends.mapping).headers, [[4096, 0]]);
      const { data, flags } = receive(ends.here, 9999);
      assertEquals([data, flags], [bytes(6000).slice(4096), MSG_EOR]);
    },
  },
];
