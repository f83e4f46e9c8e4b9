/**
 * Two threads in lockstep: one runs at a time, and after each `Atomics` call the other may go on in
 * its place. All orders of their steps are run, one after the other, up to a number of switches
 * where the thread that runs could have gone on.
 *
 * What is plain memory belongs to the step before it: enough where `Atomics` order all of that.
 */
const { add, load, notify, store, wait } = Atomics;

/** Words of the control memory, the first of two where a side has its own. */
const [TURN, RUN, FAILED, LENGTH, AT, LEFT, STEPS, LIVED] = [0, 1, 2, 3, 4, 5, 6, 7];
const [DONE, ASLEEP, ARMED, DIES, OVER] = [8, 10, 12, 14, 15];
/** What `DONE` says of a thread. */
const [FINISHED, DEAD] = [1, 2];
/** Of the orders of one plan; a run that takes longer never ends. */
const STEPS_MAX = 100_000;
/** A thread that has done nothing for so long is gone. */
const GONE_MS = 120_000;

/** What the two threads share. */
export interface LockstepMemory {
  readonly control: Int32Array;
  /** What was chosen at each point where there was a choice. */
  readonly trail: Uint8Array;
  /** Why a run has failed: UTF-8. */
  readonly text: Uint8Array;
}

/** What one thread does in a run. */
export type Part = (lockstep: Lockstep) => void;

/** Memory for two threads, the first of which goes first. */
export function lockstepMemory(): LockstepMemory {
  return {
    control: new Int32Array(new SharedArrayBuffer(64)),
    trail: new Uint8Array(new SharedArrayBuffer(STEPS_MAX)),
    text: new Uint8Array(new SharedArrayBuffer(1024)),
  };
}

/** Ends a run that has failed in the other thread. */
class Stopped extends Error {}
/** Ends a thread where it is. */
class Died extends Error {}

/** One of the two threads. */
export class Lockstep {
  readonly #control: Int32Array;
  readonly #memory: LockstepMemory;
  readonly #side: 0 | 1;
  readonly #other: 0 | 1;
  #woken: (() => void)[] = [];
  #now = 0;
  #died = false;
  #trailLength = 0;

  constructor(memory: LockstepMemory, side: 0 | 1) {
    this.#memory = memory;
    this.#control = memory.control;
    this.#side = side;
    this.#other = side === 0 ? 1 : 0;
  }

