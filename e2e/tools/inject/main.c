/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slinject: one fault in one system call of a program, by ptrace.
 *
 *	slinject REPORT run CALL FAULT PROGRAM [ARGUMENT…]
 *	slinject REPORT attach CALL FAULT PID
 *
 * CALL is N, which counts the calls the program itself makes (its children run free) from its
 * first one, or from the moment "attached" stands in REPORT; or NAME/CLASS/N, the Nth of those
 * of that name and class, which is the same one when another run makes a few calls more before
 * it. Attached is left alone after the fault, and when slinject gets SIGTERM. FAULT is the name of
 *an error, which the call returns without being done (but close closes); "short", a read or write
 *of half as much; "kill", SIGKILL at the call's entry (at its exit is at the entry of the next);
 *"none".
 *
 * REPORT gets "fault N NAME" when it happened; with N = 0 a line
 * "N NAME CLASS SHORT" for every call, CLASS what tells calls of one name apart and
 * SHORT whether it can be short. Exit: as the program's, 128 + signal, or 99.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/ptrace.h>

#include "calls.h"

#define FAILED 99

enum kind { NONE, ERROR, SHORT, KILL };

static struct {
	FILE *report;
	pid_t pid;
	unsigned long when, count, met; /* the call that fails, all calls, those like it */
	char name[32];			/* of the call; empty: any */
	long class;
	enum kind kind;
	int error;
	bool once;		       /* leave the process alone after the fault */
	struct user_regs_struct entry; /* of the call that fails */
} job;

static void fail(const char *what)
{
	fprintf(stderr, "slinject: %s: %s\n", what, strerror(errno));
	exit(FAILED);
}

static void fault_parse(const char *name)
{
	static const struct {
		const char *name;
		enum kind kind;
		int error;
	} faults[] = {
		{"none", NONE, 0},	   {"short", SHORT, 0},		{"kill", KILL, 0},
		{"EAGAIN", ERROR, EAGAIN}, {"EBUSY", ERROR, EBUSY},	{"EINTR", ERROR, EINTR},
		{"EIO", ERROR, EIO},	   {"ENOBUFS", ERROR, ENOBUFS}, {"ENOMEM", ERROR, ENOMEM},
		{"ENOSPC", ERROR, ENOSPC}, {"EROFS", ERROR, EROFS},	{"EMFILE", ERROR, EMFILE},
		{"EPERM", ERROR, EPERM},
	};

	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		if (strcmp(faults[i].name, name) == 0) {
			job.kind = faults[i].kind;
			job.error = faults[i].error;
			return;
		}
	}
	errno = EINVAL;
	fail(name);
}

static void call_parse(const char *text)
{
	int named = sscanf(text, "%31[a-z0-9_-]/%ld/%lu", job.name, &job.class, &job.when);

	if (named == 3)
		return;
	job.name[0] = '\0';
	job.when = strtoul(text, NULL, 10);
}

static void regs_get(struct user_regs_struct *r)
{
	if (ptrace(PTRACE_GETREGS, job.pid, 0, r))
		fail("GETREGS");
}

static void regs_set(struct user_regs_struct *r)
{
	if (ptrace(PTRACE_SETREGS, job.pid, 0, r))
		fail("SETREGS");
}

static void say(const char *name)
{
	fprintf(job.report, "fault %lu %s\n", job.count, name);
	fflush(job.report);
}

/* At the entry; 1 = there is something to do at the exit. */
static int fault(const struct ptrace_syscall_info *info)
{
	struct user_regs_struct r;

	say(call_name(info->entry.nr));
	if (job.kind == KILL) {
		kill(job.pid, SIGKILL);
		return 0;
	}
	regs_get(&job.entry);
	r = job.entry;
	if (job.kind == SHORT)
		r.rdx = (r.rdx + 1) / 2;
	else if (info->entry.nr == SYS_brk)
		r.rdi = 0; /* its way to fail is to move nothing and say where the end is */
	else if (info->entry.nr != SYS_close) /* which closes, whatever it says */
		r.orig_rax = (unsigned long)-1;
	regs_set(&r);
	return 1;
}

