/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <time.h>

#include "base/atomic_file.h"
#include "base/cleanup.h"
#include "base/tz.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct tz *zone(const char *name)
{
	struct err e = {0};
	struct tz *z = NULL;

	if (tz_load(name, &z, &e) < 0)
		fail_msg("%s", e.msg);
	return z;
}

/* libc reads the same database: the oracle, also beyond 2037, where the file has only a rule. */
static void it_is_the_time_libc_shows(void **state)
{
	static const char *const names[] = {
		"Europe/Berlin",       "America/New_York",  "Asia/Kathmandu",	"UTC",
		"Australia/Lord_Howe", "Africa/Casablanca", "Europe/Dublin",	"America/Santiago",
		"Pacific/Apia",	       "Asia/Gaza",	    "Antarctica/Troll", "America/Nuuk",
		"Etc/GMT+12",
	};
	const char *before = getenv("TZ");

	for (size_t i = 0; i < COUNT(names); i++) {
		__cleanup_tz struct tz *z = zone(names[i]);

		setenv("TZ", names[i], 1);
		tzset();
		for (int64_t t = 0; t < (int64_t)100 * 366 * 86400; t += 13 * 3600 + 1234) {
			time_t clock = t;
			struct tm tm;

			localtime_r(&clock, &tm);
			if (tz_offset(z, t) != tm.tm_gmtoff)
				fail_msg("%s at %lld: %d, libc says %ld", names[i], (long long)t,
					 tz_offset(z, t), tm.tm_gmtoff);
		}
	}
	if (before)
		setenv("TZ", before, 1);
	else
		unsetenv("TZ");
	tzset();
}

static void the_next_change_is_the_next(void **state)
{
	static const char *const names[] = {"Europe/Berlin", "America/New_York",
					    "Australia/Lord_Howe", "Europe/Dublin"};

	for (size_t i = 0; i < COUNT(names); i++) {
		__cleanup_tz struct tz *z = zone(names[i]);
		int64_t t = 1767225600; /* 2026 */

		for (int k = 0; k < 100; k++) {
			int64_t next = tz_next(z, t);

			assert_true(next > t && next < t + 366 * 86400);
			assert_int_equal(tz_offset(z, next - 1), tz_offset(z, t));
			assert_int_not_equal(tz_offset(z, next), tz_offset(z, t));
			t = next;
		}
	}
	assert_true(tz_next(NULL, 0) == INT64_MAX);
}

/* A file without transitions: its rule alone says how late it is. */
static struct tz *zone_of_rule(const char *rule)
{
	static const char part[] = "TZif2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
				   "\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\4\0\0\0\0\0\0LMT";
	char file[2 * sizeof(part) + 64];
	struct tz *z = NULL;
	int n;

	memcpy(file, part, sizeof(part));
	memcpy(file + sizeof(part), part, sizeof(part));
	n = snprintf(file + 2 * sizeof(part), 64, "\n%s\n", rule);
	assert_int_equal(tz_parse(file, 2 * sizeof(part) + (size_t)n, &z), 0);
	return z;
}

/* Found by tz_fuzz: the last Monday of a month is before its last Sunday in some years. */
static void what_a_rule_changes_with_the_year_is_a_change(void **state)
{
	static const char *const rules[] = {"CET-1CEST,M1.5.0,M1.5.1/3", "EST5EDT,M12.5.1,M12.5.0",
					    "CET-1CEST,M3.5.0,M10.5.0/3"};

	for (size_t i = 0; i < COUNT(rules); i++) {
		__cleanup_tz struct tz *z = zone_of_rule(rules[i]);
		int64_t t = 1767225600; /* 2026 */

		for (int k = 0; k < 40; k++) {
			int64_t next = tz_next(z, t);

			assert_true(next > t && next < t + 12 * 366 * 86400ll);
			for (int64_t u = t; u < next; u += 1800)
				if (tz_offset(z, u) != tz_offset(z, t))
					fail_msg("%s: a change at %lld, not at %lld", rules[i],
						 (long long)u, (long long)next);
			assert_int_not_equal(tz_offset(z, next), tz_offset(z, t));
			t = next;
		}
	}
}

static void what_is_no_zone_is_refused(void **state)
{
	static const struct {
		const char *name;
		int r;
	} t[] = {
		{"", -EINVAL},
		{"/etc/passwd", -EINVAL},
		{"../zoneinfo/UTC", -EINVAL},
		{"Europe/", -EINVAL},
		{"Europe", -ENOENT},
		{"Europe/Atlantis", -ENOENT},
		{"UTC/x", -ENOENT},
		{"a b", -EINVAL},
		{"tzdata.zi", -EINVAL},
		{"leapseconds", -EINVAL},
	};

	for (size_t i = 0; i < COUNT(t); i++) {
		struct err e = {0};
		struct tz *z = NULL;

		assert_int_equal(tz_load(t[i].name, &z, &e), t[i].r);
		assert_null(z);
		assert_int_not_equal(e.msg[0], '\0');
	}
}

static void a_broken_file_is_refused(void **state)
{
	__cleanup_close int fd = open("/usr/share/zoneinfo/Europe", O_RDONLY | O_DIRECTORY);
	__cleanup_free char *data = NULL;
	struct err e = {0};
	size_t len = 0;

	assert_int_equal(atomic_file_load(fd, "Berlin", 1 << 20, &data, &len, &e), 0);
	for (size_t n = 0; n < len; n++) {
		__cleanup_free char *cut = malloc(n + 1); /* of its own, so that ASan sees */
		struct tz *z = NULL;

		memcpy(cut, data, n);
		assert_int_equal(tz_parse(cut, n, &z), -EINVAL);
	}
	for (size_t n = 0; n < len; n++)
		for (int k = 0; k < 3; k++) {
			__cleanup_tz struct tz *z = NULL;
			char old = data[n];

			data[n] = (char)(k == 0 ? 0xff : k == 1 ? old ^ 0x80 : old + 1);
			if (tz_parse(data, len, &z) == 0)
				tz_next(z, 1767225600 + tz_offset(z, 1767225600));
			data[n] = old;
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_the_time_libc_shows),
		cmocka_unit_test(the_next_change_is_the_next),
		cmocka_unit_test(what_a_rule_changes_with_the_year_is_a_change),
		cmocka_unit_test(what_is_no_zone_is_refused),
		cmocka_unit_test(a_broken_file_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
