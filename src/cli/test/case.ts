/**
 * What a test is: a name, what the client does, what the server does.
 *
 * @module
 */
import type { End } from "./end.ts";

/** What one end does. Fails by throwing. */
export type Side = (end: End) => Promise<void>;

/** Which end of a run this is. */
export type Mode = "client" | "server";

/** One test of `vsock_test`. */
export interface TestCase {
  /** As C prints it. */
  readonly name: string;
  /** What the client does; nothing where the server is alone. */
  readonly client?: Side;
  /** What the server does; nothing where the client is alone. */
  readonly server?: Side;
  /** What an end does that needs the file descriptor of a socket. */
  readonly raw?: Readonly<Partial<Record<Mode, string>>>;
}
