/**
 * HTTP over connections of any transport: a server and a fetch with the web's Request and Response,
 * and a Duplex for everything else that wants a `net.Socket`. All of it is `node:http` underneath.
 *
 * TypeScript finds the types of `node:` in Deno and Bun by itself; for Node they are the npm
 * package `@types/node`.
 *
 * @module
 */
export { ConnDuplex, toDuplex } from "./duplex.ts";
export { createFetch, type FetchClient, type FetchOptions } from "./fetch.ts";
export {
  type HttpServer,
  serve,
  type ServeHandler,
  type ServeHandlerInfo,
  type ServeOptions,
} from "./serve.ts";
