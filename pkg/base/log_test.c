/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of a log on a disk that is full for a while. */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- the disk ---- */

static size_t room; /* bytes that it has left */

ssize_t write(int fd, const void *p, size_t n)
{
	size_t part = n < room ? n : room;

	if (!part) {
		errno = ENOSPC;
		return -1;
	}
	room -= part;
	return syscall(SYS_write, fd, p, part);
}

static char path[] = "/tmp/log-test-XXXXXX";

static void begin(enum log_format format)
{
	struct err e = {0};

	assert_int_equal(log_open(LOG_LEVEL_INFO, format, path, &e), 0);
}

static int start(void **state)
{
	room = SIZE_MAX;
	memcpy(strrchr(path, '-'), "-XXXXXX", 7);
	close(mkstemp(path));
	return 0;
}

static int stop(void **state)
{
	unlink(path);
	return log_open(LOG_LEVEL_INFO, LOG_FORMAT_LOGFMT, NULL, NULL);
}

/* What stands in its lines, from "msg" on. */
static void expect(const char *const *lines, size_t n)
{
	FILE *f = fopen(path, "re");
	char line[8192];

	assert_non_null(f);
	for (size_t i = 0; i < n; i++) {
		assert_non_null(fgets(line, sizeof(line), f));
		if (!strstr(line, lines[i]) || strstr(line, "time=") != line ||
		    strstr(line + 1, "time="))
			fail_msg("line %zu: '%s' instead of '%s'", i, line, lines[i]);
	}
	assert_null(fgets(line, sizeof(line), f));
	fclose(f);
}

static void a_line_that_was_cut_is_not_gone_on_with(void **state)
{
	static const char *const lines[] = {"msg=one", "time=", "msg=three", "msg=four"};

	begin(LOG_FORMAT_LOGFMT);
	log_info("one", "n=%d", 1);
	room = 20;
	log_info("two", "n=%d", 2);
	log_info("lost", "n=%d", 3);
	room = SIZE_MAX;
	log_info("three", "n=%d", 3);
	log_info("four", "n=%d", 4);
	expect(lines, 4);
}

static void nor_by_the_next_process(void **state)
{
	static const char *const lines[] = {"time=", "msg=two", "msg=three"};

	begin(LOG_FORMAT_LOGFMT);
	room = 20;
	log_info("one", "n=%d", 1);
	room = SIZE_MAX;
	begin(LOG_FORMAT_LOGFMT);
	log_info("two", "n=%d", 2);
	begin(LOG_FORMAT_LOGFMT);
	log_info("three", "n=%d", 3);
	expect(lines, 3);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, start, stop)
	const struct CMUnitTest tests[] = {
		TEST(a_line_that_was_cut_is_not_gone_on_with),
		TEST(nor_by_the_next_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
