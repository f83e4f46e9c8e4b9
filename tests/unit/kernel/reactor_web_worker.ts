/**
 * Waits in a web Worker, with a reactor of its own, for the descriptor that it is sent; -1 ends it.
 */
import process from "node:process";
import { POLLIN } from "../../../ffi/abi/poll.ts";
import { Hold, reactor } from "../../../src/kernel/reactor.ts";

const here = globalThis as unknown as { postMessage(message: unknown): void };

globalThis.addEventListener("message", (event) => {
  const fd = (event as MessageEvent).data as number;
  if (fd === -1) process.exit();
  reactor().wait(fd, POLLIN, new Hold());
  here.postMessage("waits");
});
