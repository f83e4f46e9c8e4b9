/** Run by ref_test.ts: what keeps this process alive is what its argument names. */
import process from "node:process";
import { SOL_SOCKET } from "../../../ffi/abi/socket.ts";
import { type Conn, connect, listen } from "../../../mod.ts";
import { openTcpPair } from "../../helpers/tcp_pair.ts";

/** Of `<asm-generic/socket.h>`. */
const SO_TIMESTAMPING = 37;
/** `SOF_TIMESTAMPING_SOFTWARE` and `SOF_TIMESTAMPING_TX_SOFTWARE`: a record for each send. */
const TIMES_OF_SENDS = Int32Array.of(1 << 4 | 1 << 1);

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

/** A connection with a record in its error queue, which nobody takes: POLLERR, and no error. */
async function withRecord(): Promise<Conn> {
  const { near } = await openTcpPair();
  near.socket.setsockopt(SOL_SOCKET, SO_TIMESTAMPING, new Uint8Array(TIMES_OF_SENDS.buffer));
  await near.write(Uint8Array.of(1));
  return near;
}

const CASES: Readonly<Record<string, () => void | Promise<void>>> = {
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
  async "pending read, the error queue not empty"(): Promise<void> {
    const near = await withRecord();
    watch(near.read(new Uint8Array(4)));
    laterUnheld(() => near.close(), 500);
  },
  async "pending read, the error queue not empty, unref'd"(): Promise<void> {
    const near = await withRecord();
    near.unref();
    watch(near.read(new Uint8Array(4)));
    laterUnheld(() => near.close(), 3_600_000);
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

await CASES[process.argv[2] ?? ""]?.();
