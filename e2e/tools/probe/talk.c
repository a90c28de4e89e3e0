/* SPDX-License-Identifier: Apache-2.0 */
/*
 * talk: a TCP connection that stays open, or n of them. For each line on stdin it sends a word
 * and waits for the echo; prints "ADDR alive" or "ADDR dead", where ADDR is what the server
 * saw when the connection began: over a changed address nothing would come back.
 */
#include "probe.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PATIENCE_S 6 /* a busy machine is not a dead connection */
#define MAX_TALKS  2000

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

static int talk_open(const char *host, const char *port, char *seen, size_t size)
{
	struct sockaddr_storage to;
	socklen_t len = sockaddr_of(host, (uint16_t)number_of(port), &to);
	int fd = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	patience_set(fd);
	if (connect(fd, (const struct sockaddr *)&to, len) || !line_read(fd, seen, size))
		fail("connect: %m");
	seen[strcspn(seen, " ")] = '\0';
	dprintf(fd, "echo\n");
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

int talk_main(int argc, char **argv)
{
	static int fds[MAX_TALKS];
	char seen[PROBE_TEXT] = "", line[PROBE_TEXT];
	long n = 1, dead = 0;

	if (argc < 2)
		fail("talk ADDR PORT [n=N]");
	if (argc > 2 && strncmp(argv[2], "n=", 2) == 0)
		n = number_of(argv[2] + 2);
	if (n < 1 || n > MAX_TALKS)
		fail("talk: out of range");
	signal(SIGPIPE, SIG_IGN);
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (long i = 0; i < n; i++)
		fds[i] = talk_open(argv[0], argv[1], seen, sizeof(seen));
	printf("%s open\n", seen);
	while (line_read(STDIN_FILENO, line, sizeof(line))) {
		if (!dead)
			dead = count_dead(fds, n, line);
		printf("%s %s\n", seen, dead ? "dead" : "alive");
	}
	return 0;
}
