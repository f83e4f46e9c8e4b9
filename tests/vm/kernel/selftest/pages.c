// SPDX-License-Identifier: GPL-2.0-only
/* Whether every page comes back. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include "selftest.h"

/* -DROUNDS=600 does for a kernel that checks itself, which is slow. */
#ifndef ROUNDS
#define ROUNDS	10000
#endif

/* Pages that are free or known to be somebody's: those of packets are neither.
 * What other processes do meanwhile moves pages from one to the other.
 */
static long known_pages(void)
{
	static const char *const known[] = {
		"nr_free_pages", "count:" /* free, at a CPU's hand */,
		"nr_inactive_anon", "nr_active_anon", "nr_inactive_file",
		"nr_active_file", "nr_unevictable", "nr_slab_reclaimable",
		"nr_slab_unreclaimable", "nr_page_table_pages",
	};
	FILE *f = fopen("/proc/zoneinfo", "r");
	long value, total = 0;
	char word[64];

	CHECK(f);
	while (fscanf(f, "%63s", word) == 1) {
		for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
			if (!strcmp(word, known[i]) && fscanf(f, "%ld", &value) == 1)
				total += value;
		if (!strcmp(word, "nr_kernel_stack") && fscanf(f, "%ld", &value) == 1)
			total += value / 4; /* KiB */
	}
	fclose(f);
	return total;
}

static void rounds(int count)
{
	struct ends e = mapped(SOCK_STREAM, 10);
	char *bytes = calloc(1, 65536);

	for (int i = 0; i < count; i++) {
		int n = i % 100 ? 1 + i * 13 % 9000 : 65536;

		CHECK(send(e.tx, bytes, n, 0) == n);
		queued(&e, n);
		/* Packets to be copied, and packets without their first page. */
		if (i % 7 == 0)
			CHECK(recv(e.rx, bytes, 1, 0) == 1);
		else if (i % 5 == 0 && n > 4096)
			CHECK(recv(e.rx, bytes, 4096, 0) == 4096);
		do {
			CHECK(!map_rx(&e));
			advise(&e);
		} while (e.page0->poll_value);
	}
	free(bytes);
	done(&e);
}

/* Pages lost by ROUNDS batches and a thirtieth of it early ends of two kinds. */
static long lost(void)
{
	long before = known_pages(), less;

	rounds(ROUNDS);
	for (int i = 0; i < ROUNDS / 30; i++) {
		killed();
		closed();
	}
	less = before - known_pages();
	printf("# %ld pages less are accounted for\n", less);
	return less;
}

void leaks(void)
{
	/* The first time fills the kernel's caches, and other processes may be
	 * counted wrong: a leak is there every time.
	 */
	for (int i = 0; lost() >= ROUNDS / 35; i++)
		CHECK(i < 3);
}
