/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The child gets /dev/null for stdin and stdout (stdout is the runtime's), a pipe
 * for stderr, no other descriptor (runtimes leak theirs), and a process group of
 * its own, so that all of it can be ended at the deadline.
 */
#include "once.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

#define TAIL 384 /* how much of stderr an error message carries */

struct child {
	pid_t pid;
	int pidfd, err_fd;
	char tail[TAIL + 1];
	size_t n;
};

static char *beside_plugin(void)
{
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (n <= 0)
		return NULL;
	self[n] = 0;
	slash = strrchr(self, '/');
	if (!slash)
		return NULL;
	*slash = 0;
	return mem_printf("%s/sluiced", self);
}

/* What cannot be looked at now may be there all the same: running it will tell. */
static bool may_run(const char *path)
{
	return access(path, X_OK) == 0 || (errno != ENOENT && errno != EACCES && errno != ENOTDIR);
}

char *once_binary(const struct plugin_conf *conf)
{
	char *places[] = {
		conf->sluiced ? mem_strdup(conf->sluiced) : beside_plugin(),
		conf->sluiced ? NULL : mem_strdup(SLUICE_PREFIX "/sbin/sluiced"),
	};
	char *found = NULL;

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		if (!found && places[i] && may_run(places[i]))
			found = TAKE(places[i]);
		free(places[i]);
	}
	return found;
}

static void child_exec(char *const argv[], int err_fd) __attribute__((noreturn));
static void child_exec(char *const argv[], int err_fd)
{
	char *const envp[] = {(char[]){"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:"
				       "/sbin:/bin"},
			      NULL};
	int null = open("/dev/null", O_RDWR);

	setpgid(0, 0);
	signal(SIGPIPE, SIG_DFL);
	if (dup2(err_fd, 2) < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0)
		_exit(126);
	syscall(SYS_close_range, 3u, ~0u, 0u);
	execve(argv[0], argv, envp);
	dprintf(2, "%s: %s", argv[0], strerror(errno));
	_exit(127);
}

static int child_start(struct child *c, char *const argv[], struct err *e)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return err_sys(e, -errno, "pipe");
	c->err_fd = fds[0];
	c->pid = fork();
	if (c->pid == 0)
		child_exec(argv, fds[1]);
	close(fds[1]);
	if (c->pid < 0)
		return err_sys(e, -errno, "fork");
	setpgid(c->pid, c->pid); /* here, too: it may not have come that far when it is killed */
	c->pidfd = (int)syscall(SYS_pidfd_open, c->pid, 0);
	if (c->pidfd < 0)
		return err_sys(e, -errno, "pidfd_open");
	return 0;
}

/* Keeps the last TAIL bytes of what is there to read. */
static void tail_read(struct child *c)
{
	char buf[1024];
	ssize_t got;

	while ((got = read(c->err_fd, buf, sizeof(buf))) > 0) {
		size_t n = (size_t)got, keep;
		const char *from = buf;

		if (n > TAIL) {
			from += n - TAIL;
			n = TAIL;
		}
		keep = c->n + n > TAIL ? TAIL - n : c->n;
		memmove(c->tail, c->tail + c->n - keep, keep);
		memcpy(c->tail + keep, from, n);
		c->n = keep + n;
	}
	c->tail[c->n] = 0;
}

/* Its messages on one line, without the blanks around them. */
static const char *tail_text(struct child *c)
{
	char *s = c->tail;

	while (c->n && strchr(" \n\r\t", s[c->n - 1]))
		s[--c->n] = 0;
	for (size_t i = 0; i < c->n; i++)
		if ((unsigned char)s[i] < ' ')
			s[i] = ' ';
	return c->n ? s : "no message";
}

/* Until it exits (0) or the deadline (-ETIMEDOUT); its stderr is read all the while. */
static int child_wait(struct child *c, int64_t deadline)
{
	struct pollfd fds[] = {{c->pidfd, POLLIN, 0}, {c->err_fd, POLLIN, 0}};

	for (;;) {
		int64_t left = deadline - clock_ms();

		if (left <= 0)
			return -ETIMEDOUT;
		if (poll(fds, 2, (int)left) < 0 && errno != EINTR)
			return -errno;
		if (fds[1].revents & POLLIN)
			tail_read(c);
		if (fds[0].revents & POLLIN)
			break;
		if (fds[1].revents & (POLLHUP | POLLERR))
			fds[1].fd = -1; /* closed its stderr: only its end counts now */
	}
	tail_read(c);
	return 0;
}

static int child_judge(struct child *c, int r, struct err *e)
{
	int status = 0;

	if (r < 0)
		kill(-c->pid, SIGKILL);
	while (waitpid(c->pid, &status, 0) < 0 && errno == EINTR)
		;
	if (r < 0) {
		err_sys(e, r, "sluiced --once: %s", tail_text(c));
		return r == -ETIMEDOUT ? ONCE_FAILED : r;
	}
	if (WIFSIGNALED(status))
		return err_set(e, ONCE_FAILED, "sluiced --once was killed by signal %d: %s",
			       WTERMSIG(status), tail_text(c));
	if (WEXITSTATUS(status))
		return err_set(e, ONCE_FAILED, "sluiced --once failed: %s", tail_text(c));
	return 0;
}

int once_run(const struct plugin_conf *conf, int timeout_ms, struct err *e)
{
	__cleanup_free char *binary = once_binary(conf);
	char *const argv[] = {
		binary,
		(char[]){"--once"},
		(char[]){"--state-dir"},
		conf->state_dir,
		(char[]){"--run-dir"},
		conf->run_dir,
		(char[]){"--bpffs"},
		conf->bpffs,
		(char[]){"--policy-dir"},
		conf->policy_dir,
		NULL,
	};
	struct child c = {.pid = -1, .pidfd = -1, .err_fd = -1};
	int64_t deadline = clock_ms() + timeout_ms;
	int r;

	if (!binary)
		return err_set(e, ONCE_FAILED, "no sluiced to run (%s)",
			       conf->sluiced ? conf->sluiced : "beside the plugin or installed");
	r = child_start(&c, argv, e);
	if (c.pid > 0)
		r = child_judge(&c, r < 0 ? r : child_wait(&c, deadline), e);
	cleanup_closep(&c.pidfd);
	cleanup_closep(&c.err_fd);
	return r;
}
