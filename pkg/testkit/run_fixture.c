/* SPDX-License-Identifier: Apache-2.0 */
#include "testkit/run_fixture.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/mem.h"

char run_folder[64], run_output[1 << 16];

int run_folder_make(void **state)
{
	snprintf(run_folder, sizeof(run_folder), "/tmp/sluice-run-XXXXXX");
	return mkdtemp(run_folder) ? 0 : -1;
}

int run_folder_remove(void **state)
{
	__cleanup_free char *command = mem_printf("rm -rf '%s'", run_folder);
	FILE *f = popen(command, "r");

	return f ? pclose(f) : -1;
}

void run_put(const char *name, const char *text)
{
	__cleanup_free char *path = mem_printf("%s/%s", run_folder, name);
	__cleanup_file FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
}

/* This test is build/VARIANT/plugins/PROGRAM/x_test. */
const char *run_program(const char *name)
{
	static char path[2 * PATH_MAX];
	char self[PATH_MAX], *cut;
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	assert_true(n > 0);
	self[n] = '\0';
	cut = strstr(self, "/plugins/");
	assert_non_null(cut);
	*cut = '\0';
	snprintf(path, sizeof(path), "%s/bin/%s", self, name);
	if (access(path, X_OK) == 0)
		return path;
	cut = strrchr(self, '/');
	assert_non_null(cut);
	*cut = '\0';
	snprintf(path, sizeof(path), "%s/bin/%s", self, name);
	return path;
}

int run_shell(const char *fmt, ...)
{
	__cleanup_free char *what = NULL, *command = NULL;
	va_list ap;
	size_t n;
	FILE *f;

	va_start(ap, fmt);
	n = (size_t)vasprintf(&what, fmt, ap);
	va_end(ap);
	assert_true((int)n >= 0);
	command = mem_printf("cd %s && { %s\n} 2>&1", run_folder, what);
	f = popen(command, "r");
	assert_non_null(f);
	n = fread(run_output, 1, sizeof(run_output) - 1, f);
	run_output[n] = '\0';
	return WEXITSTATUS(pclose(f));
}

void run_assert_output(const char *text, const char *file, int line)
{
	if (strstr(run_output, text))
		return;
	print_error("no '%s' in: %s\n", text, run_output);
	_fail(file, line);
}
