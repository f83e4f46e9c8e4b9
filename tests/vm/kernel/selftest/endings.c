// SPDX-License-Identifier: GPL-2.0-only
/* How it ends, in order and in a race. */
#define _GNU_SOURCE
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include "selftest.h"

static int peer_sees_end(struct ends *e, int timeout)
{
	struct pollfd p = { .fd = e->tx, .events = POLLRDHUP };

	return poll(&p, 1, timeout);
}

void unmapped(void)
{
	struct ends e = mapped(SOCK_STREAM, 8);
	char byte;

	send_all(e.tx, 0, 3 * P, 0);
	queued(&e, 3 * P);
	CHECK(!map_rx(&e));
	/* A hole, a shorter mapping, no start. */
	CHECK(!munmap(e.data + P, P));
	CHECK(populated(e.data) && !populated(e.data + P) && populated(e.data + 2 * P));
	REFUSED(map_rx_at(e.rx, (uintptr_t)e.data + 2 * P), EINVAL);
	CHECK(!madvise(e.data, P, MADV_DONTNEED));
	send_all(e.tx, 0, 2 * P, 0);
	queued(&e, 2 * P);
	CHECK(!map_rx(&e) && verify(&e, 0) == P);
	CHECK(!munmap((void *)e.page0, P));
	REFUSED(map_rx(&e), EINVAL);
	REFUSED(map_rx_at(e.rx, (uintptr_t)e.data), EINVAL);
	CHECK(recv(e.rx, &byte, 1, 0) == 1 && (unsigned char)byte == byte_at(P));
	done(&e);
}

void closed(void)
{
	struct ends e = mapped(SOCK_STREAM, 8);

	send_all(e.tx, 0, 3 * P, 0);
	queued(&e, 3 * P);
	CHECK(!map_rx(&e));
	close(e.rx);
	CHECK(verify(&e, 0) == 3 * P && peer_sees_end(&e, 0) == 0);
	CHECK(!munmap((void *)e.page0, e.size));
	CHECK(peer_sees_end(&e, 20000) == 1);
	close(e.tx);
}

void killed(void)
{
	struct ends e;
	int ready[2];
	char byte;

	CHECK(!pipe(ready));
	connect_ends(&e, SOCK_STREAM, 1, 1 << 20);
	pid_t child = fork();

	if (!child) {
		map(&e, 64);
		queued(&e, 60 * P);
		CHECK(!map_rx(&e));
		CHECK(write(ready[1], "x", 1) == 1);
		pause();
	}
	close(e.rx);
	send_all(e.tx, 0, 60 * P, 0);
	CHECK(read(ready[0], &byte, 1) == 1);
	CHECK(!kill(child, SIGKILL) && waitpid(child, NULL, 0) == child);
	CHECK(peer_sees_end(&e, 20000) == 1);
	close(e.tx);
	close(ready[0]);
	close(ready[1]);
}

void reset(void)
{
	struct ends e = mapped(SOCK_STREAM, 4);
	size_t got = 0;
	char byte;

	send_all(e.rx, 0, 100, 0);
	send_all(e.tx, 0, 10 * P, 0);
	queued(&e, 10 * P);
	CHECK(!map_rx(&e));
	got = verify(&e, 0);
	/* Both directions are gone, bytes are unread on both sides. */
	close(e.tx);
	while (e.page0->poll_value != CLOSED)
		;
	CHECK(verify(&e, 0) == got);
	do {
		advise(&e);
		CHECK(!map_rx(&e));
		got += verify(&e, got);
	} while (e.page0->hdr_num);
	CHECK(got == 10 * P && recv(e.rx, &byte, 1, 0) == 0);
	CHECK(e.page0->poll_value == CLOSED);
	CHECK(!munmap((void *)e.page0, e.size));
	close(e.rx);
}

static struct ends race;
static volatile int stop;

static void *race_map(void *unused)
{
	(void)unused;
	while (!stop)
		map_rx(&race);
	return NULL;
}

static void *race_advise(void *unused)
{
	(void)unused;
	while (!stop)
		madvise(race.data, race.size - P, MADV_DONTNEED);
	return NULL;
}

static void *race_recv(void *unused)
{
	char buffer[3000];

	(void)unused;
	while (!stop)
		recv(race.rx, buffer, sizeof(buffer), MSG_DONTWAIT);
	return NULL;
}

static void *race_unmap(void *unused)
{
	(void)unused;
	while (!stop) {
		void *again = mmap(NULL, 4 * P, PROT_READ, MAP_SHARED, race.rx, 0);

		if (again != MAP_FAILED)
			munmap(again, 4 * P);
	}
	return NULL;
}

void raced(void)
{
	void *(*const bodies[])(void *) = { race_map, race_map, race_advise, race_recv, race_unmap };
	pthread_t threads[5];
	char bytes[20000] = { 1 };

	for (int round = 0; round < 40; round++) {
		race = mapped(round % 2 ? SOCK_STREAM : SOCK_SEQPACKET, 9);
		stop = 0;
		for (int i = 0; i < 5; i++)
			CHECK(!pthread_create(&threads[i], NULL, bodies[i], NULL));
		for (int i = 0; i < 60; i++)
			send(race.tx, bytes, 1 + i * 331 % sizeof(bytes), MSG_DONTWAIT | MSG_NOSIGNAL);
		/* Ends in every way while all of them run. */
		if (round % 4 == 0)
			close(race.tx);
		else if (round % 4 == 1)
			close(race.rx);
		else if (round % 4 == 2)
			munmap((void *)race.page0, race.size);
		else
			shutdown(race.rx, SHUT_RDWR);
		usleep(2000);
		stop = 1;
		for (int i = 0; i < 5; i++)
			pthread_join(threads[i], NULL);
		if (round % 4 != 2)
			munmap((void *)race.page0, race.size);
		if (round % 4 != 1)
			close(race.rx);
		if (round % 4 != 0)
			close(race.tx);
	}
}
