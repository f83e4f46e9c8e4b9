/** A peer machine that is gone without a word. Each case costs its far end. */
import { assertEquals } from "@std/assert";
import { connect } from "../../../mod.ts";
import { POLLERR, POLLIN } from "../../../ffi/abi/poll.ts";
import { POLL_VALUE_CLOSED } from "../../../ffi/abi/virtio_vsock_usr.ts";
import type { Case } from "../case.ts";
import { bytes, farListener, mappedPair, pair, rejects, takeMapped, wordOf } from "../helpers.ts";

const ECONNRESET = 104;

/** Cases about loss. All need `loss`. */
export const lossCases: readonly Case[] = [
  {
    name: "a peer that dies: ECONNRESET for those that wait, poll_value ~0, mapped bytes stay",
    needs: ["loss", "mapRx"],
    async run(near, far) {
      const { here, there, mapping } = await mappedPair(near, far, 4);
      await there.sendAll(bytes(5000));
      await here.wait(POLLIN);
      mapping.mapRx();
      const view = mapping.lend(0, 5000);
      const { address } = await farListener(far);
      const conn = near.keep(await connect(address, { transport: near.transport }));
      const reset = rejects("ECONNRESET", conn.read(new Uint8Array(1)));
      const waiting = here.wait(0);
      await near.losePeer();
      await reset;
      assertEquals(await waiting & POLLERR, POLLERR);
      assertEquals([here.takeError(), here.takeError()], [ECONNRESET, 0]);
      assertEquals(wordOf(mapping, 0), POLL_VALUE_CLOSED);
      assertEquals(view, bytes(5000));
      mapping.advise();
      assertEquals(takeMapped(mapping).pages, 0);
    },
  },
  {
    name: "a peer that dies ends a waitSync()",
    needs: ["loss", "waitSync"],
    async run(near, far) {
      const { here } = await pair(near, far);
      await near.losePeer();
      assertEquals(here.waitSync(POLLIN, 30_000) & POLLERR, POLLERR);
      assertEquals(here.takeError(), ECONNRESET);
    },
  },
];
