/** The guest's end of `namespaces_test.ts`: how a connect to the host's port `argv[2]` ends. */
import "../vm/in_guest.ts";
import process from "node:process";
import { connect, VsockError } from "../../mod.ts";

const address = { cid: 2, port: Number(process.argv[2]) };
for (const transport of ["vsock", "auto"] as const) {
  try {
    (await connect(address, { transport })).close();
    console.log("connected");
  } catch (error) {
    if (!(error instanceof VsockError)) throw error;
    console.log(`${error.code}: ${error.hint}`);
  }
}
