/** Run by loop_hold_test.ts: what keeps this process alive is what its argument names. */
import { LoopHold } from "../../../src/wait/loop_hold.ts";
import process from "node:process";

/** Calls `f` later without holding the event loop for it. */
function laterUnheld(f: () => void, ms: number): void {
  const timer: unknown = setTimeout(f, ms);
  (timer as { unref(): void }).unref();
}

const CASES: Readonly<Record<string, () => void>> = {
  held(): void {
    const hold = new LoopHold();
    hold.acquire();
    hold.acquire();
    hold.release();
    laterUnheld(() => {
      console.log("the last one releases");
      hold.release();
    }, 20);
  },
  released(): void {
    const hold = new LoopHold();
    hold.acquire();
    hold.acquire();
    hold.release();
    hold.release();
    laterUnheld(() => console.log("still alive"), 3_600_000);
  },
  "held again"(): void {
    const hold = new LoopHold();
    hold.acquire();
    hold.release();
    hold[Symbol.dispose]();
    hold.acquire();
    hold[Symbol.dispose]();
    laterUnheld(() => {
      console.log("the last one releases");
      hold.release();
    }, 20);
  },
};

CASES[process.argv[2] ?? ""]?.();
