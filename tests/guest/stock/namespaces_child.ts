/** A program of `namespaces_test.ts`, in a network namespace: what it finds of port `argv[2]`. */
import "../../vm/in_guest.ts";
import process from "node:process";
import { connect, listen, listSockets, probe, VMADDR_PORT_ANY, VsockError } from "../../../mod.ts";

const there = { cid: 1, port: Number(process.argv[2]) };

/** Whether somebody listens; the errno where not. */
async function reach(port: number): Promise<string> {
  try {
    (await connect({ cid: 1, port }, { transport: "vsock" })).close();
    return "connected";
  } catch (error) {
    if (error instanceof VsockError) return error.code;
    throw error;
  }
}

/** Whether the port is free. */
function take(): string {
  try {
    listen(there, { transport: "vsock" }).close();
    return "free";
  } catch (error) {
    if (error instanceof VsockError) return error.code;
    throw error;
  }
}

using own = listen({ cid: 1, port: VMADDR_PORT_ANY }, { transport: "vsock" });
console.log(JSON.stringify({
  mode: probe(["ns_mode"]).get("ns_mode")?.value,
  parent: await reach(there.port),
  own: await reach(own.addr.port),
  port: take(),
  listed: listSockets().map(({ local }) => local.port).includes(there.port),
}));
