/**
 * Connecting to a process that has only just been started.
 *
 * @module
 */
import type { TcpAddress } from "../../src/address.ts";
import type { Conn } from "../../src/conn.ts";
import { connect } from "../../src/connect.ts";
import { VsockError } from "../../src/error.ts";

const AGAIN_MS = 20;

/** Connects once somebody listens. */
export async function reach(address: TcpAddress): Promise<Conn<TcpAddress>> {
  for (;;) {
    try {
      return await connect(address);
    } catch (error) {
      if (!(error instanceof VsockError) || error.code !== "ECONNREFUSED") throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
  }
}
