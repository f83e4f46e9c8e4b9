/** Python's `socket` as the peer, over the kernel's loopback. */
import "../../vm/in_guest.ts";
import { after, before } from "node:test";
import { VMADDR_CID_LOCAL } from "../../../ffi/abi/vm_sockets.ts";
import { openVsock } from "../../../src/kernel/transport.ts";
import { LocalPython, whyNoPython } from "../../interop/python.ts";
import { testPython } from "../../interop/python_cases.ts";

const skip = whyNoPython();
const transport = openVsock();
let python: LocalPython;
before(() => {
  if (skip === false) python = new LocalPython();
});
after(() => python?.[Symbol.dispose]());

const local = { here: VMADDR_CID_LOCAL, there: VMADDR_CID_LOCAL };
testPython("AF_VSOCK", skip, () => ({ python, transport, ...local }));
