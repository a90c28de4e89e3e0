/* SPDX-License-Identifier: Apache-2.0 */
#include "testkit/netns_fixture.h"

#include <linux/bpf.h>
#include <net/if.h>
#include <sched.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

void netns_fresh(void)
{
	if (geteuid() != 0) {
		print_message("skipped: needs root\n");
		skip();
	}
	if (unshare(CLONE_NEWNET) < 0) {
		print_message("skipped: no network namespaces: %m\n");
		skip();
	}
	sh("ip link set lo up");
}

void mounts_fresh(void)
{
	assert_int_equal(unshare(CLONE_NEWNS), 0);
	assert_int_equal(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
}

#define OUTPUT_MAX 4096

/* Its exit status; out: the command and what it said. */
static int run(char out[OUTPUT_MAX], const char *fmt, va_list ap)
{
	char command[1024] = "exec 2>&1; ";
	size_t prefix = strlen(command);
	size_t n;
	FILE *f;
	int status;

	assert_in_range(vsnprintf(command + prefix, sizeof(command) - prefix, fmt, ap), 1,
			sizeof(command) - prefix - 1);
	f = popen(command, "r");
	assert_non_null(f);
	n = (size_t)snprintf(out, OUTPUT_MAX, "%s: ", command + prefix);
	n += fread(out + n, 1, OUTPUT_MAX - 1 - n, f);
	out[n] = '\0';
	status = pclose(f);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

void sh(const char *fmt, ...)
{
	char out[OUTPUT_MAX];
	va_list ap;
	int status;

	va_start(ap, fmt);
	status = run(out, fmt, ap);
	va_end(ap);
	if (status != 0)
		fail_msg("%s (exit status %d)", out, status);
}

void sh_output(char *buf, size_t len, const char *command)
{
	FILE *p = popen(command, "r");
	size_t n;

	assert_non_null(p);
	n = fread(buf, 1, len - 1, p);
	buf[n] = '\0';
	pclose(p);
}

int sh_status(const char *fmt, ...)
{
	char out[OUTPUT_MAX];
	va_list ap;
	int status;

	va_start(ap, fmt);
	status = run(out, fmt, ap);
	va_end(ap);
	return status;
}

uint32_t ifindex_of(const char *name)
{
	uint32_t ifindex = if_nametoindex(name);

	if (ifindex == 0)
		fail_msg("no interface %s", name);
	return ifindex;
}

int tc_program(const char *name, int answer)
{
	struct bpf_insn insns[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = answer},
		{.code = BPF_JMP | BPF_EXIT},
	};
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_SCHED_CLS,
		.insns = (uintptr_t)insns,
		.insn_cnt = 2,
		.license = (uintptr_t) "Dual BSD/GPL",
	};
	long fd;

	strncpy(attr.prog_name, name, sizeof(attr.prog_name) - 1);
	fd = syscall(__NR_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));
	if (fd < 0)
		fail_msg("load: %m");
	return (int)fd;
}

void expect_rc_(long rc, long expected, const char *msg, const char *file, int line)
{
	if (rc != expected) {
		print_error("%s:%d: %ld (%s), expected %ld; error: %s\n", file, line, rc,
			    rc < 0 ? strerror((int)-rc) : "-", expected, msg);
		_fail(file, line);
	}
}
