/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "policy/doc_fixture.h"
#include "policy/schedule.h"

#define SCHEDULE RULE "{action: Deny, schedule: "
#define WINDOW	 SCHEDULE "{windows: [{"
#define ALL	 0x7f

static void reads_a_schedule(void **state)
{
	static const char text[] = SCHEDULE
		"{timeZone: Europe/Berlin, windows: [{days: [Mon, Fri, Sun], from: '08:00', to: "
		"'17:30'}, "
		"{from: 22:00, to: 06:00}, {days: [Sat], from: '00:00', to: '24:00'}, "
		"{from: '18:00', to: '00:00'}], startAt: 2026-12-24T18:00:00+01:00, "
		"endAt: '2027-01-02T00:00:00-07:30'}}, {action: Deny, schedule: {timeZone: "
		"Europe/Berlin, "
		"endAt: 2026-02-28T23:59:59z}}, {action: Deny}]}}";
	static const struct doc_window windows[] = {{1 << 1 | 1 << 5 | 1, 480, 1050},
						    {ALL, 1320, 360},
						    {1 << 6, 0, 1440},
						    {ALL, 1080, 1440}};
	__cleanup_doc_set struct doc_set *set = read_set("a.yaml", text);
	const struct doc_schedule *s = set->policies[0]->rules[0].schedule;

	assert_non_null(s);
	assert_string_equal(s->time_zone, "Europe/Berlin");
	assert_int_equal(s->n_windows, COUNT(windows));
	for (size_t i = 0; i < COUNT(windows); i++) {
		assert_int_equal(s->windows[i].days, windows[i].days);
		assert_int_equal(s->windows[i].from, windows[i].from);
		assert_int_equal(s->windows[i].to, windows[i].to);
	}
	assert_int_equal(s->start_at, 1798131600);
	assert_int_equal(s->end_at, 1798875000);
	assert_false(schedule_active(s, s->start_at - 1));
	assert_true(schedule_active(s, s->start_at));
	s = set->policies[0]->rules[1].schedule;
	assert_int_equal(s->n_windows, 0);
	assert_true(s->start_at == INT64_MIN);
	assert_int_equal(s->end_at, 1772323199);
	assert_int_equal(set->n_zones, 1);
	assert_ptr_equal(s->zone, set->zones[0]->zone);
	assert_null(set->policies[0]->rules[2].schedule);
}

static void without_a_zone_it_is_utc(void **state)
{
	__cleanup_doc_set struct doc_set *set = read_set("a.yaml", WINDOW
							 "from: '08:00', to: '09:00'}]}}]}}");
	const struct doc_schedule *s = set->policies[0]->rules[0].schedule;

	assert_string_equal(s->time_zone, "UTC");
	assert_int_equal(schedule_next_edge(s, 0), 8 * 3600);
}

#define AT	      "a.yaml:3: spec.rules[0].schedule"
#define DAY_TIME(max) ": expected a time of day from \"00:00\" to \"" max "\", found "
#define MOMENT \
	": expected a time like 2026-12-24T18:00:00Z or 2026-12-24T18:00:00+01:00, found string "

