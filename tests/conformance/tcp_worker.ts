/** The far end of `tcp_test.ts`: sockets of TCP in a thread of their own. */
import { type MessagePort, parentPort } from "node:worker_threads";
import { openTcpAsVsock } from "./tcp_as_vsock.ts";
import { serveThrough } from "./worker_channel.ts";

serveThrough(parentPort as MessagePort, openTcpAsVsock(), () => {});
