/**
 * 64 bytes there and back between two connections of one event loop.
 *
 * @module
 */

const BYTES = 64;
const ROUND_MS = 500;
/** Round trips between two looks at the clock. */
const BETWEEN_LOOKS = 100;

/** What all connections have in common. */
export interface End {
  write(data: Uint8Array): Promise<unknown> | void;
  read(buffer: Uint8Array): Promise<number | null>;
}

/** Every step awaited in turn; gives the bytes that came back. */
async function roundTrip(
  near: End,
  far: End,
  sent: Uint8Array,
  got: Uint8Array,
): Promise<Uint8Array> {
  await near.write(sent);
  requireWhole(await far.read(got));
  await far.write(got);
  requireWhole(await near.read(got));
  return got;
}

/** So few bytes are never split: to read on would be work that nobody does. */
function requireWhole(length: number | null): void {
  if (length !== BYTES) throw new Error(`A read gave ${length} bytes of ${BYTES}`);
}

/** Round trips a second. */
export async function measureRoundTrips(near: End, far: End): Promise<number> {
  const [sent, got] = [new Uint8Array(BYTES).fill(7), new Uint8Array(BYTES)];
  const start = performance.now();
  let [count, ms] = [0, 0];
  for (; ms < ROUND_MS; ms = performance.now() - start) {
    for (let i = 0; i < BETWEEN_LOOKS; i++) await roundTrip(near, far, sent, got);
    count += BETWEEN_LOOKS;
  }
  return count / ms * 1000;
}

/** Throws unless the bytes that come back are those that went out. */
export async function proveRoundTrip(near: End, far: End): Promise<void> {
  const sent = Uint8Array.from({ length: BYTES }, (_, index) => index * 5);
  const got = await roundTrip(near, far, sent, new Uint8Array(BYTES));
  const wrong = got.findIndex((byte, index) => byte !== sent[index]);
  if (wrong >= 0) throw new Error(`Byte ${wrong} came back as ${got[wrong]}`);
}
