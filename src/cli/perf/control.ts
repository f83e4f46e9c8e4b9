/**
 * The few words that the two Workers and the thread that started them share.
 *
 * @module
 */

const [LISTENING, SENT_KIB, RECEIVED_KIB, BEGUN, WORDS] = [0, 1, 2, 3, 4];

/** Progress of both ends, and the transmitter's word that it listens. */
export class Control {
  /** Crosses to a Worker by structured clone. */
  readonly memory: SharedArrayBuffer;
  readonly #words: Int32Array;

  /** A new block, or a view of one that another thread made. */
  constructor(memory: SharedArrayBuffer = new SharedArrayBuffer(WORDS * 4)) {
    this.memory = memory;
    this.#words = new Int32Array(memory);
  }

  /** Lets `awaitListening()` go on. */
  announceListening(): void {
    Atomics.store(this.#words, LISTENING, 1);
    Atomics.notify(this.#words, LISTENING);
  }

  /** Blocks until the transmitter listens; `false` when `timeoutMs` is over. */
  awaitListening(timeoutMs: number): boolean {
    return Atomics.wait(this.#words, LISTENING, 0, timeoutMs) !== "timed-out";
  }

  /** Called by each end once it runs, which takes its Worker a while. */
  reportBegun(): void {
    Atomics.add(this.#words, BEGUN, 1);
  }

  /** Called by the transmitter. */
  reportSent(bytes: number): void {
    Atomics.store(this.#words, SENT_KIB, bytes / 1024);
  }

  /** Called by the receiver. */
  reportReceived(bytes: number): void {
    Atomics.store(this.#words, RECEIVED_KIB, bytes / 1024);
  }

  /** How many ends run. */
  get begun(): number {
    return Atomics.load(this.#words, BEGUN);
  }

  /** Bytes sent, to the KiB. */
  get sent(): number {
    return Atomics.load(this.#words, SENT_KIB) * 1024;
  }

  /** Bytes received, to the KiB. */
  get received(): number {
    return Atomics.load(this.#words, RECEIVED_KIB) * 1024;
  }
}
