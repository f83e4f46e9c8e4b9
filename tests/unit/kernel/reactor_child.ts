/** Run by reactor_process_test.ts: waits for a pipe in the way that its argument names. */
import process from "node:process";
import { O_CLOEXEC } from "../../../ffi/abi/fcntl.ts";
import { POLLIN } from "../../../ffi/abi/poll.ts";
import { pipe2, write } from "../../../ffi/libc.ts";
import { Hold, reactor } from "../../../src/kernel/reactor.ts";

const [reader, writer] = pipe2(O_CLOEXEC);
const hold = new Hold();

/** Waits for the pipe; prints what came of it. */
async function wait(): Promise<void> {
  console.log(`woken by ${await reactor().wait(reader, POLLIN, hold)}`);
}

/** Runs `f` later without holding the event loop for it. */
function laterUnheld(f: () => void, ms: number): void {
  const timer: unknown = setTimeout(f, ms);
  (timer as { unref(): void }).unref();
}

function wake(): void {
  write(writer, new Uint8Array(1));
}

const CASES: Readonly<Record<string, () => unknown>> = {
  "a pending wait"(): void {
    wait();
    laterUnheld(wake, 300);
  },
  "a pending wait, unref'd"(): void {
    hold.unref();
    wait();
    laterUnheld(wake, 3_600_000);
  },
  "a pending wait, unref'd while it waits"(): void {
    wait();
    setTimeout(() => hold.unref(), 300);
    laterUnheld(wake, 3_600_000);
  },
  "a pending wait, unref'd and ref'd"(): void {
    hold.unref();
    wait();
    hold.ref();
    laterUnheld(wake, 300);
  },
  async "a wait that is over"(): Promise<void> {
    setTimeout(wake, 300);
    await wait();
    laterUnheld(wake, 3_600_000);
  },
  async "a wait that is over, its thread parked"(): Promise<void> {
    setTimeout(wake, 1);
    await wait();
    setTimeout(() => {}, 300);
  },
  async "a wait that is over, and one after the thread was parked"(): Promise<void> {
    setTimeout(wake, 1);
    await wait();
    await new Promise((resolve) => setTimeout(resolve, 300));
    const [again, awaken] = pipe2(O_CLOEXEC);
    laterUnheld(() => write(awaken, new Uint8Array(1)), 300);
    console.log(`then by ${await reactor().wait(again, POLLIN, hold)}`);
  },
  "process.exit(0) at once"(): void {
    wait();
    process.exit(0);
  },
  "process.exit(0)"(): void {
    wait();
    setTimeout(() => process.exit(0), 300);
  },
  "process.exit(3)"(): void {
    wait();
    setTimeout(() => process.exit(3), 300);
  },
  "an uncaught error"(): void {
    wait();
    setTimeout(() => {
      throw new Error("nobody catches this");
    }, 300);
  },
};

CASES[process.argv[2] ?? ""]?.();
