/** Run by duplex_test.ts: prints what its listeners throw, which nothing may swallow. */
import { once } from "node:events";
import { createServer } from "node:http";
import process from "node:process";
import { toDuplex } from "../../../src/http/duplex.ts";
import { openPair } from "../../helpers/pair.ts";

process.on("uncaughtException", (error) => console.log(`uncaught: ${error.message}`));

function fail(what: string): never {
  throw new Error(what);
}

{
  using pair = await openPair();
  const [near, far] = [toDuplex(pair.near), toDuplex(pair.far)];
  const told = once(far, "data");
  far.on("data", (data) => fail(`data ${data}`));
  near.write("a", () => fail("written"));
  await told;
  near.end("b");
  await once(far, "end");
}
{
  using pair = await openPair();
  const [near, far] = [toDuplex(pair.near), toDuplex(pair.far)];
  const server = createServer(() => fail("request"));
  server.on("clientError", ({ message }) => console.log(`client error: ${message}`));
  server.emit("connection", far);
  near.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  await once(process, "uncaughtException");
  far.destroy();
}
