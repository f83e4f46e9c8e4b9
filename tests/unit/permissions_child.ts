/** Narrows step by step, and prints what is still allowed. */
import { VsockError } from "../../src/error.ts";
import { permit, restrict } from "../../src/permissions.ts";

function may(cid: number, port: number): string {
  try {
    permit("connect", { cid, port }, undefined);
    return "ok";
  } catch (error) {
    if (error instanceof VsockError) return error.code;
    throw error;
  }
}

console.log(`5:1 ${may(5, 1)}`);
restrict(["5:*", "1:7"]);
console.log(`5:1 ${may(5, 1)}, 6:1 ${may(6, 1)}`);
restrict(["*:2", "*:7"]);
console.log(`5:1 ${may(5, 1)}, 5:2 ${may(5, 2)}`);
restrict("net");
console.log(`net: ${may(1, 7)}`);
