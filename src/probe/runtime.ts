/**
 * What runs this, and on what.
 *
 * @module
 */
import { cureOf, FfiUnavailableError } from "../../ffi/backend.ts";
import { MappedRegion, pageSize } from "../../ffi/memory.ts";
import { library } from "../../ffi/select.ts";
import { runtimeName } from "../../ffi/versions.ts";
import { os, process } from "../runtime/builtins.ts";
import { type Finding, type Look, no, yes } from "./finding.ts";

/** In the order they are told. */
export const RUNTIME_LOOKS: Readonly<Record<string, Look>> = {
  runtime: {
    about: "the runtime and its version",
    look: () => yes("it runs this", runtimeName()),
  },
  kernel: {
    about: "Linux and its release",
    look: () => process().platform === "linux" ? yes("it runs this", os().release()) : noLinux(),
  },
  ffi: { about: "calls of libc, as sockets need them", look: lookAtFfi },
  ffi_memory: {
    about: "memory of libc in place, as mappings need it",
    look(): Finding {
      using region = new MappedRegion(pageSize());
      region.lend(0, 1);
      return yes("a page was mapped and read");
    },
  },
  libc: {
    about: "libc, by the name it was opened by",
    look: () => yes("it was opened", library().name),
  },
};

function noLinux(): Finding {
  return no(`this is ${process().platform}`, "use Linux; the loopback works anywhere");
}

function lookAtFfi(): Finding {
  try {
    library();
    return yes("libc was opened");
  } catch (error) {
    if (error instanceof FfiUnavailableError) return no(error.message, cureOf(error));
    throw error;
  }
}
