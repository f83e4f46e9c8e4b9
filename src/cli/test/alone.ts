/**
 * One end of a run, its peer being elsewhere.
 *
 * @module
 */
import { POLLIN } from "../../../ffi/abi/poll.ts";
import type { Transport } from "../../transport.ts";
import { connectControl, type Control, ControlListener } from "./control.ts";
import { End } from "./end.ts";
import type { Role, TestOptions } from "./options.ts";
import { runTests, type Tally } from "./run.ts";

/** Runs one end over `transport`. */
export async function runAlone(
  role: Role,
  { peerPort, chosen }: Pick<TestOptions, "peerPort" | "chosen">,
  transport: Transport,
  print: (text: string) => void,
): Promise<Tally> {
  await warmUp(transport);
  await using control = await openControl(role, print);
  const peer = { cid: role.peerCid, port: peerPort };
  const end = new End({ mode: role.mode, transport, peer, control });
  return await runTests(end, chosen, print);
}

/**
 * The first wait may start a thread, for which a slow machine takes seconds: before the peer counts
 * its own.
 */
async function warmUp(transport: Transport): Promise<void> {
  using socket = transport.socket("stream");
  const over = new AbortController();
  const waiting = socket.wait(POLLIN, over.signal);
  over.abort();
  await waiting.catch(() => {});
}

async function openControl(
  { mode, controlHost, controlPort }: Role,
  print: (text: string) => void,
): Promise<Control> {
  if (mode === "client") {
    const control = await connectControl(controlHost, controlPort);
    print(`Control socket connected to ${controlHost}:${controlPort}.\n`);
    return control;
  }
  using listener = await ControlListener.open(controlHost, controlPort);
  print(`Control socket listening on ${controlHost}:${listener.port}\n`);
  const control = await listener.accept();
  print("Control socket connection accepted...\n");
  return control;
}
