/* SPDX-License-Identifier: Apache-2.0 */
/*
 * calls: runs programs and says what each cost. A line of stdin is a call:
 *
 *	OPTION <tab> STDIN-FILE <tab> STDOUT-FILE <tab> PROGRAM [<tab> NAME=VALUE]…
 *
 * where PROGRAM may have arguments, each after a byte 1.
 * An empty line runs the calls read so far, all at once; the answer is a line
 * "EXIT WALL-NS CPU-NS RSS-KIB" for each in their order, and "all WALL-NS".
 *
 * It is a program of its own, small and without a shell, as the parent's memory
 * counts in the child's peak (ru_maxrss survives exec).
 *
 * OPTION "-" is none. "clsact": BPF_PROG_QUERY fails for the program, by seccomp,
 * as on a kernel without TCX.
 */
#include "meter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_CALLS 256
#define MAX_ENV	  32
#define MAX_ARGS  32
#define LINE_MAX_ 8192

struct call {
	char line[LINE_MAX_];
	const char *option, *in, *out;
	char *argv[MAX_ARGS + 1], *env[MAX_ENV + 1];
	pid_t pid;
	uint64_t start, wall;
	struct rusage use;
	int status;
};

static struct call calls[MAX_CALLS];

static char *field(char **rest)
{
	char *f = strsep(rest, "\t");

	if (!f)
		fail("a call with too few fields");
	return f;
}

static void call_parse(struct call *c)
{
	char *rest = c->line, *words;
	size_t n = 0;

	c->option = field(&rest);
	c->in = field(&rest);
	c->out = field(&rest);
	words = field(&rest);
	while (words && n < MAX_ARGS)
		c->argv[n++] = strsep(&words, "\1");
	c->argv[n] = NULL;
	n = 0;
	while (rest && n < MAX_ENV)
		c->env[n++] = strsep(&rest, "\t");
	c->env[n] = NULL;
}

static void tcx_hide(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_bpf, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, BPF_PROG_QUERY, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = {sizeof(code) / sizeof(code[0]), code};

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog))
		_exit(126);
}

/* Between vfork and exec: nothing but system calls. */
static void child(const struct call *c)
{
	int in = open(c->in, O_RDONLY), out = open(c->out, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (in < 0 || out < 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0)
		_exit(125);
	syscall(SYS_close_range, 3u, ~0u, 0u);
	if (strcmp(c->option, "clsact") == 0)
		tcx_hide();
	execve(c->argv[0], c->argv, c->env);
	_exit(127);
}

static void call_start(struct call *c)
{
	c->start = now_ns();
	c->pid = vfork();
	if (c->pid == 0)
		child(c);
	if (c->pid < 0)
		fail("vfork: %m");
}

static void one_end(size_t n)
{
	struct rusage use;
	int status;
	pid_t pid = wait4(-1, &status, 0, &use);
	uint64_t now = now_ns();

	if (pid < 0)
		fail("wait4: %m");
	for (size_t i = 0; i < n; i++) {
		if (calls[i].pid == pid) {
			calls[i].wall = now - calls[i].start;
			calls[i].use = use;
			calls[i].status = WIFEXITED(status) ? WEXITSTATUS(status)
							    : 128 + WTERMSIG(status);
		}
	}
}

static uint64_t time_ns(struct timeval t)
{
	return ((uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_usec) * 1000u;
}

static void batch_run(size_t n)
{
	uint64_t start = now_ns(), wall;

	for (size_t i = 0; i < n; i++)
		call_start(&calls[i]);
	for (size_t i = 0; i < n; i++)
		one_end(n);
	wall = now_ns() - start;
	for (size_t i = 0; i < n; i++) {
		const struct call *c = &calls[i];

		printf("%d %llu %llu %ld\n", c->status, (unsigned long long)c->wall,
		       (unsigned long long)(time_ns(c->use.ru_utime) + time_ns(c->use.ru_stime)),
		       c->use.ru_maxrss);
	}
	printf("all %llu\n", (unsigned long long)wall);
	fflush(stdout);
}

int calls_main(int argc, char **argv)
{
	size_t n = 0;

	while (fgets(calls[n].line, LINE_MAX_, stdin)) {
		char *end = strchr(calls[n].line, '\n');

		if (!end)
			fail("a line that is too long");
		*end = 0;
		if (calls[n].line[0]) {
			call_parse(&calls[n]);
			if (++n == MAX_CALLS)
				fail("more than %d calls at once", MAX_CALLS - 1);
			continue;
		}
		batch_run(n);
		n = 0;
	}
	return 0;
}
