/** Whatever a VMM and its guest do, the event loop gets its turns. */
import { setImmediate } from "node:timers";
import { test } from "node:test";
import { assert } from "@std/assert";
import { createVsockDevice } from "../../src/vhost_user/device.ts";
import { REQUEST } from "../../src/vhost_user/protocol.ts";
import { frame, FrontEnd } from "./front_end.ts";
import { freshPath, GUEST_CID } from "./lab.ts";

const NOTHING: Uint8Array<ArrayBuffer> = new Uint8Array(0);

/** How many turns the event loop has while `act` goes on. */
async function turnsOf(act: () => Promise<void>): Promise<number> {
  let [turns, goesOn] = [0, true];
  const turn = (): void => {
    turns++;
    if (goesOn) setImmediate(turn);
  };
  setImmediate(turn);
  await act();
  goesOn = false;
  return turns;
}

test("VsockDevice gives the event loop a turn after some messages of a VMM", {
  timeout: 30_000,
}, async () => {
  const socketPath = freshPath();
  using _device = createVsockDevice({ socketPath, guestCid: GUEST_CID });
  using frontEnd = await FrontEnd.connect(socketPath);
  await frontEnd.settled();
  const message = frame(REQUEST.SET_OWNER, NOTHING);
  const messages = new Uint8Array(4_096 * message.length);
  for (let at = 0; at < messages.length; at += message.length) messages.set(message, at);
  const turns = await turnsOf(async () => {
    await frontEnd.write(messages);
    await frontEnd.settled();
  });
  assert(turns >= 32, `4096 messages took ${turns} turns`);
});