static void refuses_bad_schedules(void **state)
{
	static const struct bad rows[] = {
		{SCHEDULE "{}}]}}", AT ": expected windows, startAt or endAt, found none"},
		{SCHEDULE "{timeZone: UTC}}]}}",
		 AT ": expected windows, startAt or endAt, found none"},
		{SCHEDULE "{windows: []}}]}}", AT ".windows: expected 1 to 32 items, found 0"},
		{SCHEDULE "{zone: UTC}}]}}",
		 AT ".zone: unknown field, expected timeZone, windows, startAt, endAt"},
		{SCHEDULE "{timeZone: CEST}}]}}", AT
		 ".timeZone: expected a time zone like Europe/Berlin, found string 'CEST': no such "
		 "zone in /usr/share/zoneinfo"},
		{SCHEDULE "{timeZone: /etc/passwd}}]}}", AT
		 ".timeZone: expected a time zone like Europe/Berlin, found string '/etc/passwd': "
		 "expected a name of the tz database"},
		{WINDOW "to: '09:00'}]}}]}}",
		 AT ".windows[0]: expected a field 'from', found none"},
		{WINDOW "from: '09:00'}]}}]}}",
		 AT ".windows[0]: expected a field 'to', found none"},
		{WINDOW "from: '9:00', to: '10:00'}]}}]}}",
		 AT ".windows[0].from" DAY_TIME("23:59") "string '9:00'"},
		{WINDOW "from: '24:00', to: '10:00'}]}}]}}",
		 AT ".windows[0].from" DAY_TIME("23:59") "string '24:00'"},
		{WINDOW "from: '09:60', to: '10:00'}]}}]}}",
		 AT ".windows[0].from" DAY_TIME("23:59") "string '09:60'"},
		{WINDOW "from: '09:00', to: '24:01'}]}}]}}",
		 AT ".windows[0].to" DAY_TIME("24:00") "string '24:01'"},
		{WINDOW "from: '09:00:00', to: '10:00'}]}}]}}",
		 AT ".windows[0].from" DAY_TIME("23:59") "string '09:00:00'"},
		{WINDOW "from: '', to: '10:00'}]}}]}}",
		 AT ".windows[0].from" DAY_TIME("23:59") "string ''"},
		{WINDOW "from: 9, to: '10:00'}]}}]}}",
		 AT ".windows[0].from: expected string, got integer 9 (put it in quotes)"},
		{WINDOW "from: '09:00', to: '09:00'}]}}]}}", AT
		 ".windows[0]: expected a time from which differs from the time to; a whole day is "
		 "\"00:00\" to \"24:00\""},
		{WINDOW "days: [], from: '09:00', to: '10:00'}]}}]}}",
		 AT ".windows[0].days: expected 1 to 7 items, found 0"},
		{WINDOW "days: [mon], from: '09:00', to: '10:00'}]}}]}}",
		 AT ".windows[0].days[0]: expected one of Mon, Tue, Wed, Thu, Fri, Sat, Sun, found "
		    "string 'mon'"},
		{WINDOW "days: [Mon, Mon], from: '09:00', to: '10:00'}]}}]}}",
		 AT ".windows[0].days[1]: expected each day once, found string 'Mon' again"},
		{SCHEDULE "{startAt: 2026-12-24}}]}}", AT ".startAt" MOMENT "'2026-12-24'"},
		{SCHEDULE "{startAt: '2026-12-24T18:00:00'}}]}}",
		 AT ".startAt" MOMENT "'2026-12-24T18:00:00'"},
		{SCHEDULE "{startAt: 2026-02-29T18:00:00Z}}]}}",
		 AT ".startAt" MOMENT "'2026-02-29T18:00:00Z'"},
		{SCHEDULE "{startAt: 2026-13-01T18:00:00Z}}]}}",
		 AT ".startAt" MOMENT "'2026-13-01T18:00:00Z'"},
		{SCHEDULE "{startAt: 2026-12-24T24:00:00Z}}]}}",
		 AT ".startAt" MOMENT "'2026-12-24T24:00:00Z'"},
		{SCHEDULE "{startAt: 2026-12-24T18:60:00Z}}]}}",
		 AT ".startAt" MOMENT "'2026-12-24T18:60:00Z'"},
		{SCHEDULE "{endAt: 2026-12-31T23:59:60Z}}]}}",
		 AT ".endAt" MOMENT "'2026-12-31T23:59:60Z'"},
		{SCHEDULE "{endAt: 2026-12-24T18:00:00.5Z}}]}}",
		 AT ".endAt" MOMENT "'2026-12-24T18:00:00.5Z'"},
		{SCHEDULE "{endAt: 2026-12-24T18:00:00+1:00}}]}}",
		 AT ".endAt" MOMENT "'2026-12-24T18:00:00+1:00'"},
		{SCHEDULE "{endAt: 2026-12-24T18:00:00Z+}}]}}",
		 AT ".endAt" MOMENT "'2026-12-24T18:00:00Z+'"},
		{SCHEDULE "{startAt: 2026-12-24T18:00:00Z,\nendAt: 2026-12-24T19:00:00+01:00}}]}}",
		 "a.yaml:4: spec.rules[0].schedule.endAt: expected a time after startAt"},
	};

	check_bad("a.yaml", rows, COUNT(rows));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_a_schedule),
		cmocka_unit_test(without_a_zone_it_is_utc),
		cmocka_unit_test(refuses_bad_schedules),
	};

	/* the messages below name the folder */
	unsetenv("TZDIR");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
