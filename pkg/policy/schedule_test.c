/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <time.h>

#include "base/mem.h"
#include "base/tz.h"
#include "policy/doc.h"
#include "policy/schedule.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

enum { SUN = 1, MON = 2, TUE = 4, WED = 8, THU = 16, FRI = 32, SAT = 64, ALL = 127, WORK = 62 };
#define AT(h, m) ((h)*60 + (m))

/* "2026-03-29 01:00:00" in UTC */
static int64_t utc(const char *s)
{
	struct tm tm = {0};
	char *end = strptime(s, "%Y-%m-%d %H:%M:%S", &tm);

	if (!end || *end)
		fail_msg("%s", s);
	return timegm(&tm);
}

static const char *text(int64_t t)
{
	static char buf[4][32];
	static int i;
	time_t clock = t;
	struct tm tm;

	if (t == INT64_MAX)
		return "never";
	gmtime_r(&clock, &tm);
	strftime(buf[++i % 4], sizeof(buf[0]), "%Y-%m-%d %H:%M:%S", &tm);
	return buf[i % 4];
}

static struct tz *zone(const char *name)
{
	struct err e = {0};
	struct tz *z = NULL;

	if (tz_load(name, &z, &e) < 0)
		fail_msg("%s", e.msg);
	return z;
}

/* The edges after a moment, one after the other, and whether the rule holds from each on. */
struct walk {
	const char *zone;
	struct doc_window windows[3];
	size_t n_windows;
	const char *start, *end;
	const char *from;
	const char *edges[6]; /* "+…": begins to hold; NULL: never again, when fewer */
};

static void check_walk(const struct walk *w)
{
	__cleanup_tz struct tz *z = zone(w->zone);
	struct doc_schedule s = {
		.zone = z,
		.windows = mem_dup(w->windows, sizeof(w->windows)),
		.n_windows = w->n_windows,
		.start_at = w->start ? utc(w->start) : INT64_MIN,
		.end_at = w->end ? utc(w->end) : INT64_MAX,
	};
	int64_t t = utc(w->from);

	for (size_t i = 0; i < COUNT(w->edges); i++) {
		bool before = schedule_active(&s, t);

		t = schedule_next_edge(&s, t);
		if (!w->edges[i]) {
			assert_string_equal(text(t), "never");
			break;
		}
		assert_string_equal(text(t), w->edges[i] + 1);
		assert_int_equal(schedule_active(&s, t), w->edges[i][0] == '+');
		assert_int_equal(schedule_active(&s, t - 1), before);
		assert_int_not_equal(schedule_active(&s, t), before);
	}
	free(s.windows);
}

static void a_window_holds_by_the_clock_on_the_wall(void **state)
{
	static const struct walk rows[] = {
		{"UTC",
		 {{WORK, AT(9, 0), AT(17, 30)}},
		 1,
		 .from = "2026-11-20 12:00:00",
		 .edges = {"-2026-11-20 17:30:00", "+2026-11-23 09:00:00", "-2026-11-23 17:30:00",
			   "+2026-11-24 09:00:00", "-2026-11-24 17:30:00", "+2026-11-25 09:00:00"}},
		{"Asia/Kathmandu",
		 {{MON, AT(9, 0), AT(10, 0)}},
		 1,
		 .from = "2026-11-20 12:00:00",
		 .edges = {"+2026-11-23 03:15:00", "-2026-11-23 04:15:00", "+2026-11-30 03:15:00",
			   "-2026-11-30 04:15:00", "+2026-12-07 03:15:00", "-2026-12-07 04:15:00"}},
		/* over midnight: Friday's, and no Saturday evening */
		{"America/New_York",
		 {{FRI, AT(22, 0), AT(6, 0)}},
		 1,
		 .from = "2026-11-20 12:00:00",
		 .edges = {"+2026-11-21 03:00:00", "-2026-11-21 11:00:00", "+2026-11-28 03:00:00",
			   "-2026-11-28 11:00:00", "+2026-12-05 03:00:00", "-2026-12-05 11:00:00"}},
		/* until 24:00 and from 00:00: one stretch */
		{"UTC",
		 {{SAT, AT(20, 0), AT(24, 0)}, {SUN, 0, AT(4, 0)}},
		 2,
		 .from = "2026-11-20 12:00:00",
		 .edges = {"+2026-11-21 20:00:00", "-2026-11-22 04:00:00", "+2026-11-28 20:00:00",
			   "-2026-11-29 04:00:00", "+2026-12-05 20:00:00", "-2026-12-06 04:00:00"}},
		/* windows that touch and overlap */
		{"UTC",
		 {{ALL, AT(8, 0), AT(10, 0)},
		  {ALL, AT(10, 0), AT(12, 0)},
		  {ALL, AT(9, 0), AT(11, 0)}},
		 3,
		 .from = "2026-11-20 07:00:00",
		 .edges = {"+2026-11-20 08:00:00", "-2026-11-20 12:00:00", "+2026-11-21 08:00:00",
			   "-2026-11-21 12:00:00", "+2026-11-22 08:00:00", "-2026-11-22 12:00:00"}},
	};

	for (size_t i = 0; i < COUNT(rows); i++)
		check_walk(rows + i);
}

