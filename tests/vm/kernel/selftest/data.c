// SPDX-License-Identifier: GPL-2.0-only
/* What arrives. */
#define _GNU_SOURCE
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include "selftest.h"

void layout(void)
{
	struct ends e = mapped(SOCK_STREAM, 5);
	size_t sizes[] = { 56, 4096, 8200, 300 }, from = 0;

	CHECK(e.page0->poll_value == 0);
	for (int i = 0; i < 4; from += sizes[i++])
		send_all(e.tx, from, sizes[i], 0);
	queued(&e, from);
	CHECK(!map_rx(&e));
	HEADERS(&e, 5, { 56, 0 }, { 4096, 0 }, { 8200, 0 });
	CHECK(verify(&e, 0) == from - 300 && e.page0->poll_value == 1);
	REFUSED(map_rx(&e), EBUSY);
	CHECK(verify(&e, 0) == from - 300);
	advise(&e);
	CHECK(!populated(e.data) && populated(e.page0));
	CHECK(!map_rx(&e) && verify(&e, from - 300) == 300 && e.page0->poll_value == 0);
	done(&e);
}

void continued(void)
{
	struct ends e = mapped(SOCK_SEQPACKET, 2);
	char rest[P];

	send_all(e.tx, 0, 20000, MSG_EOR);
	send_all(e.tx, 20000, 5, 0);
	queued(&e, 20005);
	CHECK(!map_rx(&e));
	HEADERS(&e, 2, { 8192, 0 });
	CHECK(verify(&e, 0) == 8192);
	advise(&e);
	CHECK(!map_rx(&e));
	HEADERS(&e, 2, { 8192, 0 });
	CHECK(verify(&e, 8192) == 8192);
	advise(&e);
	CHECK(!map_rx(&e));
	HEADERS(&e, 2, { 3616, EOM | EOR }, { 5, EOM });
	CHECK(verify(&e, 16384) == 3621 && e.page0->poll_value == 0);
	advise(&e);

	/* The rest of a message that was begun is a message to recv(2). */
	send_all(e.tx, 0, 2 * P + 100, MSG_EOR);
	queued(&e, 2 * P + 100);
	CHECK(!map_rx(&e) && verify(&e, 0) == 2 * P);
	struct iovec iov = { rest, sizeof(rest) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	CHECK(recvmsg(e.rx, &msg, 0) == 100 && msg.msg_flags == MSG_EOR);
	CHECK((unsigned char)rest[99] == byte_at(2 * P + 99));
	CHECK(recv(e.rx, rest, 1, MSG_DONTWAIT) == -1 && errno == EAGAIN);
	done(&e);
}

void mixed(void)
{
	struct ends e = mapped(SOCK_STREAM, 3);
	size_t total = 3 << 20, got = 0;
	unsigned char buffer[5000];
	pid_t sender = fork();

	if (!sender) {
		for (size_t at = 0, n; at < total; at += n) {
			n = 1 + at % 9973;
			if (n > total - at)
				n = total - at;
			send_all(e.tx, at, n, 0);
		}
		_exit(0);
	}
	for (int round = 0; got < total; round++) {
		queued(&e, 1);
		if (round % 3) {
			CHECK(!map_rx(&e));
			got += verify(&e, got);
			advise(&e);
			continue;
		}
		ssize_t n = recv(e.rx, buffer, 1 + round * 37 % sizeof(buffer), 0);

		CHECK(n > 0);
		for (ssize_t i = 0; i < n; i++)
			CHECK(buffer[i] == byte_at(got + i));
		got += n;
	}
	CHECK(got == total && waitpid(sender, NULL, 0) == sender);
	done(&e);
}

void glued(void)
{
	struct ends e = mapped(SOCK_STREAM, 8);

	for (int i = 0; i < 100; i++)
		send_all(e.tx, i * 100, 100, 0);
	queued(&e, 10000);
	CHECK(!map_rx(&e) && verify(&e, 0) == 10000);
	HEADERS(&e, 3, { 4000, 0 }, { 4000, 0 }, { 2000, 0 });
	done(&e);
}

void collapsed(void)
{
	struct ends e;
	size_t total = 0;

	/* More packets than their overhead allows: the kernel merges them. */
	connect_ends(&e, SOCK_STREAM, 1, 1 << 18);
	map(&e, 500);
	for (int i = 0; i < 1200; i++, total += 150)
		send_all(e.tx, total, 150, 0);
	queued(&e, total);
	CHECK(!map_rx(&e) && verify(&e, 0) == total);
	CHECK(e.page0->poll_value == 0);
	done(&e);
}

void poll_value(void)
{
	struct ends e = mapped(SOCK_STREAM, 8), m = mapped(SOCK_SEQPACKET, 8);
	int low = 1000, one = 1;

	CHECK(!setsockopt(e.rx, SOL_SOCKET, SO_RCVLOWAT, &low, sizeof(low)));
	send_all(e.tx, 0, 999, 0);
	while (recv(e.rx, (char[999]){}, 999, MSG_PEEK | MSG_DONTWAIT) != 999)
		;
	CHECK(e.page0->poll_value == 0);
	send_all(e.tx, 999, 1, 0);
	while (!e.page0->poll_value)
		;
	CHECK(e.page0->poll_value == 1);
	CHECK(recv(e.rx, (char[1]){}, 1, 0) == 1 && e.page0->poll_value == 0);
	CHECK(!setsockopt(e.rx, SOL_SOCKET, SO_RCVLOWAT, &one, sizeof(one)));
	CHECK(e.page0->poll_value == 1);
	CHECK(!shutdown(e.tx, SHUT_WR));
	while (e.page0->poll_value != CLOSED)
		;
	CHECK(!map_rx(&e) && verify(&e, 1) == 999 && e.page0->poll_value == CLOSED);
	CHECK(!map_rx(&e) && !e.page0->hdr_num);

	CHECK(!setsockopt(m.rx, SOL_SOCKET, SO_RCVLOWAT, &low, sizeof(low)));
	send_all(m.tx, 0, 500, 0);
	send_all(m.tx, 500, 500, 0);
	while (!m.page0->poll_value)
		;
	CHECK(!setsockopt(m.rx, SOL_SOCKET, SO_RCVLOWAT, (int[]){ 1001 }, sizeof(int)));
	CHECK(m.page0->poll_value == 0);
	CHECK(!shutdown(m.rx, SHUT_RD) && m.page0->poll_value == CLOSED);
	done(&e);
	done(&m);
}

void credit(void)
{
	struct pollfd p = { .events = POLLOUT };
	char *bytes = calloc(1, 100000);
	struct ends e;

	connect_ends(&e, SOCK_STREAM, 1, 65536);
	map(&e, 64);
	for (int round = 0; round < 4; round++) {
		CHECK(send(e.tx, bytes, 100000, MSG_DONTWAIT) == 65536);
		REFUSED(send(e.tx, bytes, 1, MSG_DONTWAIT), EAGAIN);
		queued(&e, 65535);
		CHECK(!map_rx(&e));
		HEADERS(&e, 16, { 65536, 0 });
		advise(&e);
		p.fd = e.tx;
		CHECK(poll(&p, 1, 20000) == 1);
	}
	free(bytes);
	done(&e);
}
