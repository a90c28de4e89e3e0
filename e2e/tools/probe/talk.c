/* SPDX-License-Identifier: Apache-2.0 */
/*
 * talk: a TCP connection that stays open, or n of them. For each line on stdin it sends a word
 * and waits for the echo; prints "ADDR alive" or "ADDR dead", where ADDR is what the server
 * saw when the connection began: over a changed address nothing would come back. With push it is
 * the server who speaks, and nobody asks it anything: for each line on stdin "ADDR K of N" says
 * how many connections it was still heard on.
 */
#include "probe.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_S 6 /* a busy machine is not a dead connection */
#define MAX_TALKS  2000

#define PUSH		"push 200" /* ms */
#define PUSH_PATIENCE_S 12

static void patience_set(int fd)
{
	struct timeval t = {.tv_sec = PATIENCE_S};

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t));
}

static bool line_read(int fd, char *line, size_t size)
{
	size_t len = 0;

	while (len + 1 < size && read(fd, line + len, 1) == 1 && line[len] != '\n')
		len++;
	line[len] = '\0';
	return len > 0;
}

static int talk_open(const char *host, const char *port, const char *what, char *seen, size_t size)
{
	struct sockaddr_storage to;
	socklen_t len = sockaddr_of(host, (uint16_t)number_of(port), &to);
	int fd = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	patience_set(fd);
	if (connect(fd, (const struct sockaddr *)&to, len) || !line_read(fd, seen, size))
		fail("connect: %m");
	seen[strcspn(seen, " ")] = '\0';
	dprintf(fd, "%s\n", what);
	return fd;
}

static bool echoes(int fd, const char *line)
{
	char echo[PROBE_TEXT];

	return line_read(fd, echo, sizeof(echo)) && strcmp(line, echo) == 0;
}

/* All are asked before any is heard. */
static long count_dead(const int *fds, long n, const char *line)
{
	long dead = 0;

	for (long i = 0; i < n; i++)
		dprintf(fds[i], "%s\n", line);
	for (long i = 0; i < n; i++)
		dead += !echoes(fds[i], line);
	return dead;
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static ssize_t drain(int fd)
{
	char data[4096];
	ssize_t n, all = 0;

	while ((n = recv(fd, data, sizeof(data), MSG_DONTWAIT)) > 0)
		all += n;
	return all;
}

/* What comes from now on; what waits may be old. */
static long count_heard(const int *fds, long n)
{
	static struct pollfd waits[MAX_TALKS];
	int64_t end = now_ms() + 1000 * PUSH_PATIENCE_S;
	long heard = 0;

	for (long i = 0; i < n; i++) {
		drain(fds[i]);
		waits[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
	}
	while (heard < n && now_ms() < end) {
		poll(waits, (nfds_t)n, 100);
		for (long i = 0; i < n; i++) {
			if (waits[i].fd < 0 || !waits[i].revents)
				continue;
			heard += drain(fds[i]) > 0;
			waits[i].fd = -1;
		}
	}
	return heard;
}

int talk_main(int argc, char **argv)
{
	static int fds[MAX_TALKS];
	char seen[PROBE_TEXT] = "", line[PROBE_TEXT];
	long n = 1, dead = 0;
	bool push = false;

	if (argc < 2)
		fail("talk ADDR PORT [n=N] [push]");
	for (int i = 2; i < argc; i++) {
		if (strncmp(argv[i], "n=", 2) == 0)
			n = number_of(argv[i] + 2);
		push |= strcmp(argv[i], "push") == 0;
	}
	if (n < 1 || n > MAX_TALKS)
		fail("talk: out of range");
	signal(SIGPIPE, SIG_IGN);
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (long i = 0; i < n; i++)
		fds[i] = talk_open(argv[0], argv[1], push ? PUSH : "echo", seen, sizeof(seen));
	printf("%s open\n", seen);
	while (line_read(STDIN_FILENO, line, sizeof(line))) {
		if (push) {
			printf("%s %ld of %ld\n", seen, count_heard(fds, n), n);
			continue;
		}
		if (!dead)
			dead = count_dead(fds, n, line);
		printf("%s %s\n", seen, dead ? "dead" : "alive");
	}
	return 0;
}
