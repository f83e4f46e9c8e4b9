/**
 * Whose turn it is to send to one guest: the host's, or that of other guests.
 *
 * @module
 */

/**
 * - `"unasked"`: nobody of the host was refused room.
 * - `"wanted"`: somebody was, and is to be told once there is some.
 * - `"given"`: all of them were told; what there is stays theirs until they have had a turn.
 * - `"given to some"`: likewise, and there was not enough to tell all of them.
 */
type Room = "unasked" | "wanted" | "given" | "given to some";

/** The turns of both, and the room that the host is given for one. */
export class RoomTurns {
  /** Whether what other guests have sent comes next. */
  othersNext = false;
  #room: Room = "unasked";

  /** Whether somebody of the host waits for room, or has been given some. */
  get asked(): boolean {
    return this.#room !== "unasked";
  }

  /** Whether somebody is to be told once there is room. */
  get wanted(): boolean {
    return this.#room === "wanted";
  }

  /** Whether `end()` is to be called once who was told of room has had a turn. */
  get given(): boolean {
    return this.#room === "given" || this.#room === "given to some";
  }

  /** Whether somebody was refused who has not been told of room since. */
  get untold(): boolean {
    return this.#room === "wanted" || this.#room === "given to some";
  }

  /** Somebody of the host was refused room: what was given is used. */
  refuse(): void {
    this.end();
    this.#room = "wanted";
  }

  /** Who was refused has been told, or some of them; `others` wait to send meanwhile. */
  give(all: boolean, others: boolean): void {
    if (!all) this.#room = "given to some";
    else this.#room = others ? "given" : "unasked";
  }

  /** Who was told has had a turn: other guests have theirs, then who was not told. */
  end(): void {
    if (!this.given) return;
    this.#room = this.untold ? "wanted" : "unasked";
    this.othersNext = true;
  }
}
