/* SPDX-License-Identifier: Apache-2.0 */
/*
 * talk: one TCP connection that stays open. For each line on stdin it sends a word and
 * waits for the echo; prints "ADDR alive" or "ADDR dead", where ADDR is what the server
 * saw when the connection began: over a changed address nothing would come back.
 */
#include "probe.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PATIENCE_S 6 /* a busy machine is not a dead connection */

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

int talk_main(int argc, char **argv)
{
	struct sockaddr_storage to;
	char seen[PROBE_TEXT], line[PROBE_TEXT], echo[PROBE_TEXT];
	bool dead = false;
	socklen_t len;
	int fd;

	if (argc < 2)
		fail("talk ADDR PORT");
	signal(SIGPIPE, SIG_IGN);
	setvbuf(stdout, NULL, _IOLBF, 0);
	len = sockaddr_of(argv[0], (uint16_t)number_of(argv[1]), &to);
	fd = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	patience_set(fd);
	if (connect(fd, (const struct sockaddr *)&to, len) || !line_read(fd, seen, sizeof(seen)))
		fail("connect: %m");
	seen[strcspn(seen, " ")] = '\0';
	dprintf(fd, "echo\n");
	printf("%s open\n", seen);
	while (line_read(STDIN_FILENO, line, sizeof(line))) {
		dead = dead || dprintf(fd, "%s\n", line) < 0 ||
		       !line_read(fd, echo, sizeof(echo)) || strcmp(line, echo) != 0;
		printf("%s %s\n", seen, dead ? "dead" : "alive");
	}
	close(fd);
	return 0;
}
