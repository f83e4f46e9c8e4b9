/** Python's `socket` in a guest as the peer of the device. */
import { after, before } from "node:test";
import { VMADDR_CID_HOST } from "../../ffi/abi/vm_sockets.ts";
import { PEER, Python, whyNoPython } from "../interop/python.ts";
import { testPython } from "../interop/python_cases.ts";
import { GUEST_CID, Host } from "./booted.ts";

const skip = whyNoPython();
let host: Host;
let python: Python;
before(async () => {
  if (skip !== false) return;
  host = await Host.open();
  await host.boot({ control: host.control.path, command: PEER });
  python = new Python(host.control);
});
after(() => host?.[Symbol.asyncDispose]());

testPython("device", skip, () => {
  return { python, transport: host.device, here: VMADDR_CID_HOST, there: GUEST_CID };
});
