/* SPDX-License-Identifier: Apache-2.0 */
#include "capture.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"

#define PATIENCE_MS 20000
#define NOT_FOUND   127

struct stream {
	int fd;
	char *text;
	size_t n, max;
	bool cut;
};

/* What is beyond max is read and forgotten, so that the child comes to its end. */
static void stream_read(struct stream *s)
{
	char buf[16384];
	ssize_t n = read(s->fd, buf, sizeof(buf));
	size_t room = s->max - s->n;

	if (n < 0 && errno == EINTR)
		return;
	if (n <= 0) {
		close(s->fd);
		s->fd = -1;
		return;
	}
	s->cut = s->cut || (size_t)n > room;
	if ((size_t)n > room)
		n = (ssize_t)room;
	s->text = mem_resize(s->text, s->n + (size_t)n + 1, 1);
	memcpy(s->text + s->n, buf, (size_t)n);
	s->n += (size_t)n;
	s->text[s->n] = '\0';
}

/* False: its time was over. */
static bool streams_read(struct stream s[2])
{
	int64_t end = clock_ms() + PATIENCE_MS;

	while (s[0].fd >= 0 || s[1].fd >= 0) {
		struct pollfd p[2] = {{.fd = s[0].fd, .events = POLLIN},
				      {.fd = s[1].fd, .events = POLLIN}};
		int64_t left = end - clock_ms();

		if (left <= 0)
			return false;
		if (poll(p, 2, (int)left) < 0 && errno != EINTR)
			return false;
		for (int i = 0; i < 2; i++)
			if (p[i].revents)
				stream_read(&s[i]);
	}
	return true;
}

static void child(int (*fn)(void *data), void *data, const int out[2], const int err[2])
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC), status;

	if (null < 0 || dup2(null, 0) < 0 || dup2(out[1], 1) < 0 || dup2(err[1], 2) < 0)
		_exit(NOT_FOUND);
	status = fn(data);
	fflush(NULL);
	_exit(status);
}

int capture(int (*fn)(void *data), void *data, size_t max, struct captured *ret, struct err *e)
{
	struct stream s[2] = {{.fd = -1, .max = max}, {.fd = -1, .max = 65536}};
	int out[2], err[2], status = 0;
	bool ended;
	pid_t pid;

	*ret = (struct captured){.status = -1};
	if (pipe2(out, O_CLOEXEC) < 0)
		return err_sys(e, -errno, "pipe");
	if (pipe2(err, O_CLOEXEC) < 0) {
		close(out[0]);
		close(out[1]);
		return err_sys(e, -errno, "pipe");
	}
	fflush(NULL); /* or the child says it again */
	pid = fork();
	if (pid == 0)
		child(fn, data, out, err);
	close(out[1]);
	close(err[1]);
	s[0].fd = out[0];
	s[1].fd = err[0];
	ended = pid > 0 && streams_read(s);
	for (int i = 0; i < 2; i++)
		cleanup_closep(&s[i].fd);
	if (pid > 0 && !ended)
		kill(pid, SIGKILL);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	ret->out = s[0].text ?: mem_strdup("");
	ret->err = s[1].text ?: mem_strdup("");
	ret->out_len = s[0].n;
	ret->cut = s[0].cut;
	if (pid < 0)
		return err_sys(e, -EAGAIN, "fork");
	ret->status = ended && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	return 0;
}

static int exec_program(void *data)
{
	execvp(*(char *const *)data, data);
	return NOT_FOUND;
}

int capture_program(const char *const *argv, size_t max, struct captured *ret, struct err *e)
{
	void *data = (void *)(uintptr_t)argv; /* execv's own constness */
	int r = capture(exec_program, data, max, ret, e);

	if (r == 0 && ret->status == NOT_FOUND)
		return err_set(e, -ENOENT, "%s is not installed", argv[0]);
	return r;
}

void captured_done(struct captured *c)
{
	free(c->out);
	free(c->err);
}
