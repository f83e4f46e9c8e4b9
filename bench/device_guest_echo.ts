/**
 * The echo behind vsock_loopback, in a thread of its own.
 *
 * @module
 */
import "../tests/vm/in_guest.ts";
import { parentPort } from "node:worker_threads";
import { listen } from "../mod.ts";
import { DEVICE_PORTS, echoAll } from "./device_ports.ts";

using listener = listen({ cid: 1, port: DEVICE_PORTS.echo });
parentPort?.postMessage("listening");
await echoAll(listener);
