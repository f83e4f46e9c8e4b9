/** Without any permission but FFI: `permission_child.ts PATH` listens there, and dials a name. */
import process from "node:process";
import { connect, listen, VsockError } from "../../../mod.ts";

const [path = ""] = process.argv.slice(2);

function codeAndHint(error: unknown): string {
  return error instanceof VsockError ? `${error.code}: ${error.hint}` : String(error);
}

listen({ path }).close(); // which may not unlink it
try {
  listen({ path }).close();
} catch (error) {
  console.log(codeAndHint(error));
}
await connect({ hostname: "localhost", port: 1 }).catch((error) => console.log(codeAndHint(error)));
