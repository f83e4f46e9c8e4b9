import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { runChild } from "../../helpers/child.ts";

/** What a process prints that has nothing to do but wait: nothing, if the wait does not hold it. */
const CASES: Readonly<Record<string, string>> = {
  "open, nothing pending": "",
  "pending read": "recv EBADF\n",
  "pending read, unref'd": "",
  "pending read, unref'd and ref'd": "recv EBADF\n",
  "pending read with timeoutMs": "recv ETIMEDOUT\n",
  "pending read with timeoutMs, unref'd": "",
  "pending read, the error queue not empty": "recv EBADF\n",
  "pending read, the error queue not empty, unref'd": "",
  "pending write": "send EPIPE\n",
  "pending accept": "accept EBADF\n",
  "pending accept, unref'd": "",
};

for (const [name, printed] of Object.entries(CASES)) {
  const promise = printed === "" ? "does not keep" : "keeps";
  test(`Conn and Listener: ${name} ${promise} the process`, { timeout: 60_000 }, async () => {
    assertEquals(await runChild(new URL("./ref_child.ts", import.meta.url), [name]), printed);
  });
}
