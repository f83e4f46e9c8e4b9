/** The guest's end of `control_test.ts`: says who it is, then all that it hears, up to "end". */
import process from "node:process";
import { ControlGuest } from "./control_guest.ts";

using control = new ControlGuest();
await control.send({ runtime: process.argv[2] });
for await (const message of control) {
  if (message === "end") break;
  await control.send(message);
}