/* At the exit: the arguments as the program left them, which its compiler relies on. */
static void fault_end(void)
{
	struct user_regs_struct r;

	regs_get(&r);
	if (job.kind == ERROR && job.entry.orig_rax != SYS_brk)
		r.rax = (unsigned long)-job.error;
	r.rdx = job.entry.rdx;
	r.rdi = job.entry.rdi;
	regs_set(&r);
}

static void call_list(const struct ptrace_syscall_info *info)
{
	fprintf(job.report, "%lu %s %ld %d\n", job.count, call_name(info->entry.nr),
		call_class(job.pid, info->entry.nr, info->entry.args),
		call_can_be_short(job.pid, info->entry.nr, info->entry.args));
}

/* Whether it is the one that fails. */
static bool is_it(const struct ptrace_syscall_info *info)
{
	if (!job.name[0])
		return job.count == job.when;
	return strcmp(job.name, call_name(info->entry.nr)) == 0 &&
	       job.class == call_class(job.pid, info->entry.nr, info->entry.args) &&
	       ++job.met == job.when;
}

/* Entry or exit of a call; 1 = the fault is over. */
static int on_call(void)
{
	static bool pending;
	struct ptrace_syscall_info info = {0};

	if (ptrace(PTRACE_GET_SYSCALL_INFO, job.pid, sizeof(info), &info) < 0)
		return 0; /* killed meanwhile */
	if (info.op == PTRACE_SYSCALL_INFO_EXIT && pending) {
		fault_end();
		pending = false;
		return 1;
	}
	if (info.op != PTRACE_SYSCALL_INFO_ENTRY)
		return 0;
	job.count++;
	if (!job.when)
		call_list(&info);
	if (job.kind == NONE || !is_it(&info))
		return 0;
	pending = fault(&info);
	return !pending;
}

static int ended(int status)
{
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int follow(void)
{
	int status, signo = 0;

	for (;;) {
		if (ptrace(PTRACE_SYSCALL, job.pid, 0, signo) && errno != ESRCH)
			fail("SYSCALL");
		if (waitpid(job.pid, &status, __WALL) < 0)
			fail("waitpid");
		if (!WIFSTOPPED(status))
			return ended(status);
		signo = WSTOPSIG(status);
		if (signo == (SIGTRAP | 0x80)) {
			signo = 0;
			if (on_call() && job.once)
				return 0; /* and with us the tracing ends */
		} else if (status >> 16) {
			signo = 0; /* an event of ptrace's own */
		}
	}
}

static void start(char **argv)
{
	int status;

	job.pid = fork();
	if (job.pid == 0) {
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		raise(SIGSTOP);
		execv(argv[0], argv);
		_exit(127);
	}
	if (job.pid < 0 || waitpid(job.pid, &status, 0) < 0 ||
	    ptrace(PTRACE_SETOPTIONS, job.pid, 0,
		   PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL | PTRACE_O_TRACEEXEC))
		fail("start");
	/* up to the exec: what follows are the program's own calls */
	if (ptrace(PTRACE_CONT, job.pid, 0, 0) || waitpid(job.pid, &status, 0) < 0)
		fail("exec");
	if (!WIFSTOPPED(status)) {
		errno = ENOENT;
		fail(argv[0]);
	}
}

static void attach(const char *pid)
{
	int status;

	job.pid = (pid_t)strtol(pid, NULL, 10);
	job.once = true;
	if (ptrace(PTRACE_SEIZE, job.pid, 0, PTRACE_O_TRACESYSGOOD) ||
	    ptrace(PTRACE_INTERRUPT, job.pid, 0, 0) || waitpid(job.pid, &status, __WALL) < 0)
		fail("attach");
	fprintf(job.report, "attached\n");
	fflush(job.report);
}

int main(int argc, char **argv)
{
	int fd;

	if (argc < 6) {
		fprintf(stderr, "usage: slinject REPORT run CALL FAULT PROGRAM [ARGUMENT…]\n"
				"       slinject REPORT attach CALL FAULT PID\n");
		return FAILED;
	}
	fd = open(argv[1], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	job.report = fd < 0 ? NULL : fdopen(fd, "w");
	if (!job.report)
		fail(argv[1]);
	call_parse(argv[3]);
	fault_parse(argv[4]);
	if (!job.when)
		setvbuf(job.report, NULL, _IOLBF, 0);
	if (strcmp(argv[2], "attach") == 0)
		attach(argv[5]);
	else
		start(argv + 5);
	return follow();
}
