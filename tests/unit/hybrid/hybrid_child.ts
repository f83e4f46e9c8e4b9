/** Run by hybrid_test.ts: a VMM that is given up on, and does not keep this process alive. */
import process from "node:process";
import { connect, createVmm, listen } from "../../../mod.ts";

const path = process.argv[2] ?? "";
using vmm = createVmm(path, { faults: { delayMs: 3_600_000 } });
using _agent = listen({ cid: 3, port: 1024 }, { transport: vmm.guest });
const failure = await connect({ path, port: 1024 }, { timeoutMs: 20 }).catch(({ code }) => code);
console.log(failure);
