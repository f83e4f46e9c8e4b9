/**
 * Socket options, set and read back.
 *
 * @module
 */
import type { Socket } from "../../socket.ts";
import { getOption, setOption, type Sockopt } from "../../sockopt.ts";
import { expect } from "./check.ts";

/** setsockopt(2), then getsockopt(2), which must give the same: `setsockopt_ull_check()`. */
export function setAndCheck(socket: Socket, option: Sockopt<number>, value: number): void {
  setOption(socket, option, value);
  expect(`option ${option.name} of level ${option.level}`, getOption(socket, option), value);
}
