/** A far end in a guest: the kernel's sockets, driven through the control port. */
import "./in_guest.ts";
import { openVsock } from "../../src/kernel/transport.ts";
import { serveMessages } from "../conformance/message_channel.ts";
import { ControlGuest } from "./control_guest.ts";

using control = new ControlGuest();
await serveMessages(control, openVsock());
