/** The far end of `conformance_test.ts`: kernel sockets of a thread of their own. */
import "../vm/in_guest.ts";
import { type MessagePort, parentPort } from "node:worker_threads";
import { openVsock } from "../../src/kernel/transport.ts";
import { serveThrough } from "../conformance/worker_channel.ts";

serveThrough(parentPort as MessagePort, openVsock(), () => {});
