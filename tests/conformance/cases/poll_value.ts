/** `poll_value` of page 0. */
import { assert, assertEquals } from "@std/assert";
import { POLLIN, POLLRDHUP } from "../../../ffi/abi/poll.ts";
import { SHUT_WR } from "../../../ffi/abi/socket.ts";
import {
  POLL_VALUE_CLOSED,
  POLL_VALUE_DATA,
  POLL_VALUE_EMPTY,
} from "../../../ffi/abi/virtio_vsock_usr.ts";
import type { RxMapping } from "../../../src/socket.ts";
import type { Case } from "../case.ts";
import {
  bytes,
  mapOf,
  mappedPair,
  pair,
  queued,
  setZerocopy,
  takeMapped,
  wordOf,
} from "../helpers.ts";
import { receive } from "../verbs.ts";

function pollValue(mapping: RxMapping): number {
  return wordOf(mapping, 0);
}

/** Spins until `poll_value` is not `old`: what it is then. */
function spin(mapping: RxMapping, old: number): number {
  const end = performance.now() + 20_000;
  while (pollValue(mapping) === old) {
    assert(performance.now() < end, `poll_value stayed ${old} for 20 seconds`);
  }
  return pollValue(mapping);
}

/** Cases about `poll_value`. All need `mapRx`. */
export const pollValueCases: readonly Case[] = [
  {
    name: "poll_value is 0 after mmap() of an idle connection",
    needs: ["mapRx"],
    async run(near, far) {
      const { mapping } = await mappedPair(near, far, 4);
      assertEquals(mapping.page0.length, 1024);
      assertEquals([...mapping.page0.subarray(0, 4)], [POLL_VALUE_EMPTY, 0, 0, 0]);
    },
  },
  {
    name: "poll_value is 1 after mmap() of a connection with bytes queued",
    needs: ["mapRx"],
    async run(near, far) {
      const { here, there } = await pair(near, far, { here: (s) => setZerocopy(s, 1) });
      await there.sendAll(bytes(10));
      await here.wait(POLLIN);
      const mapping = mapOf(near, here, 4);
      assertEquals(pollValue(mapping), POLL_VALUE_DATA);
      assertEquals(takeMapped(mapping).data, [bytes(10)]);
    },
  },
  {
    name: "poll_value becomes 1 when bytes arrive, before any mapRx()",
    needs: ["mapRx"],
    async run(near, far) {
      const { here, there, mapping } = await mappedPair(near, far, 4);
      await there.sendAll(bytes(10));
      await here.wait(POLLIN);
      assertEquals(pollValue(mapping), POLL_VALUE_DATA);
      assertEquals(wordOf(mapping, 1), 0);
    },
  },
  {
    name: "poll_value goes back to 0 when mapRx() has emptied the queue, stays 1 before",
    needs: ["mapRx"],
    async run(near, far) {
      const { here, there, mapping } = await mappedPair(near, far, 1);
      await there.sendAll(bytes(5000));
      await queued(here, 5000);
      assertEquals(takeMapped(mapping).pages, 1);
      assertEquals(pollValue(mapping), POLL_VALUE_DATA);
      assertEquals(takeMapped(mapping).pages, 1);
      assertEquals(pollValue(mapping), POLL_VALUE_EMPTY);
      await there.sendAll(bytes(1));
      await here.wait(POLLIN);
      assertEquals(pollValue(mapping), POLL_VALUE_DATA);
    },
  },
  {
    name: "poll_value goes back to 0 when recv() has emptied the queue, stays 1 before",
    needs: ["mapRx"],
    async run(near, far) {
      const { here, there, mapping } = await mappedPair(near, far, 4);
      await there.sendAll(bytes(10));
      await here.wait(POLLIN);
      receive(here, 9);
      assertEquals(pollValue(mapping), POLL_VALUE_DATA);
      receive(here, 1);
      assertEquals(pollValue(mapping), POLL_VALUE_EMPTY);
    },
  },
  {
    name: "poll_value is ~0 after the peer's shutdown(SHUT_WR)",
    needs: ["mapRx"],
    async run(near, far) {
      const { here, there, mapping } = await mappedPair(near, far, 4);
      await there.shutdown(SHUT_WR);
      await here.wait(POLLRDHUP);
      assertEquals(pollValue(mapping), POLL_VALUE_CLOSED);
    },
  },
  {
    name: "poll_value is ~0 after the peer's close() and stays so while draining to hdr_num 0",
    needs: ["mapRx"],
    async run(near, far) {
      const { here, there, mapping } = await mappedPair(near, far, 2);
      await there.sendAll(bytes(10_000));
      await there.close();
      await here.wait(POLLRDHUP);
      const pages = [];
      do {
        assertEquals(pollValue(mapping), POLL_VALUE_CLOSED);
        pages.push(takeMapped(mapping).pages);
      } while (pages.at(-1) !== 0);
      assertEquals(pages, [2, 1, 0]);
      assertEquals(pollValue(mapping), POLL_VALUE_CLOSED);
    },
  },
  {
    name: "poll_value goes 0, 1, 0, ~0 over the life of a connection",
    needs: ["mapRx"],
    async run(near, far) {
      const { here, there, mapping } = await mappedPair(near, far, 4);
      const seen = [pollValue(mapping)];
      await there.sendAll(bytes(10));
      await here.wait(POLLIN);
      seen.push(pollValue(mapping));
      takeMapped(mapping);
      seen.push(pollValue(mapping));
      await there.close();
      await here.wait(POLLIN);
      seen.push(pollValue(mapping));
      assertEquals(seen, [POLL_VALUE_EMPTY, POLL_VALUE_DATA, POLL_VALUE_EMPTY, POLL_VALUE_CLOSED]);
    },
  },
  {
    name: "poll_value is seen by a spin without any call: data, then the end",
    needs: ["mapRx", "spins"],
    async run(near, far) {
      const { there, mapping } = await mappedPair(near, far, 4);
      assert(mapping.spins);
      const sent = there.sendAll(bytes(3000));
      assertEquals(spin(mapping, POLL_VALUE_EMPTY), POLL_VALUE_DATA);
      assertEquals(takeMapped(mapping).data, [bytes(3000)]);
      await sent;
      assertEquals(pollValue(mapping), POLL_VALUE_EMPTY);
      const closed = there.close();
      assertEquals(spin(mapping, POLL_VALUE_EMPTY), POLL_VALUE_CLOSED);
      assertEquals(takeMapped(mapping).pages, 0);
      await closed;
    },
  },
];
