/**
 * How long nobody has read a body, where no more of it is taken before somebody does.
 *
 * @module
 */

/** What tells the room of a stream's queue: 0 or less where it takes no more. */
interface Queue {
  readonly desiredSize: number | null;
}

/** See the module. Whether the body has a reader says little: clones lock it, and read nothing. */
export class UnreadTime {
  #queue: Queue | undefined;
  #room = 0;
  #since = 0;

  /** A chunk has come into `queue`. */
  start(queue: Queue): void {
    this.#queue = queue;
    this.#note(queue.desiredSize ?? 0);
  }

  /** The next chunk is asked for. */
  stop(): void {
    this.#queue = undefined;
  }

  /** In milliseconds; 0 where there is room for more. */
  get ms(): number {
    if (this.#queue === undefined) return 0;
    const room = this.#queue.desiredSize ?? 0;
    if (room !== this.#room) this.#note(room); // a part was read
    return room > 0 ? 0 : performance.now() - this.#since;
  }

  #note(room: number): void {
    this.#room = room;
    this.#since = performance.now();
  }
}
