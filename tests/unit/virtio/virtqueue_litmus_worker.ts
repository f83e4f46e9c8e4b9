/**
 * The driver's side of a litmus test, in a Worker.
 *
 * @module
 */
import { parentPort, workerData } from "node:worker_threads";
import { type Litmus, runLitmus } from "./virtqueue_litmus.ts";

parentPort!.postMessage("ready");
parentPort!.postMessage(runLitmus(workerData as Litmus, false));