static void the_clocks_may_change_inside_a_window(void **state)
{
	static const struct walk rows[] = {
		/* Berlin, 29 March 2026: 02:00 is 03:00, at 01:00 UTC */
		{"Europe/Berlin",
		 {{ALL, AT(2, 30), AT(4, 0)}},
		 1,
		 .from = "2026-03-28 12:00:00",
		 .edges = {"+2026-03-29 01:00:00", "-2026-03-29 02:00:00", "+2026-03-30 00:30:00",
			   "-2026-03-30 02:00:00", "+2026-03-31 00:30:00", "-2026-03-31 02:00:00"}},
		{"Europe/Berlin",
		 {{ALL, AT(2, 15), AT(2, 45)}},
		 1,
		 .from = "2026-03-28 00:00:00",
		 .edges = {"+2026-03-28 01:15:00", "-2026-03-28 01:45:00", "+2026-03-30 00:15:00",
			   "-2026-03-30 00:45:00", "+2026-03-31 00:15:00", "-2026-03-31 00:45:00"}},
		{"Europe/Berlin",
		 {{ALL, AT(1, 0), AT(2, 30)}},
		 1,
		 .from = "2026-03-28 12:00:00",
		 .edges = {"+2026-03-29 00:00:00", "-2026-03-29 01:00:00", "+2026-03-29 23:00:00",
			   "-2026-03-30 00:30:00", "+2026-03-30 23:00:00", "-2026-03-31 00:30:00"}},
		/* Berlin, 25 October 2026: 03:00 is 02:00, at 01:00 UTC */
		{"Europe/Berlin",
		 {{ALL, AT(2, 15), AT(2, 45)}},
		 1,
		 .from = "2026-10-24 12:00:00",
		 .edges = {"+2026-10-25 00:15:00", "-2026-10-25 00:45:00", "+2026-10-25 01:15:00",
			   "-2026-10-25 01:45:00", "+2026-10-26 01:15:00", "-2026-10-26 01:45:00"}},
		{"Europe/Berlin",
		 {{ALL, AT(2, 30), AT(4, 0)}},
		 1,
		 .from = "2026-10-24 12:00:00",
		 .edges = {"+2026-10-25 00:30:00", "-2026-10-25 01:00:00", "+2026-10-25 01:30:00",
			   "-2026-10-25 03:00:00", "+2026-10-26 01:30:00", "-2026-10-26 03:00:00"}},
		/* a night's work is nine hours long when the clocks go back, and seven in spring */
		{"Europe/Berlin",
		 {{SAT, AT(22, 0), AT(6, 0)}},
		 1,
		 .from = "2026-10-24 12:00:00",
		 .edges = {"+2026-10-24 20:00:00", "-2026-10-25 05:00:00", "+2026-10-31 21:00:00",
			   "-2026-11-01 05:00:00", "+2026-11-07 21:00:00", "-2026-11-08 05:00:00"}},
		{"Europe/Berlin",
		 {{SAT, AT(22, 0), AT(6, 0)}},
		 1,
		 .from = "2026-03-28 12:00:00",
		 .edges = {"+2026-03-28 21:00:00", "-2026-03-29 04:00:00", "+2026-04-04 20:00:00",
			   "-2026-04-05 04:00:00", "+2026-04-11 20:00:00", "-2026-04-12 04:00:00"}},
		/* New York: 8 March 07:00 UTC, 1 November 06:00 UTC */
		{"America/New_York",
		 {{SUN, AT(1, 30), AT(3, 30)}},
		 1,
		 .from = "2026-03-07 12:00:00",
		 .edges = {"+2026-03-08 06:30:00", "-2026-03-08 07:30:00", "+2026-03-15 05:30:00",
			   "-2026-03-15 07:30:00", "+2026-03-22 05:30:00", "-2026-03-22 07:30:00"}},
		{"America/New_York",
		 {{SUN, AT(1, 30), AT(3, 30)}},
		 1,
		 .from = "2026-10-31 12:00:00",
		 .edges = {"+2026-11-01 05:30:00", "-2026-11-01 06:00:00", "+2026-11-01 06:30:00",
			   "-2026-11-01 08:30:00", "+2026-11-08 06:30:00", "-2026-11-08 08:30:00"}},
		/* Lord Howe moves by half an hour: 4 April 2026 15:00 UTC back, 3 October forth */
		{"Australia/Lord_Howe",
		 {{SUN, AT(1, 45), AT(2, 15)}},
		 1,
		 .from = "2026-04-04 00:00:00",
		 .edges = {"+2026-04-04 14:45:00", "-2026-04-04 15:00:00", "+2026-04-04 15:15:00",
			   "-2026-04-04 15:45:00", "+2026-04-11 15:15:00", "-2026-04-11 15:45:00"}},
		{"Australia/Lord_Howe",
		 {{SUN, AT(2, 15), AT(2, 45)}},
		 1,
		 .from = "2026-10-03 00:00:00",
		 .edges = {"+2026-10-03 15:30:00", "-2026-10-03 15:45:00", "+2026-10-10 15:15:00",
			   "-2026-10-10 15:45:00", "+2026-10-17 15:15:00", "-2026-10-17 15:45:00"}},
	};

	for (size_t i = 0; i < COUNT(rows); i++)
		check_walk(rows + i);
}

