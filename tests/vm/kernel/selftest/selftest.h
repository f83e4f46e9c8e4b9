/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _SELFTEST_H
#define _SELFTEST_H

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

/**** The ABI; see ../README.md ****/

#define MAP_RX		9
#define ZEROCOPY	10
#define EOM		1
#define EOR		2
#define CLOSED		(~0U)
#define P		4096UL

struct hdr {
	uint32_t length, flags;
};

struct page0 {
	uint32_t poll_value, hdr_num;
	struct hdr hdr[511];
};

/**** A test: returns, or ends its process by a CHECK() ****/

extern const char *test;

#define CHECK(cond) do {						\
	if (!(cond)) {							\
		printf("not ok - %s: %s:%d: %s (errno %d)\n", test,	\
		       __FILE__, __LINE__, #cond, errno);		\
		fflush(stdout);						\
		_exit(1);						\
	}								\
} while (0)

#define REFUSED(call, code) CHECK((call) == -1 && errno == (code))

void layout(void);
void continued(void);
void mixed(void);
void glued(void);
void collapsed(void);
void poll_value(void);
void credit(void);
void refusals(void);
void busy_slot(void);
void zerocopy_sender(void);
void forked(void);
void unmapped(void);
void closed(void);
void killed(void);
void reset(void);
void raced(void);
void leaks(void);

/**** Both ends of a connection over the loopback ****/

struct ends {
	int rx, tx;		/* the receiver has connected */
	volatile struct page0 *page0;
	unsigned char *data;	/* page 1 */
	size_t size;		/* of the mapping */
};

void connect_ends(struct ends *e, int type, int zerocopy, uint64_t buffer);
void map(struct ends *e, int pages);
struct ends mapped(int type, int pages);
void done(struct ends *e);

void set_u64(int fd, int name, uint64_t value);
int map_rx_at(int fd, uint64_t address);
int map_rx(struct ends *e);
void advise(struct ends *e);

/* The byte of the stream that tests send. */
unsigned char byte_at(size_t i);
void send_all(int fd, size_t from, size_t length, int flags);
/* Until that many bytes are queued, by the rules of poll(2). */
void queued(struct ends *e, int bytes);

/* Whether the kernel can read a byte there. */
int populated(const volatile void *at);
/* Checks a batch against the stream from `from` on, zeros behind each packet. */
size_t verify(struct ends *e, size_t from);
void headers(struct ends *e, uint32_t pages, int count,
	     const struct hdr *expected);

#define HEADERS(e, pages, ...) headers(e, pages,			\
	sizeof((struct hdr[]){ __VA_ARGS__ }) / sizeof(struct hdr),	\
	(struct hdr[]){ __VA_ARGS__ })

#endif /* _SELFTEST_H */
