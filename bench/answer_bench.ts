/**
 * 64 bytes there and back, each end waiting before they come: our connections against `node:net`.
 *
 * @module
 */
import { connect as connectNet } from "node:net";
import { connect } from "../src/connect.ts";
import { childCommand } from "../tests/helpers/child.ts";
import { TempFolder } from "../tests/helpers/temp_folder.ts";
import { answer, type Api } from "./answer_echo.ts";
import type { Bench, Round } from "./bench.ts";
import { start } from "./running.ts";

const BYTES = 64;
const [WARMUP, MEASURED] = [3_000, 15_000];
const ECHO = new URL("./answer_echo.ts", import.meta.url);

/** Asks, one question at a time. */
interface Asker extends Disposable {
  /** Resolves once the whole answer to `question` has come: the answer. */
  ask(question: Uint8Array): Promise<Uint8Array>;
}

async function openOurs(path: string): Promise<Asker> {
  const conn = await connect({ path });
  const got = new Uint8Array(BYTES);
  return {
    async ask(question) {
      await conn.write(question);
      for (let length = 0; length < BYTES;) {
        length += await conn.read(length === 0 ? got : got.subarray(length)) ?? BYTES;
      }
      return got;
    },
    [Symbol.dispose]: () => conn.close(),
  };
}

function openNet(path: string): Promise<Asker> {
  return new Promise((resolve, reject) => {
    const got = new Uint8Array(BYTES);
    let [length, answered] = [0, (_: Uint8Array): void => {}];
    const socket = connectNet({ path });
    socket.on("error", reject);
    socket.on("data", (data: Uint8Array) => {
      got.set(data, length);
      length += data.length;
      if (length < BYTES) return;
      length = 0;
      answered(got);
    });
    socket.on("connect", () =>
      resolve({
        ask: (question) =>
          new Promise((resolve) => {
            answered = resolve;
            socket.write(question);
          }),
        [Symbol.dispose]: () => socket.destroy(),
      }));
  });
}

/** Answers from this event loop. */
async function withLoop<T>(api: Api, use: (path: string) => Promise<T>): Promise<T> {
  using folder = new TempFolder();
  const path = folder.path("unix");
  using _server = await answer(api, path);
  return await use(path);
}

/** Answers from another process. */
async function withProcess<T>(api: Api, use: (path: string) => Promise<T>): Promise<T> {
  using folder = new TempFolder();
  const path = folder.path("unix");
  const server = start([...childCommand(ECHO), "answer", api, path]);
  try {
    await server.line();
    return await use(path);
  } finally {
    server.child.kill();
    await server.ended.catch(() => {}); // killed
  }
}

function open(api: Api, path: string): Promise<Asker> {
  return api === "ours" ? openOurs(path) : openNet(path);
}

/** Answers a second. */
async function rate(api: Api, path: string): Promise<number> {
  using asker = await open(api, path);
  const question = new Uint8Array(BYTES).fill(7);
  for (let i = 0; i < WARMUP; i++) await asker.ask(question);
  const begin = performance.now();
  for (let i = 0; i < MEASURED; i++) await asker.ask(question);
  return MEASURED / (performance.now() - begin) * 1_000;
}

async function proveAnswers(api: Api, path: string): Promise<void> {
  using asker = await open(api, path);
  for (let turn = 0; turn < 10; turn++) {
    const question = Uint8Array.from({ length: BYTES }, (_, index) => index * turn);
    const got = await asker.ask(question);
    const wrong = got.findIndex((byte, index) => byte !== question[index]);
    if (wrong >= 0) throw new Error(`${api}: byte ${wrong} came back as ${got[wrong]}`);
  }
}

const row = { peerIs: "AF_UNIX, node:net", unit: "1/s" } as const;

/** How soon a connection that waits has its answer. */
export const answers: Bench = {
  rounds: 5,
  async prove(): Promise<void> {
    for (const api of ["ours", "net"] as const) {
      await withLoop(api, (path) => proveAnswers(api, path));
      await withProcess(api, (path) => proveAnswers(api, path));
    }
  },
  async round(): Promise<Round> {
    const values: Record<string, number> = {};
    for (const api of ["ours", "net"] as const) {
      values[`${api}-loop`] = await withLoop(api, (path) => rate(api, path));
      values[`${api}-process`] = await withProcess(api, (path) => rate(api, path));
    }
    return values;
  },
  rows: [{
    ...row,
    name: "answers",
    what: "Unix socket, 64 B there and back",
    ours: "ours-process",
    peer: "net-process",
    target: { atLeast: 1 },
    note: "two processes, both ends of the same kind, each waits before the bytes come",
  }, {
    ...row,
    name: "answers-loop",
    what: "the same, in one event loop",
    ours: "ours-loop",
    peer: "net-loop",
  }],
};