  /** Whether the other thread is dead. */
  get alone(): boolean {
    return load(this.#control, DONE + this.#other) === DEAD;
  }

  /** Milliseconds of this thread's clock: each look is one, and what it waits in vain. */
  get now(): number {
    return this.#now;
  }

  /** The second thread: does its `part` in every run. */
  follow(part: Part): void {
    for (let runs = 0; this.#waitFor(RUN, runs) > 0; runs++) this.#play(part);
  }

  /**
   * The first thread: does its `part` in each order of steps with up to `switches` interruptions:
   * how many those are. An Error where one fails, or where both threads sleep. With `everyDeath`
   * the second thread dies in each of them, at every so many of its steps.
   */
  explore(switches: number, part: Part, begin: () => void, everyDeath = 0): number {
    const control = this.#control;
    let [runs, dies] = [0, everyDeath];
    try {
      for (;;) {
        begin();
        control.fill(0, FAILED);
        control[LENGTH] = this.#trailLength;
        control[LEFT] = switches;
        control[DIES] = dies;
        store(control, TURN, 0);
        store(control, RUN, ++runs);
        notify(control, RUN);
        this.#play(part);
        if (load(control, FAILED) !== 0) throw new Error(this.#failure(runs));
        if (this.#nextTrail()) continue;
        if (everyDeath === 0 || load(control, LIVED) < dies) return runs;
        dies += everyDeath;
      }
    } finally {
      store(control, RUN, -1);
      notify(control, RUN);
    }
  }

  /**
   * Blocks until what `Atomics.waitAsync` has begun is over. Where nobody is left to end it, timers
   * go on: `tick` runs every `tickMs`.
   */
  sleep(tickMs = 0, tick?: () => void): void {
    const armed = ARMED + this.#side;
    this.#block(load(this.#control, armed), 0);
    while (tick !== undefined && this.alone && load(this.#control, armed) !== 0) {
      this.#now += tickMs;
      tick();
    }
    for (const woken of this.#woken.splice(0)) woken();
  }

  /** Spins until `done`: the other thread has to make it so, or `tick` in every `tickMs`. */
  until(done: () => boolean, tickMs = 0, tick?: () => void): void {
    while (!done()) {
      if (this.#canRun(this.#other)) this.#switch();
      else if (tick !== undefined && this.alone) {
        this.#now += tickMs;
        tick();
      } else if (!done()) this.fail("one spins, and the other is asleep or done");
    }
  }

  /** The run has failed. */
  fail(why: string): never {
    this.#note(why);
    throw new Stopped();
  }

  #nextTrail(): boolean {
    const { trail } = this.#memory;
    this.#trailLength = trail.subarray(0, load(this.#control, LENGTH)).lastIndexOf(0) + 1;
    if (this.#trailLength > 0) trail[this.#trailLength - 1] = 1;
    return this.#trailLength > 0;
  }

  #play(part: Part): void {
    const restore = this.#patch();
    this.#woken = [];
    this.#now = 0;
    this.#died = false;
    try {
      if (this.#waitFor(TURN, this.#other) !== this.#side) return;
      if (load(this.#control, FAILED) === 0) part(this);
    } catch (error) {
      if (!(error instanceof Stopped) && !this.#died) this.#note(`${(error as Error).stack}`);
    } finally {
      restore();
      store(this.#control, DONE + this.#side, this.#died ? DEAD : FINISHED);
      const otherDone = load(this.#control, DONE + this.#other) !== 0;
      if (this.#died) store(this.#control, ASLEEP + this.#other, 0);
      if (!otherDone && !this.#canRun(this.#other)) this.#note("one sleeps, the other is done");
      this.#handOver();
      this.#endRun();
    }
  }

  #patch(): () => void {
    const { load, store, compareExchange, notify, wait, waitAsync } = Atomics;
    const original = { load, store, compareExchange, notify, wait, waitAsync };
    const { now } = performance;
    const stepped =
      <Args extends unknown[], Result>(call: (...args: Args) => Result) =>
      (...args: Args): Result => {
        if (this.#died) throw new Died(); // a `finally` on the way
        const result = call(...args);
        this.#point();
        return result;
      };
    Object.assign(Atomics, {
      load: stepped(load),
      store: stepped(store),
      compareExchange: stepped(compareExchange),
      notify: stepped((_words: Int32Array, index: number) => this.#notify(index)),
      wait: stepped((words: Int32Array, index: number, value: number, ms: number) => {
        if (load(words, index) === value) this.#block(index + 1, ms);
      }),
      waitAsync: stepped((words: Int32Array, index: number, value: number) => {
        if (load(words, index) !== value) return { async: false, value: "not-equal" };
        original.store(this.#control, ARMED + this.#side, index + 1);
        const then = (woken: () => void): unknown => (this.#woken.push(woken), promise);
        const promise = { then };
        return { async: true, value: promise };
      }),
    });
    performance.now = () => this.#now++;
    return () => {
      Object.assign(Atomics, original);
      performance.now = now;
    };
  }

  #notify(index: number): void {
    for (const word of [ASLEEP, ASLEEP + 1, ARMED, ARMED + 1]) {
      if (load(this.#control, word) === index + 1) store(this.#control, word, 0);
    }
  }

  /** Where there is a choice, the other thread may go on now. */
  #point(): void {
    const control = this.#control;
    if (add(control, STEPS, 1) > STEPS_MAX) this.fail("it never ends");
    if (this.#side === 1 && add(control, LIVED, 1) + 1 === load(control, DIES)) {
      this.#died = true;
      throw new Died();
    }
    if (load(control, LEFT) === 0 || !this.#canRun(this.#other)) return;
    const at = add(control, AT, 1);
    if (at === load(control, LENGTH)) this.#memory.trail[add(control, LENGTH, 1)] = 0;
    if (this.#memory.trail[at] === 0) return;
    add(control, LEFT, -1);
    this.#switch();
  }

  /** Until it is woken; for `ms` where the other is dead. */
  #block(on: number, ms: number): void {
    if (on === 0) return;
    if (!this.alone) {
      store(this.#control, ASLEEP + this.#side, on);
      if (!this.#canRun(this.#other)) this.fail("both sleep: a wake-up was lost");
      this.#switch();
    }
    if (this.alone) this.#now += ms;
  }

  #canRun(side: 0 | 1): boolean {
    return load(this.#control, DONE + side) === 0 && load(this.#control, ASLEEP + side) === 0;
  }

  #switch(): void {
    this.#handOver();
    this.#waitFor(TURN, this.#other);
    if (load(this.#control, FAILED) !== 0) throw new Stopped();
  }

  #handOver(): void {
    store(this.#control, TURN, this.#other);
    notify(this.#control, TURN);
  }

  /** The first thread may begin the next run once the second one touches nothing of this one. */
  #endRun(): void {
    if (this.#side === 0) return void this.#waitFor(OVER, 0);
    store(this.#control, OVER, 1);
    notify(this.#control, OVER);
  }

  #waitFor(word: number, old: number): number {
    while (load(this.#control, word) === old) {
      if (wait(this.#control, word, old, GONE_MS) === "timed-out") throw new Error("It is gone");
    }
    return load(this.#control, word);
  }

  #note(why: string): void {
    if (load(this.#control, FAILED) !== 0) return;
    const { written } = new TextEncoder().encodeInto(why, new Uint8Array(1024));
    const bytes = new TextEncoder().encode(why).subarray(0, written);
    this.#memory.text.set(bytes);
    store(this.#control, FAILED, bytes.length);
  }

  #failure(runs: number): string {
    return `run ${runs}: ` +
      new TextDecoder().decode(this.#memory.text.slice(0, load(this.#control, FAILED)));
  }
}
