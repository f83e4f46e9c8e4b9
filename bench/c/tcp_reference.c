/*
 * What TCP costs a program in C: a receiver by copy or by TCP_ZEROCOPY_RECEIVE, as the kernel's
 * tools/testing/selftests/net/tcp_mmap.c has it, and the sender that all receivers are measured with.
 *
 *     tcp_reference copy|map CHUNK WARMUP MAXSEG           prints its port, then its result
 *     tcp_reference send|send-zerocopy PORT BYTES MAXSEG   prints its processor time at the end
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/errqueue.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SEND_BYTES (512u * 1024)
#define MOST_IN_FLIGHT 8

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

static double cpu_seconds(void)
{
	struct rusage use;

	getrusage(RUSAGE_SELF, &use);
	return use.ru_utime.tv_sec + use.ru_utime.tv_usec / 1e6 +
	       use.ru_stime.tv_sec + use.ru_stime.tv_usec / 1e6;
}

static int new_socket(int maxseg)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0)
		die("socket");
	if (maxseg && setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &maxseg, sizeof(maxseg)))
		die("TCP_MAXSEG");
	return fd;
}

static int accept_one(int chunk, int maxseg)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t length = sizeof(address);
	int listener = new_socket(maxseg);
	int fd;

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (setsockopt(listener, SOL_SOCKET, SO_RCVLOWAT, &chunk, sizeof(chunk)) ||
	    bind(listener, (struct sockaddr *)&address, sizeof(address)) || listen(listener, 1) ||
	    getsockname(listener, (struct sockaddr *)&address, &length))
		die("listen");
	printf("%d\n", ntohs(address.sin_port));
	fflush(stdout);
	fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
	if (fd < 0)
		die("accept");
	if (setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &chunk, sizeof(chunk)))
		die("SO_RCVLOWAT");
	close(listener);
	return fd;
}

/* One dequeue by mapping: bytes, 0 at end of stream, -1 where nothing is there. */
static ssize_t take_mapped(int fd, char *pages, char *buffer, size_t chunk, uint64_t *mapped)
{
	struct tcp_zerocopy_receive zc = { .address = (uintptr_t)pages, .length = chunk };
	socklen_t length = sizeof(zc);
	ssize_t taken;

	if (getsockopt(fd, IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE, &zc, &length)) {
		if (errno == EIO)
			return 0;
		die("TCP_ZEROCOPY_RECEIVE");
	}
	if (zc.length)
		madvise(pages, zc.length, MADV_DONTNEED);
	*mapped += zc.length;
	taken = zc.length;
	if (zc.recv_skip_hint) {
		size_t most = zc.recv_skip_hint < chunk ? zc.recv_skip_hint : chunk;
		ssize_t got = read(fd, buffer, most);

		taken += got > 0 ? got : 0;
	}
	return taken > 0 ? taken : -1;
}

static void receive(int maps, size_t chunk, uint64_t warmup, int maxseg)
{
	int fd = accept_one(chunk, maxseg);
	char *buffer = malloc(chunk);
	char *pages = mmap(NULL, chunk, PROT_READ, MAP_SHARED, fd, 0);
	uint64_t bytes = 0, mapped = 0, first_bytes = 0, first_mapped = 0;
	double start = 0, cpu = 0;

	if (pages == MAP_FAILED)
		die("mmap");
	for (;;) {
		struct pollfd ready = { .fd = fd, .events = POLLIN };
		ssize_t taken;

		if (!start && bytes >= warmup) {
			start = seconds();
			cpu = cpu_seconds();
			first_bytes = bytes;
			first_mapped = mapped;
		}
		poll(&ready, 1, 10000);
		taken = maps ? take_mapped(fd, pages, buffer, chunk, &mapped) : read(fd, buffer, chunk);
		if (taken == 0)
			break;
		if (taken > 0)
			bytes += taken;
		else if (!maps && errno != EAGAIN)
			die("read");
	}
	printf("{\"bytes\":%llu,\"measured\":%llu,\"mapped\":%llu,\"seconds\":%.9f,\"cpu\":%.6f}\n",
	       (unsigned long long)bytes, (unsigned long long)(bytes - first_bytes),
	       (unsigned long long)(mapped - first_mapped), seconds() - start, cpu_seconds() - cpu);
}

/* Takes records of the error queue: how many sends they are about. */
static unsigned int reap(int fd, int waits)
{
	char control[128];
	struct msghdr message = { .msg_control = control, .msg_controllen = sizeof(control) };
	struct pollfd ready = { .fd = fd };
	struct sock_extended_err *record;

	if (waits)
		poll(&ready, 1, 1000);
	if (recvmsg(fd, &message, MSG_ERRQUEUE) < 0)
		return 0;
	record = (struct sock_extended_err *)CMSG_DATA(CMSG_FIRSTHDR(&message));
	return record->ee_data - record->ee_info + 1;
}

static void transmit(int port, uint64_t bytes, int maxseg, int zerocopy)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
	char *data = mmap(NULL, SEND_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = new_socket(maxseg), one = 1;
	unsigned int in_flight = 0;
	char end;

	for (uint32_t i = 0, *words = (uint32_t *)data; i < SEND_BYTES / 4; i++)
		words[i] = i * 2654435761u;
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (zerocopy && setsockopt(fd, SOL_SOCKET, SO_ZEROCOPY, &one, sizeof(one)))
		die("SO_ZEROCOPY");
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)))
		die("connect");
	for (uint64_t sent = 0; sent < bytes;) {
		size_t at = sent % SEND_BYTES, length = SEND_BYTES - at;
		ssize_t took = send(fd, data + at, length < bytes - sent ? length : bytes - sent,
				    zerocopy ? MSG_ZEROCOPY : 0);

		if (took < 0 && errno != ENOBUFS)
			die("send");
		if (took > 0) {
			sent += took;
			in_flight += zerocopy;
		}
		for (unsigned int done; (done = reap(fd, took < 0 || in_flight > MOST_IN_FLIGHT));)
			in_flight -= done;
	}
	shutdown(fd, SHUT_WR);
	if (read(fd, &end, 1) < 0)
		die("read");
	printf("%.6f\n", cpu_seconds());
}

int main(int argc, char **argv)
{
	if (argc != 5)
		return 2;
	if (strncmp(argv[1], "send", 4) == 0)
		transmit(atoi(argv[2]), strtoull(argv[3], NULL, 10), atoi(argv[4]), argv[1][4] == '-');
	else
		receive(argv[1][0] == 'm', atoi(argv[2]), strtoull(argv[3], NULL, 10), atoi(argv[4]));
	return 0;
}
