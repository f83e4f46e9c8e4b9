/**
 * A channel to a far end in another process or machine, and the far end's side of it.
 *
 * @module
 */
import type { Transport } from "../../src/transport.ts";
import type { Messages } from "../vm/json_lines.ts";
import { Calls, type FarChannel, type NumberedCall, type NumberedReply } from "./calls.ts";
import { serve } from "./far.ts";

/** The channel to whoever calls {@linkcode serveMessages}, once that is up. */
export function openMessageChannel(messages: Messages): FarChannel {
  const calls = new Calls();
  const post = (message: NumberedCall): void => {
    messages.send(message).catch((error) => calls.fail(`the far end is not reached: ${error}`));
  };
  const take = async (): Promise<void> => {
    for await (const message of messages) calls.settle(message as NumberedReply);
  };
  const gone = take().then(
    () => calls.fail("the far end is gone"),
    (error) => calls.fail(`the far end is gone: ${error}`),
  );
  return {
    channel: (call) => calls.send(call, post),
    end() {
      post({ id: 0 });
      return gone;
    },
  };
}

/** Serves the calls that come, until the end. */
export async function serveMessages(messages: Messages, transport: Transport): Promise<void> {
  const channel = serve(transport);
  for await (const message of messages) {
    const { id, call } = message as NumberedCall;
    if (call === undefined) return;
    void channel(call).then((reply) => messages.send({ id, reply } satisfies NumberedReply));
  }
}
