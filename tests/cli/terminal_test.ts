/** The commands as people meet them: in a terminal. */
import { test } from "node:test";
import { assertEquals, assertNotMatch, assertStringIncludes } from "@std/assert";
import { NO_TMUX, Tmux } from "./tmux.ts";

const OPTIONS = { timeout: 180_000, skip: NO_TMUX };

test("doctor is coloured in a terminal, and plain with NO_COLOR", OPTIONS, async () => {
  using terminal = new Tmux();
  terminal.type("vsockit doctor runtime epoll; echo code=$?");
  await terminal.sees(/code=0/);
  assertStringIncludes(terminal.screen(), "\x1b[32myes\x1b[39m  runtime ");
  terminal.type("clear; NO_COLOR=1 vsockit doctor runtime epoll; echo plain=$?");
  await terminal.sees(/plain=0/);
  assertEquals(terminal.screen().includes("\x1b"), false);
});

test("doctor has no colours in a pipe", OPTIONS, async () => {
  using terminal = new Tmux();
  terminal.type("vsockit doctor epoll | od -c | grep -c 033; echo code=$?");
  await terminal.sees(/\n0\ncode=1/);
});

test("ss prints a table, or its cause and cure", OPTIONS, async () => {
  using terminal = new Tmux();
  terminal.type("vsockit ss; echo code=$?");
  await terminal.sees(/(State +Type[^]*code=0|vsockit ss: Cannot [^]*modprobe vsock[^]*code=1)/);
});

test("completions are offered by the Tab of a terminal", OPTIONS, async () => {
  using terminal = new Tmux();
  terminal.type("source <(vsockit completions bash); clear; echo loa''ded");
  await terminal.sees(/^loaded/m);
  terminal.write("vsockit do");
  terminal.press("Tab");
  await terminal.sees(/vsockit doctor $/m);
  terminal.write("io_");
  terminal.press("Tab");
  await terminal.sees(/vsockit doctor io_uring $/m);
  terminal.press("Enter");
  await terminal.sees(/(yes|no ).* {2}io_uring {2}/);
});

test("cat --exec ends by the Ctrl-C of a terminal, and its command", OPTIONS, async () => {
  using server = new Tmux();
  using client = new Tmux();
  const address = `unix:${server.folder}/socket`;
  server.type(`vsockit cat -l -v -e 'sleep 600 & echo up >&2; wait' ${address}; echo code=$?`);
  await server.sees(/^listening on unix/m);
  client.type(`clear; vsockit cat ${address}; echo code=$?`);
  await server.sees(/^up$/m);
  server.press("C-c");
  await server.sees(/^\^Ccode=130$/m);
  await client.sees(/^code=0$/m);
});

test("cat talks between two terminals, line by line, until both end", OPTIONS, async () => {
  using server = new Tmux();
  using client = new Tmux();
  const address = `unix:${server.folder}/socket`;
  server.type(`vsockit cat -l -v ${address}; echo code=$?`);
  await server.sees(/^listening on unix/m);
  client.type(`clear; vsockit cat -v ${address}; echo code=$?`);
  await client.sees(/^connected to unix/m);
  client.type("hello there");
  await server.sees(/^hello there$/m);
  server.type("hello back");
  await client.sees(/^hello back$/m);
  client.press("C-d");
  server.type("still heard");
  await client.sees(/^still heard$/m);
  server.press("C-d");
  await client.sees(/^code=0$/m);
  await server.sees(/^code=0$/m);
});

test("cat ends on Ctrl-C with 130, and removes its path", OPTIONS, async () => {
  using terminal = new Tmux();
  terminal.type("vsockit cat -l -v unix:socket; echo code=$? $(ls)");
  await terminal.sees(/^listening on/m);
  terminal.press("C-c");
  await terminal.sees(/^(\^C)?code=130 tmux$/m);
});

test("cat shows what has moved where it disturbs nobody", OPTIONS, async () => {
  using terminal = new Tmux();
  terminal.type("mkfifo open; exec 9<>open; head -c 5000000 /dev/zero > zeros; clear");
  terminal.type("vsockit cat -l -v unix:socket < /dev/null > got 2> said &");
  terminal.type("until grep -q listening said; do :; done; clear; echo rea''dy");
  await terminal.sees(/^ready/m);
  terminal.type("cat zeros > open & vsockit cat unix:socket < open > /dev/null");
  await terminal.sees(/4\.8 MiB sent, 0 B received/);
  terminal.press("C-c");
  await terminal.sees(/\n\$ \s*$/); // else the echo of what is typed would be in the way
  terminal.type("echo code=$?");
  await terminal.sees(/^code=130$/m);
  assertNotMatch(terminal.screen(), /received/);
});

test("cat shows nothing of it where its output is a terminal", OPTIONS, async () => {
  using terminal = new Tmux();
  terminal.type("vsockit cat -l -v unix:socket < /dev/null; echo code=$?");
  await terminal.sees(/^listening on/m);
  using other = new Tmux();
  other.type(`echo one line | vsockit cat unix:${terminal.folder}/socket; echo code=$?`);
  await other.sees(/^code=0$/m);
  await terminal.sees(/^one line\ncode=0$/m);
  assertNotMatch(terminal.screen() + other.screen(), /received/);
});

test(
  "proxy connects two terminals, drains on Ctrl-C, and cuts on the second",
  OPTIONS,
  async () => {
    using proxy = new Tmux();
    using server = new Tmux();
    using client = new Tmux();
    const [at, to] = [`unix:${proxy.folder}/at`, `unix:${proxy.folder}/to`];
    server.type(`vsockit cat -l -v ${to}; echo code=$?`);
    await server.sees(/^listening on unix/m);
    proxy.type(`vsockit proxy -v ${at} ${to}; echo code=$? $(ls)`);
    await proxy.sees(/^listening on \S+\/at$/m);
    client.type(`clear; vsockit cat -v ${at}; echo code=$?`);
    await client.sees(/^connected to unix/m);
    client.type("hello there");
    await server.sees(/^hello there$/m);
    server.type("hello back");
    await client.sees(/^hello back$/m);
    await proxy.sees(/^#1 a Unix socket to \S+\/to$/m);
    proxy.press("C-c");
    await proxy.sees(/draining: 1 connections$/m);
    client.type("still there");
    await server.sees(/^still there$/m);
    proxy.press("C-c");
    await proxy.sees(/^(\^C)?#1 a Unix socket closed after \d+ ms: 24 bytes there, 11 back/m);
    await proxy.sees(/^stopped: 1 connections cut\ncode=1 tmux$/m);
    await server.sees(/^code=/m);
    await client.sees(/^code=/m);
  },
);

test("proxy refuses to be open to all by accident, in one line", OPTIONS, async () => {
  using terminal = new Tmux();
  terminal.type("clear; vsockit proxy tcp:0.0.0.0:8080 vsock:3:80; echo code=$?");
  await terminal.sees(/vsockit proxy: [^\n]*--allow PEER[^]*code=2$/m);
});

test("device shows its QEMU, and ends on Ctrl-C without its paths", OPTIONS, async () => {
  using terminal = new Tmux();
  terminal.type("clear; vsockit device -s vhost.sock -c 3 -u v.sock; echo code=$? $(ls)");
  await terminal.sees(/^guest 3 is reached by CONNECT at v\.sock\nguest 3 waits for its VMM/m);
  await terminal.sees(/path=vhost\.sock -device vhost-user-vsock-pci,chardev=vsock$/m);
  terminal.press("C-c");
  await terminal.sees(/^stopped: 0 connections cut\ncode=0 tmux$/m);
});
