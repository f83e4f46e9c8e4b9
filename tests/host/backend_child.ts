/** A device in a process of its own, to be killed: it says so once it is connected to its guest. */
import process from "node:process";
import { VMADDR_CID_HOST } from "../../ffi/abi/vm_sockets.ts";
import { connect } from "../../src/connect.ts";
import { listen } from "../../src/listen.ts";
import { createVsockDevice } from "../../src/vhost_user/device.ts";
import { GUEST_CID, PORTS } from "./booted.ts";

const [socketPath = ""] = process.argv.slice(2);
const device = createVsockDevice({ socketPath, guestCid: GUEST_CID });
const up = listen({ cid: VMADDR_CID_HOST, port: PORTS.up }, { transport: device });
console.log("listening");
const accepted = await up.accept();
await accepted.read(new Uint8Array(1));
const conn = await connect({ cid: GUEST_CID, port: PORTS.echo }, { transport: device });
console.log("connected");
await Promise.all([accepted.read(new Uint8Array(1)), conn.read(new Uint8Array(1))]);
