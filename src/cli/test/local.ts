/**
 * Both ends in this process, over a loopback; the control socket is TCP all the same.
 *
 * @module
 */
import { createLoopback } from "../../loopback/mod.ts";
import type { Transport } from "../../transport.ts";
import { orAborted } from "../../wait/waiting.ts";
import type { Mode } from "./case.ts";
import { connectControl, type Control, ControlListener } from "./control.ts";
import { End } from "./end.ts";
import type { TestOptions } from "./options.ts";
import { runTests, type Tally } from "./run.ts";

const LOCALHOST = "127.0.0.1";

/** Runs both ends; prints what the client prints. Where one end fails, the other one ends too. */
export async function runLocally(
  { peerPort, chosen }: Pick<TestOptions, "peerPort" | "chosen">,
  print: (text: string) => void,
  transport: Transport = createLoopback(),
): Promise<Tally> {
  const peer = { cid: transport.localCid, port: peerPort };
  const failed = new AbortController();
  const { signal } = failed;
  using listener = await ControlListener.open(LOCALHOST, 0);
  const run = async (mode: Mode, opening: Promise<Control>): Promise<Tally> => {
    try {
      await using control = await opening;
      const end = new End({ mode, transport, peer, control, signal });
      return await runTests(end, chosen, mode === "client" ? print : (): void => {});
    } catch (cause) {
      const message = cause instanceof Error ? cause.message : String(cause);
      failed.abort(new Error(`${mode}: ${message}`, { cause }));
      throw signal.reason;
    }
  };
  const ends = [
    run("client", connectControl(LOCALHOST, listener.port)),
    run("server", orAborted(listener.accept(), signal)),
  ] as const;
  await Promise.allSettled(ends);
  return await ends[0];
}
