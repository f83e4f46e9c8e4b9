/** Without leave to write: `no_writes_child.ts PATH` listens as the host of a VM behind PATH. */
import process from "node:process";
import { listen, openHybrid } from "../../../mod.ts";

const [path = ""] = process.argv.slice(2);
try {
  listen({ cid: 2, port: 1024 }, { transport: openHybrid(path) }).close();
} catch (error) {
  console.log(String(error));
}
