/** What callbacks leave uncaught, which would end the process of a test. */
export class Uncaught implements Disposable {
  /** The messages of what was thrown in microtasks since. */
  readonly messages: string[] = [];
  readonly #real = globalThis.queueMicrotask;

  constructor() {
    globalThis.queueMicrotask = (callback) =>
      this.#real.call(globalThis, () => this.#run(callback));
  }

  #run(callback: () => void): void {
    try {
      callback();
    } catch (error) {
      this.messages.push((error as Error).message);
    }
  }

  [Symbol.dispose](): void {
    globalThis.queueMicrotask = this.#real;
  }
}
