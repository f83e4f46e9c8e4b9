/**
 * Answers on a Unix socket: what comes goes back, by our connections or by those of `node:net`.
 *
 * @module
 */
import { createServer } from "node:net";
import process from "node:process";
import { listen } from "../src/listen.ts";

/** By what either end is made. */
export type Api = "ours" | "net";

/** Answers every connection until it ends; the caller closes it. */
export function answer(api: Api, path: string): Promise<Disposable> {
  return api === "ours" ? Promise.resolve(answerOurs(path)) : answerNet(path);
}

function answerOurs(path: string): Disposable {
  const listener = listen({ path });
  const serve = async (): Promise<void> => {
    for await (const conn of listener) {
      void (async () => {
        const buffer = new Uint8Array(4096);
        for (let n; (n = await conn.read(buffer)) !== null;) {
          await conn.write(buffer.subarray(0, n));
        }
        conn.close();
      })();
    }
  };
  void serve();
  return listener;
}

function answerNet(path: string): Promise<Disposable> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.on("data", (data) => socket.write(data)));
    server.on("error", reject);
    server.listen(path, () => resolve({ [Symbol.dispose]: () => void server.close() }));
  });
}

if (process.argv[2] === "answer") {
  await answer(process.argv[3] as Api, process.argv[4] ?? "");
  process.stdout.write("up\n");
}
