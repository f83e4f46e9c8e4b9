// SPDX-License-Identifier: GPL-2.0-only
/*
 * What zero-copy receive must never do: leak pages, show memory that is not the
 * receiver's, lose bytes, or upset the kernel. Runs as root in a guest whose
 * AF_VSOCK has it, over the loopback (CID 1); prints TAP.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <string.h>
#include <sys/klog.h>
#include <sys/wait.h>
#include "selftest.h"

const char *test;

static void kernel_log(void)
{
	static const char *const bad[] = {
		"BUG", "WARNING", "Oops", "KASAN", "possible circular", "inconsistent lock",
		"general protection", "Bad page", "suspicious RCU", "rcu_sched", "Call Trace",
	};
	static char log[1 << 20];
	int n = klogctl(3, log, sizeof(log) - 1);

	CHECK(n >= 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		char *at = strstr(log, bad[i]);

		if (at)
			printf("# %.2000s\n", at);
		CHECK(!at);
	}
}

int main(int argc, char **argv)
{
	static const struct {
		void (*body)(void);
		const char *promise;
	} tests[] = {
		{ layout, "packets lie as the cover letter shows, zeros behind each" },
		{ continued, "a packet goes on in the next batch, EOM and EOR with its last piece" },
		{ mixed, "recv(2) and MAP_RX in turn bring every byte in order" },
		{ glued, "small packets share a page, zeros behind" },
		{ collapsed, "a queue that the kernel has collapsed can be mapped" },
		{ poll_value, "poll_value follows the queue, SO_RCVLOWAT and shutdown" },
		{ credit, "the sender gets its credit back" },
		{ refusals, "bad calls are refused, errno by errno" },
		{ busy_slot, "a slot in use refuses the batch and nothing is lost or left behind" },
		{ zerocopy_sender, "a MSG_ZEROCOPY sender's own pages are never mapped" },
		{ forked, "a child has no part of the mapping, or slots of its own" },
		{ unmapped, "parts of the mapping can be unmapped early" },
		{ closed, "close(2) leaves mapped pages readable, the end comes with munmap(2)" },
		{ killed, "kill -9 of a process with pages mapped ends the connection" },
		{ reset, "a reset leaves what was queued, then the end" },
		{ raced, "MAP_RX, madvise, recv, mmap and every way to end can race" },
		{ leaks, "no page is lost in 10,000 batches and 666 early ends" },
		{ kernel_log, "the kernel has no complaint" },
	};
	int failed = 0, count = sizeof(tests) / sizeof(*tests);

	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGPIPE, SIG_IGN);
	printf("1..%d\n", count);
	for (int i = 0; i < count; i++) {
		int status;

		if (argc > 1 && !strstr(tests[i].promise, argv[1]))
			continue;
		test = tests[i].promise;
		/* A process of its own: whatever it holds ends with it. */
		pid_t child = fork();

		if (!child) {
			alarm(300);
			tests[i].body();
			_exit(0);
		}
		waitpid(child, &status, 0);
		if (WIFSIGNALED(status))
			printf("not ok - %s: signal %d\n", test, WTERMSIG(status));
		if (status)
			failed = 1;
		else
			printf("ok - %s\n", test);
	}
	return failed;
}
