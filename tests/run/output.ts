/**
 * The output of runs that go on at once, each run's whole.
 *
 * @module
 */
import process from "node:process";

/** Where output goes: a stream of this process, or what stands in for one. */
export interface Sink {
  write(data: Uint8Array | string): void;
}

/** The output of one run, which is kept until it is its turn. */
export class Output {
  readonly #kept: [data: Uint8Array | string, to: Sink][] = [];
  readonly #onEnd: () => void;
  #shown = false;
  #ended = false;

  /** `onEnd` is called at its end. */
  constructor(onEnd: () => void) {
    this.#onEnd = onEnd;
  }

  /** Whether all of it has come. */
  get ended(): boolean {
    return this.#ended;
  }

  write(data: Uint8Array | string, to: Sink = process.stdout): void {
    if (this.#shown) to.write(data);
    else this.#kept.push([data, to]);
  }

  /** Lets out what was kept, and from now on what comes. */
  show(): void {
    this.#shown = true;
    for (const [data, to] of this.#kept.splice(0)) to.write(data);
  }

  end(): void {
    this.#ended = true;
    this.#onEnd();
  }
}

/** Shows one output at a time, in the order of their beginnings: the first one as it comes. */
export class Outputs {
  readonly #begun: Output[] = [];

  /** The output of one more run; whoever asks for it ends it. */
  begin(): Output {
    const output = new Output(() => this.#next());
    if (this.#begun.push(output) === 1) output.show();
    return output;
  }

  /** Lets out what is there of all, where no more will come. */
  showAll(): void {
    for (const output of this.#begun) output.show();
  }

  #next(): void {
    while (this.#begun[0]?.ended) {
      this.#begun.shift();
      this.#begun[0]?.show();
    }
  }
}
