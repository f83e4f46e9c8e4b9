/** Run by ref_test.ts: what keeps this process alive is what its argument names. */
import process from "node:process";
import { connect, listen } from "../../mod.ts";

const transport = "loopback";
const ADDRESS = { cid: 1, port: 4000 };

/** Calls `f` later without holding the event loop for it. */
function laterUnheld(f: () => void, ms: number): void {
  const timer: unknown = setTimeout(f, ms);
  (timer as { unref(): void }).unref();
}

const listener = listen(ADDRESS, { transport });
const near = await connect(ADDRESS, { transport });
const far = await listener.accept();

/** Says how a wait ended. */
function watch(wait: Promise<unknown>): void {
  wait.then(
    (result) => console.log(`result ${result}`),
    (error) => console.log(`${error.op} ${error.code}`),
  );
}

const CASES: Readonly<Record<string, () => void>> = {
  "open, nothing pending"(): void {
    laterUnheld(() => console.log("still alive"), 3_600_000);
  },
  "pending read"(): void {
    watch(near.read(new Uint8Array(4)));
    laterUnheld(() => near.close(), 20);
  },
  "pending read, unref'd"(): void {
    near.unref();
    watch(near.read(new Uint8Array(4)));
    laterUnheld(() => near.close(), 3_600_000);
  },
  "pending read, unref'd and ref'd"(): void {
    near.unref();
    watch(near.read(new Uint8Array(4)));
    near.ref();
    laterUnheld(() => near.close(), 20);
  },
  "pending read with timeoutMs"(): void {
    watch(near.read(new Uint8Array(4), { timeoutMs: 20 }));
  },
  "pending read with timeoutMs, unref'd"(): void {
    near.unref();
    watch(near.read(new Uint8Array(4), { timeoutMs: 3_600_000 }));
  },
  "pending write"(): void {
    watch(near.write(new Uint8Array(1 << 20)));
    laterUnheld(() => far.close(), 20);
  },
  "pending accept"(): void {
    watch(listener.accept());
    laterUnheld(() => listener.close(), 20);
  },
  "pending accept, unref'd"(): void {
    listener.unref();
    watch(listener.accept());
    laterUnheld(() => listener.close(), 3_600_000);
  },
};

CASES[process.argv[2] ?? ""]?.();
