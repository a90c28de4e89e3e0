/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flood: UDP at a steady rate. "flows=N" uses N source ports in turn; "fresh"
 * takes a new source port for every datagram, so that each is a connection's
 * first packet. Ends after SECONDS or with SIGTERM and prints
 * "sent N answered N refused N gap MS": the longest time between two answers. SIGUSR1 ends a
 * piece: "piece sent N answered N gap US idle US" says how long in it no answer came, and how long
 * nothing was sent (that is the machine, not the path); the next one begins. Without "fresh"
 * every answer can be told from a lost one: then what the machine gave no time for is not made
 * up for by a burst, which queues on the way would lose, and the last answers are waited for.
 */
#include "probe.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MAX_FLOWS 256
#define BURST	  100
#define PAUSE_NS  300000000
#define PAUSES	  20 /* without an answer, while some are missing */

static volatile sig_atomic_t stopped, piece_over;

static struct flood {
	struct sockaddr_storage to;
	socklen_t to_len;
	int fds[MAX_FLOWS];
	long flows;
	size_t size;
	bool fresh, over; /* over: only the last answers are waited for */
	uint64_t sent, answered, refused;
	uint64_t answered_at, gap; /* ns */
	struct {
		uint64_t sent, answered; /* before it */
		uint64_t sent_at, answered_at, gap, idle;
	} piece;
} flood = {.flows = 1, .size = 32};

static void stop(int signal_number)
{
	stopped = 1;
}

static void end_piece(int signal_number)
{
	piece_over = 1;
}

static void longer(uint64_t *longest, uint64_t since, uint64_t now)
{
	if (since && now - since > *longest)
		*longest = now - since;
}

static int flow_open(void)
{
	int big = 4 << 20,
	    fd = socket(flood.to.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		fail("socket: %m");
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &big, sizeof(big));
	if (connect(fd, (struct sockaddr *)&flood.to, flood.to_len) && errno != ENETUNREACH &&
	    errno != EHOSTUNREACH && errno != EACCES)
		fail("connect: %m");
	return fd;
}

static void answer_note(void)
{
	uint64_t now = now_ns();

	flood.answered++;
	if (!flood.over)
		longer(&flood.gap, flood.answered_at, now);
	longer(&flood.piece.gap, flood.piece.answered_at, now);
	flood.answered_at = flood.piece.answered_at = now;
}

static void piece_tell(void)
{
	uint64_t now = now_ns();

	longer(&flood.piece.gap, flood.piece.answered_at, now);
	longer(&flood.piece.idle, flood.piece.sent_at, now);
	printf("piece sent %llu answered %llu gap %llu idle %llu\n",
	       (unsigned long long)(flood.sent - flood.piece.sent),
	       (unsigned long long)(flood.answered - flood.piece.answered),
	       (unsigned long long)flood.piece.gap / 1000,
	       (unsigned long long)flood.piece.idle / 1000);
	fflush(stdout);
	flood.piece.sent = flood.sent;
	flood.piece.answered = flood.answered;
	flood.piece.sent_at = flood.piece.answered_at = now;
	flood.piece.gap = flood.piece.idle = 0;
	piece_over = 0;
}

static void flow_drain(int fd)
{
	char data[2048];
	ssize_t n;

	while ((n = recv(fd, data, sizeof(data), 0)) >= 0 || errno == ECONNREFUSED ||
	       errno == EACCES || errno == EHOSTUNREACH) {
		if (n >= 0)
			answer_note();
		else
			flood.refused++;
	}
}

static void flow_send(long i)
{
	static char data[65000];

	if (flood.fresh && flood.sent >= (uint64_t)flood.flows) {
		flow_drain(flood.fds[i]);
		close(flood.fds[i]);
		flood.fds[i] = flow_open();
	}
	flood.sent++;
	if (send(flood.fds[i], data, flood.size, 0) < 0)
		flood.refused++;
}

static uint64_t heard(void)
{
	for (long i = 0; i < flood.flows; i++)
		flow_drain(flood.fds[i]);
	return flood.answered + flood.refused;
}

/* until none has come for a while */
static void last_answers(void)
{
	struct timespec pause = {.tv_nsec = PAUSE_NS};
	uint64_t before = heard();

	for (int quiet = 0; quiet < (flood.fresh || before == flood.sent ? 1 : PAUSES); quiet++) {
		nanosleep(&pause, NULL);
		if (heard() != before)
			quiet = -1;
		before = flood.answered + flood.refused;
	}
}

static void flood_run(long pps, uint64_t start, uint64_t end)
{
	struct timespec tick = {.tv_nsec = 1000000};
	uint64_t late = 0; /* packets that are not made up for */

	while (!stopped && now_ns() < end) {
		uint64_t due = (uint64_t)((double)(now_ns() - start) * (double)pps / 1e9) - late;

		if (!flood.fresh && due > flood.sent + BURST) {
			late += due - flood.sent - BURST;
			due = flood.sent + BURST;
		}
		if (flood.sent < due) {
			longer(&flood.piece.idle, flood.piece.sent_at, now_ns());
			flood.piece.sent_at = now_ns();
		}
		while (flood.sent < due && !stopped)
			flow_send((long)(flood.sent % (uint64_t)flood.flows));
		heard();
		if (piece_over)
			piece_tell();
		nanosleep(&tick, NULL);
	}
	flood.over = true;
	last_answers();
}

int flood_main(int argc, char **argv)
{
	uint64_t start;

	if (argc < 4)
		fail("flood ADDR PORT PPS SECONDS [flows=N] [size=N] [fresh]");
	for (int i = 4; i < argc; i++) {
		if (!strncmp(argv[i], "flows=", 6))
			flood.flows = number_of(argv[i] + 6);
		else if (!strncmp(argv[i], "size=", 5))
			flood.size = (size_t)number_of(argv[i] + 5);
		else if (!strcmp(argv[i], "fresh"))
			flood.fresh = true;
		else
			fail("flood: unknown option '%s'", argv[i]);
	}
	if (flood.flows < 1 || flood.flows > MAX_FLOWS || flood.size > 65000)
		fail("flood: out of range");
	flood.to_len = sockaddr_of(argv[0], (uint16_t)number_of(argv[1]), &flood.to);
	for (long i = 0; i < flood.flows; i++)
		flood.fds[i] = flow_open();
	signal(SIGTERM, stop);
	signal(SIGINT, stop);
	signal(SIGUSR1, end_piece);
	start = now_ns();
	flood_run(number_of(argv[2]), start, start + (uint64_t)number_of(argv[3]) * 1000000000u);
	printf("sent %llu answered %llu refused %llu gap %llu\n", (unsigned long long)flood.sent,
	       (unsigned long long)flood.answered, (unsigned long long)flood.refused,
	       (unsigned long long)flood.gap / 1000000);
	return 0;
}
