/* SPDX-License-Identifier: Apache-2.0 */
#include "metrics/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/atomic_file.h"
#include "base/mem.h"

static char *said(struct metrics_text *t)
{
	size_t len;
	char *text = metrics_text_take(t, &len);

	assert_int_equal(strlen(text), len);
	metrics_text_free(t);
	return text;
}

static void a_family_has_one_head_and_its_samples_behind_it(void **state)
{
	struct metrics_text *t = metrics_text_new();
	__cleanup_free char *text = NULL;

	metrics_put(t, READY, 1);
	metrics_put(t, PASSES, 3, "ok");
	metrics_put(t, PASSES, 1, "failed");
	text = said(t);
	assert_string_equal(text,
			    "# HELP sluice_ready 1: ready, as /readyz and sluicectl status say\n"
			    "# TYPE sluice_ready gauge\n"
			    "sluice_ready 1\n"
			    "# HELP sluice_passes_total Passes over the node, by how they "
			    "ended\n"
			    "# TYPE sluice_passes_total counter\n"
			    "sluice_passes_total{result=\"ok\"} 3\n"
			    "sluice_passes_total{result=\"failed\"} 1\n");
}

static void what_comes_too_late_is_left_out(void **state)
{
	struct metrics_text *t = metrics_text_new();
	__cleanup_free char *text = NULL;

	metrics_put(t, PASSES, 3, "ok");
	metrics_put(t, READY, 1);
	metrics_put(t, PASSES, 1, "failed");
	text = said(t);
	assert_null(strstr(text, "sluice_ready"));
	assert_non_null(strstr(text, "failed"));
}

static void labels_are_escaped(void **state)
{
	static const struct {
		const char *value, *text;
	} rows[] = {
		{"a\"b", "{version=\"a\\\"b\"}"},
		{"a\\b", "{version=\"a\\\\b\"}"},
		{"a\nb", "{version=\"a\\nb\"}"},
		{"\xff\xc3\xa4", "{version=\"???\"}"},
		{"", "{version=\"\"}"},
		{NULL, "{version=\"\"}"},
		{"{},= #", "{version=\"{},= #\"}"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct metrics_text *t = metrics_text_new();
		__cleanup_free char *text = NULL;

		metrics_put(t, BUILD_INFO, 1, rows[i].value);
		text = said(t);
		if (!strstr(text, rows[i].text))
			fail_msg("%s: not in %s", rows[i].text, text);
	}
}

static void numbers_are_told_as_they_are(void **state)
{
	static const struct {
		double value;
		const char *text;
	} rows[] = {
		{0, " 0\n"},
		{-0.0, " 0\n"},
		{1e15, " 1000000000000000\n"},
		{0.25, " 0.25\n"},
		{-3, " -3\n"},
		{1e300, " 1e+300\n"},
		{NAN, " NaN\n"},
		{INFINITY, " +Inf\n"},
		{-INFINITY, " -Inf\n"},
		{9007199254740991.0, " 9007199254740991\n"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct metrics_text *t = metrics_text_new();
		__cleanup_free char *text = NULL;

		metrics_put(t, READY, rows[i].value);
		text = said(t);
		if (!strstr(text, rows[i].text))
			fail_msg("%s: not in %s", rows[i].text, text);
	}
}

static void there_is_an_end_to_it(void **state)
{
	struct metrics_text *t = metrics_text_new();
	__cleanup_free char *text = NULL;
	size_t len;

	for (size_t i = 0; i < METRICS_TEXT_MAX / 20; i++) {
		char name[16];

		snprintf(name, sizeof(name), "%zu", i);
		metrics_put(t, SNAT_PORTS, i, name);
	}
	text = said(t);
	len = strlen(text);
	assert_in_range(len, METRICS_TEXT_MAX - 200, METRICS_TEXT_MAX);
	assert_int_equal(text[len - 1], '\n');
}

static void nothing_is_an_empty_text(void **state)
{
	__cleanup_free char *text = said(metrics_text_new());

	assert_string_equal(text, "");
}

static bool name_ok(const char *s)
{
	return *s && s[strspn(s, "abcdefghijklmnopqrstuvwxyz_")] == '\0';
}

static bool ends(const char *s, const char *end)
{
	size_t n = strlen(s), k = strlen(end);

	return n > k && strcmp(s + n - k, end) == 0;
}

static void the_table_is_as_the_guidelines_say(void **state)
{
	for (size_t i = 0; i < METRICS_N; i++) {
		const struct metric_def *d = &metric_defs[i];
		bool counts = d->type == METRIC_TYPE_COUNTER;

		if (!name_ok(d->name) || !*d->help || ends(d->name, "_total") != counts)
			fail_msg("%s", d->name);
		for (size_t k = 0; k < METRICS_LABELS && d->labels[k]; k++)
			if (!name_ok(d->labels[k]))
				fail_msg("%s: label %s", d->name, d->labels[k]);
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(d->name, metric_defs[k].name);
	}
}

/* "| `sluice_passes_total` | counter | `result` | Passes over … |" */
static char *row_of(const struct metric_def *d)
{
	char *labels = mem_strdup(""), *row;

	for (size_t i = 0; i < METRICS_LABELS && d->labels[i]; i++) {
		char *more = mem_printf("%s%s`%s`", labels, i ? ", " : "", d->labels[i]);

		free(labels);
		labels = more;
	}
	row = mem_printf("| `%s` | %s | %s | %s |\n", d->name, metric_type_text(d->type), labels,
			 d->help);
	free(labels);
	return row;
}

static char *readme_load(void)
{
	char exe[PATH_MAX] = "", *build, *text = NULL;
	__cleanup_free char *path = NULL;
	struct err e = {0};
	size_t len;

	assert_true(readlink("/proc/self/exe", exe, sizeof(exe) - 1) > 0);
	build = strstr(exe, "/build/");
	assert_non_null(build);
	*build = '\0';
	path = mem_printf("%s/pkg/metrics/README.md", exe);
	if (atomic_file_load(AT_FDCWD, path, 1 << 20, &text, &len, &e) < 0)
		fail_msg("%s", e.msg);
	return text;
}

static void the_readme_has_the_same_table(void **state)
{
	__cleanup_free char *text = readme_load(), *table = mem_strdup("");

	for (size_t i = 0; i < METRICS_N; i++) {
		char *row = row_of(&metric_defs[i]), *more = mem_printf("%s%s", table, row);

		free(row);
		free(table);
		table = more;
	}
	if (!strstr(text, table))
		fail_msg("the table of the README is to be:\n%s", table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_family_has_one_head_and_its_samples_behind_it),
		cmocka_unit_test(what_comes_too_late_is_left_out),
		cmocka_unit_test(labels_are_escaped),
		cmocka_unit_test(numbers_are_told_as_they_are),
		cmocka_unit_test(there_is_an_end_to_it),
		cmocka_unit_test(nothing_is_an_empty_text),
		cmocka_unit_test(the_table_is_as_the_guidelines_say),
		cmocka_unit_test(the_readme_has_the_same_table),
	};

	return cmocka_run_group_tests_name("metrics/text", tests, NULL, NULL);
}