static void a_schedule_begins_and_ends_on_the_second(void **state)
{
	static const struct walk rows[] = {
		{"UTC", .start = "2026-11-20 12:34:56", .end = "2026-11-21 00:00:01",
		 .from = "2026-11-01 00:00:00",
		 .edges = {"+2026-11-20 12:34:56", "-2026-11-21 00:00:01", NULL}},
		{"UTC", .end = "2026-11-21 00:00:01", .from = "2026-11-01 00:00:00",
		 .edges = {"-2026-11-21 00:00:01", NULL}},
		{"UTC", .start = "2026-11-20 12:34:56", .from = "2026-11-01 00:00:00",
		 .edges = {"+2026-11-20 12:34:56", NULL}},
		{"UTC", .from = "2026-11-01 00:00:00", .edges = {NULL}},
		{"Europe/Berlin",
		 {{ALL, 0, AT(24, 0)}},
		 1,
		 .from = "2026-03-01 00:00:00",
		 .edges = {NULL}},
		/* a start inside a window, an end inside another, years after */
		{"Europe/Berlin",
		 {{MON, AT(9, 0), AT(12, 0)}},
		 1,
		 .start = "2030-01-07 09:00:30",
		 .end = "2030-01-14 08:00:01",
		 .from = "2026-03-01 00:00:00",
		 .edges = {"+2030-01-07 09:00:30", "-2030-01-07 11:00:00", "+2030-01-14 08:00:00",
			   "-2030-01-14 08:00:01", NULL}},
		{"UTC",
		 {{MON, AT(9, 0), AT(12, 0)}},
		 1,
		 .start = "2026-11-24 00:00:00",
		 .end = "2026-11-30 08:00:00",
		 .from = "2026-11-01 00:00:00",
		 .edges = {NULL}},
		{"Europe/Berlin",
		 {{ALL, 0, AT(24, 0)}},
		 1,
		 .start = "2026-03-01 00:00:00",
		 .end = "2027-03-01 00:00:00",
		 .from = "2026-02-01 00:00:00",
		 .edges = {"+2026-03-01 00:00:00", "-2027-03-01 00:00:00", NULL}},
	};

	for (size_t i = 0; i < COUNT(rows); i++)
		check_walk(rows + i);
}

static void a_rule_without_a_schedule_always_holds(void **state)
{
	assert_true(schedule_active(NULL, 0));
	assert_true(schedule_next_edge(NULL, 0) == INT64_MAX);
}

/* Second by second would take for ever; minute by minute shows every edge a window can have. */
static void the_next_edge_is_where_it_changes_next(void **state)
{
	static const char *const zones[] = {"Europe/Berlin", "America/New_York",
					    "Australia/Lord_Howe"};
	static const char *const from[] = {"2026-03-06 00:00:00", "2026-03-27 00:00:00",
					   "2026-04-03 00:00:00", "2026-10-02 00:00:00",
					   "2026-10-23 00:00:00", "2026-10-30 00:00:00"};
	struct doc_window windows[] = {{SAT | SUN, AT(1, 50), AT(2, 20)},
				       {SUN, AT(2, 40), AT(3, 10)},
				       {SAT, AT(23, 0), AT(1, 10)}};

	for (size_t i = 0; i < COUNT(zones) * COUNT(from); i++) {
		__cleanup_tz struct tz *z = zone(zones[i % COUNT(zones)]);
		struct doc_schedule s = {.zone = z,
					 .windows = windows,
					 .n_windows = 3,
					 .start_at = INT64_MIN,
					 .end_at = INT64_MAX};
		int64_t t = utc(from[i / COUNT(zones)]), end = t + 4 * 86400;
		int64_t edge = schedule_next_edge(&s, t);

		for (t += 60; t < end; t += 60) {
			bool changed = schedule_active(&s, t) != schedule_active(&s, t - 60);

			assert_int_equal(changed, t == edge);
			if (changed)
				edge = schedule_next_edge(&s, t);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_window_holds_by_the_clock_on_the_wall),
		cmocka_unit_test(the_clocks_may_change_inside_a_window),
		cmocka_unit_test(a_schedule_begins_and_ends_on_the_second),
		cmocka_unit_test(a_rule_without_a_schedule_always_holds),
		cmocka_unit_test(the_next_edge_is_where_it_changes_next),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
