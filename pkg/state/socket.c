/* SPDX-License-Identifier: Apache-2.0 */
#include "state/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include "base/clock.h"
#include "base/mem.h"

#define SOCKET_NAME "sluiced.sock"
#define ANSWER_MAX  (64u << 20)

/* What is left of the deadline as the timeout of both directions; a zero timeval would mean "for
 * ever". */
static int timeouts_set(int fd, int64_t deadline)
{
	int64_t left = deadline - clock_ms();
	struct timeval tv;

	if (left <= 0)
		return -ETIMEDOUT;
	tv.tv_sec = left / 1000;
	tv.tv_usec = left % 1000 * 1000;
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) < 0)
		return -errno;
	return 0;
}

/* A unix address has 108 bytes; a longer folder is reached through its descriptor. */
static int connect_in(int fd, const char *run_dir)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	__cleanup_close int dirfd = -1;
	int n;

	n = snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/" SOCKET_NAME, run_dir);
	if (n >= (int)sizeof(sa.sun_path)) {
		dirfd = open(run_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (dirfd < 0)
			return -errno;
		snprintf(sa.sun_path, sizeof(sa.sun_path), "/proc/self/fd/%d/" SOCKET_NAME, dirfd);
	}
	while (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
		if (errno == EAGAIN)
			return -ETIMEDOUT;
		if (errno != EINTR)
			return -errno;
	}
	return 0;
}

static int message_send(int fd, const struct json *request)
{
	__cleanup_free char *text = json_emit(request, 0);
	size_t len = strlen(text);
	ssize_t n;

	if (len > SOCKET_PIECE)
		return -EMSGSIZE;
	do {
		n = send(fd, text, len, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	return 0;
}

/* *ret_n: of a piece, which has SOCKET_PIECE + 1 bytes of room. */
static int piece_receive(int fd, char *to, size_t *ret_n, struct err *e)
{
	ssize_t n;

	do {
		n = recv(fd, to, SOCKET_PIECE + 1, 0);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_sys(e, errno == EAGAIN ? -ETIMEDOUT : -errno, "no answer");
	if (n == 0)
		return err_set(e, -ECONNRESET, "closed without an answer");
	if (n > SOCKET_PIECE)
		return err_set(e, -EMSGSIZE, "a message is longer than %d bytes", SOCKET_PIECE);
	*ret_n = (size_t)n;
	return 0;
}

static int message_receive(int fd, struct json **ret, struct err *e)
{
	__cleanup_free char *buf = NULL;
	size_t len = 0, room = 0, n = 0;

	do {
		int r;

		if (len > ANSWER_MAX)
			return err_set(e, -EMSGSIZE, "the answer is longer than %u bytes",
				       ANSWER_MAX);
		if (room - len < SOCKET_PIECE + 1) {
			room = 2 * len + SOCKET_PIECE + 1;
			buf = mem_resize(buf, room, 1);
		}
		r = piece_receive(fd, buf + len, &n, e);
		if (r < 0)
			return r;
		len += n;
	} while (n == SOCKET_PIECE);
	return json_parse(buf, len, ret, e);
}

static int exchange(int fd, const char *run_dir, const struct json *request, int64_t deadline,
		    struct err *e)
{
	int r;

	r = timeouts_set(fd, deadline);
	if (r == 0)
		r = connect_in(fd, run_dir);
	if (r < 0)
		return err_sys(e, r, "connect");
	r = message_send(fd, request);
	if (r == 0)
		r = timeouts_set(fd, deadline);
	return r < 0 ? err_sys(e, r, "send") : 0;
}

int socket_ask(const char *run_dir, const struct json *request, int timeout_ms, struct json **ret,
	       struct err *e)
{
	__cleanup_close int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	__cleanup_json struct json *answer = NULL;
	int r;

	if (fd < 0)
		return err_sys(e, -errno, "socket");
	r = exchange(fd, run_dir, request, clock_ms() + timeout_ms, e);
	if (r == 0)
		r = message_receive(fd, &answer, e);
	if (r == 0)
		r = json_expect(answer, JSON_OBJECT, e);
	if (r < 0) {
		err_wrap(e, "%s/" SOCKET_NAME, run_dir);
		return r;
	}
	*ret = TAKE(answer);
	return 0;
}
