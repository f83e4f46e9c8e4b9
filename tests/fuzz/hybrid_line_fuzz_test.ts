/**
 * Whatever a peer of a hybrid handshake writes, in whatever pieces: no hang, no growth, one error.
 * `VSOCKIT_SEED` replays a run, `VSOCKIT_RUNS` makes more.
 */
import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { MSG_PEEK } from "../../ffi/abi/socket.ts";
import { SysError } from "../../ffi/errno.ts";
import { LINE_MAX, LineReader, parseConnect, parseOk } from "../../src/hybrid/line.ts";
import { seeded } from "../../src/loopback/random.ts";
import { WOULD_BLOCK } from "../../src/socket.ts";

const RUNS = Number(process.env["VSOCKIT_RUNS"] ?? 50_000);
const SEED = Number(process.env["VSOCKIT_SEED"] ?? Math.floor(Math.random() * 2 ** 32));
const U32_MAX = 4294967295;
const WORDS = [
  "OK",
  "ok",
  " ",
  "\n",
  "\r",
  "CONNECT",
  "connect",
  "1024",
  "4294967295",
  "4294967296",
];
WORDS.push("-1", "0x10", "\0", "\xff", "OK 5\n", "CONNECT 7\n", "9".repeat(40), "OK 1\nOK 2\n");

/** A stream that gives `data` in pieces, and ends. */
class Pieces {
  taken = 0;
  calls = 0;
  readonly #data: Uint8Array;
  readonly #random: () => number;
  #arrived = 0;

  constructor(data: Uint8Array, random: () => number) {
    this.#data = data;
    this.#random = random;
  }

  recv(buffer: Uint8Array, flags: number): number {
    this.calls++;
    if (this.taken === this.#data.length) return 0;
    if (this.#arrived === this.taken) {
      this.#arrived += Math.floor(this.#random() * 12);
      this.#arrived = Math.min(this.#arrived, this.#data.length);
      return WOULD_BLOCK;
    }
    const end = Math.min(this.taken + buffer.length, this.#arrived);
    const piece = this.#data.subarray(this.taken, end);
    buffer.set(piece);
    if ((flags & MSG_PEEK) === 0) this.taken += piece.length;
    return piece.length;
  }
}

/** A text of words, or of any bytes. */
function input(random: () => number): Uint8Array {
  if (random() < 0.3) {
    return Uint8Array.from({ length: Math.floor(random() * 80) }, () => Math.floor(random() * 256));
  }
  let text = "";
  while (random() < 0.75) text += WORDS[Math.floor(random() * WORDS.length)];
  return Uint8Array.from(text, (char) => char.charCodeAt(0));
}

function check(data: Uint8Array, random: () => number): void {
  const [source, reader] = [new Pieces(data, random), new LineReader()];
  const end = data.indexOf(0x0a);
  let line: string | undefined | null;
  try {
    while ((line = reader.read(source)) === undefined) assert(source.calls < 5_000, "it hangs");
  } catch (error) {
    assert(error instanceof SysError && error.code === "EPROTO", String(error));
    assertEquals(source.taken, LINE_MAX);
    assert(end < 0 || end >= LINE_MAX, "a line that fits was refused");
    return;
  }
  if (line === null) {
    assert(end < 0 && data.length < LINE_MAX, "a line was lost");
    return;
  }
  assertEquals(line, String.fromCharCode(...data.subarray(0, end)));
  assertEquals(source.taken, end + 1, "bytes behind the line were taken");
  for (const port of [parseOk(line), parseConnect(line)]) {
    assert(port === undefined || (Number.isInteger(port) && port >= 0 && port <= U32_MAX));
  }
}

test("LineReader takes any bytes in any pieces, and not one behind the line", () => {
  for (let run = 0; run < RUNS; run++) {
    const seed = (SEED + run) >>> 0;
    const random = seeded(seed);
    try {
      check(input(random), random);
    } catch (cause) {
      throw new Error(`VSOCKIT_SEED=${seed} VSOCKIT_RUNS=1 replays this`, { cause });
    }
  }
});

test("parseOk() and parseConnect() read what VMMs and hosts say", () => {
  assertEquals(["OK 5001", "OK 4294967295", "OK", "OK 1\r"].map(parseOk), [
    5001,
    U32_MAX,
    U32_MAX,
    1,
  ]);
  for (const line of ["", "ok 1", "OK ", "OK 4294967296", "OK 1 2", "NOK 1", "OK -1"]) {
    assertEquals(parseOk(line), undefined, line);
  }
  assertEquals(["CONNECT 7", "connect 0", "Connect 4294967295"].map(parseConnect), [7, 0, U32_MAX]);
  for (
    const line of ["", "CONNECT", "CONNECT 4294967296", "CONNECT  1", "CONNECT 1\r", "LISTEN 1"]
  ) {
    assertEquals(parseConnect(line), undefined, line);
  }
});

test("LineReader.read() takes nothing for a line that another reader was faster with", () => {
  for (const [came, told] of [[WOULD_BLOCK, undefined], [0, null]] as const) {
    const reader = new LineReader();
    const answers = [3, came];
    assertEquals(reader.read({ recv: () => answers.shift()! }), told);
    assertEquals([reader.text, answers], ["", []]);
  }
});
