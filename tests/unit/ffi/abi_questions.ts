/**
 * Every size, offset, constant and errno that `ffi/` states, as questions to a C compiler. What a
 * module exports is what is asked; the headers are those that its doc comment names as
 * `<header.h>`.
 */
import { readdirSync, readFileSync } from "node:fs";
import { CMSG_ALIGN, CMSG_LEN, CMSG_SPACE } from "../../../ffi/abi/socket.ts";
import { vring_need_event } from "../../../ffi/abi/virtio_ring.ts";
import { ERRNO } from "../../../ffi/errno.ts";
import type { Layout } from "../../../ffi/layout.ts";
import { ringBytes } from "../../../src/virtio/split_ring.ts";

const ABI = new URL("../../../ffi/abi/", import.meta.url);

/** What no installed header has, by module, and why. */
const WITHOUT_HEADER: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  "virtio_vsock.ts": {
    VIRTIO_VSOCK_MAX_PKT_BUF_SIZE: "from include/linux, which the kernel keeps to itself",
  },
  "virtio_vsock_usr.ts": {
    SO_VM_SOCKETS_MAP_RX: "v3 of the patches, never merged",
    SO_VM_SOCKETS_ZEROCOPY: "v3 of the patches, never merged",
    POLL_VALUE_EMPTY: "named here: the cover letter gives the number only",
    POLL_VALUE_DATA: "named here: the cover letter gives the number only",
    POLL_VALUE_CLOSED: "named here: the cover letter gives the number only",
    USR_PAGE_SIZE: "named here: the page size of the cover letter's examples",
    USR_HDR_MAX: "named here: follows from the two structs",
  },
};

/** The cover letter's own declarations. */
const RFC_STRUCTS = `
  struct virtio_vsock_usr_hdr_pref { uint32_t poll_value; uint32_t hdr_num; }
    __attribute__((packed));
  struct virtio_vsock_usr_hdr { uint32_t length; uint32_t flags; } __attribute__((packed));
`;

/** One number. */
export interface Question {
  /** Where the number comes from, for the message of a failing test. */
  readonly what: string;
  readonly expression: string;
  readonly ours: number;
}

/** What one file of C is asked. */
export interface Unit {
  readonly module: string;
  readonly headers: readonly string[];
  readonly questions: readonly Question[];
}

function layoutQuestions({ name, size, align, at, sizes }: Layout<string>): Question[] {
  return [
    { what: `sizeof ${name}`, expression: `sizeof(${name})`, ours: size },
    { what: `_Alignof ${name}`, expression: `_Alignof(${name})`, ours: align },
    ...Object.entries(at).map(([member, ours]) => ({
      what: `${name}.${member}`,
      expression: `offsetof(${name}, ${member})`,
      ours,
    })),
    ...Object.entries(sizes).map(([member, ours]) => ({
      what: `sizeof ${name}.${member}`,
      expression: `sizeof(((${name} *)0)->${member})`,
      ours,
    })),
  ];
}

async function abiUnit(module: string): Promise<Unit> {
  const source = readFileSync(new URL(module, ABI), "utf8");
  const comment = source.slice(0, source.indexOf("*/"));
  const headers = [...comment.matchAll(/<([\w/.]+\.h)>/g)].map(([, header]) => String(header));
  const exported: Record<string, unknown> = await import(new URL(module, ABI).href);
  const questions: Question[] = [];
  for (const [name, value] of Object.entries(exported)) {
    if (typeof value === "object") questions.push(...layoutQuestions(value as Layout<string>));
    if (typeof value !== "number" || WITHOUT_HEADER[module]?.[name] !== undefined) continue;
    questions.push({ what: name, expression: name, ours: value });
  }
  return { module, headers, questions };
}

function errnoUnit(): Unit {
  const questions = Object.entries(ERRNO).map(([name, ours]) => ({
    what: name,
    expression: name,
    ours,
  }));
  return { module: "errno.ts", headers: ["errno.h"], questions };
}

function cmsgUnit(): Unit {
  const macros = { CMSG_ALIGN, CMSG_LEN, CMSG_SPACE };
  const questions = Object.entries(macros).flatMap(([name, ours]) =>
    [0, 1, 7, 8, 9, 28].map((n) => {
      const expression = `${name}(${n})`;
      return { what: expression, expression, ours: ours(n) };
    })
  );
  return { module: "socket.ts (macros)", headers: ["sys/socket.h"], questions };
}

/** Functions of a header, which a compiler alone does not answer: a program does. */
export function vringUnit(): Unit {
  const sizes = [1, 4, 128, 32768].map((num) => {
    const { desc, avail, used } = ringBytes(num);
    const padding = (4 - (desc + avail) % 4) % 4;
    return { expression: `vring_size(${num}, 4)`, ours: desc + avail + padding + used };
  });
  const edges = [0, 1, 2, 32767, 32768, 65534, 65535];
  const events = edges.flatMap((event) =>
    edges.flatMap((idx) =>
      edges.map((old) => ({
        expression: `vring_need_event(${event}, ${idx}, ${old})`,
        ours: Number(vring_need_event(event, idx, old)),
      }))
    )
  );
  const questions = [...sizes, ...events].map((asked) => ({ what: asked.expression, ...asked }));
  return { module: "virtio_ring.ts (functions)", headers: ["linux/virtio_ring.h"], questions };
}

/** All that a compiler can answer without a program that runs. */
export async function constantUnits(): Promise<Unit[]> {
  const modules = readdirSync(ABI).filter((name) => name.endsWith(".ts")).sort();
  return [...await Promise.all(modules.map(abiUnit)), errnoUnit(), cmsgUnit()];
}

/** What a file of C that asks `unit` begins with. */
export function preambleOf({ headers }: Unit): string {
  const common = ["stddef.h", "stdint.h", "stdio.h", "time.h", "sys/ioctl.h", "sys/socket.h"];
  const includes = [...common, ...headers].map((header) => `#include <${header}>\n`).join("");
  return includes + (headers.length === 0 ? RFC_STRUCTS : "");
}
