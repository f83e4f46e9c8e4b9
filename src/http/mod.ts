/**
 * HTTP over connections of any transport: a server, {@linkcode serve}, and a fetch,
 * {@linkcode createFetch}, with the web's Request and Response; and a Duplex, {@linkcode toDuplex},
 * for everything else that wants a `net.Socket`. All of it is `node:http` underneath.
 *
 * Deno has the types of `node:` built in; elsewhere TypeScript finds them in the npm package
 * `@types/node`, or in `@types/bun`.
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
