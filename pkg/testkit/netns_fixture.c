/* SPDX-License-Identifier: Apache-2.0 */
#include "testkit/netns_fixture.h"

#include <net/if.h>
#include <sched.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

static int run(const char *fmt, va_list ap, char *out, size_t out_len)
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
	n = (size_t)snprintf(out, out_len, "%s: ", command + prefix);
	n += fread(out + n, 1, out_len - 1 - n, f);
	out[n] = '\0';
	status = pclose(f);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

void sh(const char *fmt, ...)
{
	char out[4096];
	va_list ap;
	int status;

	va_start(ap, fmt);
	status = run(fmt, ap, out, sizeof(out));
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
	char out[4096];
	va_list ap;
	int status;

	va_start(ap, fmt);
	status = run(fmt, ap, out, sizeof(out));
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

void expect_rc_(long rc, long expected, const char *msg, const char *file, int line)
{
	if (rc != expected) {
		print_error("%s:%d: %ld (%s), expected %ld; error: %s\n", file, line, rc,
			    rc < 0 ? strerror((int)-rc) : "-", expected, msg);
		_fail(file, line);
	}
}
