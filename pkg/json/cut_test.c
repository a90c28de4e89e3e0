/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "json/cut.h"
#include "json/json.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void what_is_whole_and_short_enough_stays(void **state)
{
	static const char *const docs[] = {"{}", "[1, 2]\n", "{\"a\": \"]}\"}", "[[[]]]"};

	for (size_t i = 0; i < COUNT(docs); i++) {
		struct json_cut c;

		json_cut(docs[i], strlen(docs[i]), strlen(docs[i]), &c);
		assert_null(c.text);
		json_cut_done(&c);
	}
}

/* Of a document that is whole there is nothing to leave out. */
static void an_end_of_line_too_much_costs_nothing(void **state)
{
	static const char text[] = "[1, 2]\n";
	struct json_cut c;

	json_cut(text, strlen(text), strlen(text) - 1, &c);
	assert_null(c.text);
	json_cut_done(&c);
}

static void the_outermost_list_keeps_its_whole_elements(void **state)
{
	static const struct {
		const char *text;
		size_t max;
		const char *left, *where;
		size_t kept;
	} table[] = {
		{"[1, 2, 3]", 8, "[1, 2]\n", "", 2},
		{"[1, 2, 3]", 5, "[1]\n", "", 1},
		{"[1, 2, 3]", 2, "[]\n", "", 0},
		{"{\"a\": [{\"b\": [1, 2]}, {\"b\": [3, 4]}], \"c\": 5}", 32,
		 "{\"a\": [{\"b\": [1, 2]}]}\n", "a", 1},
		{"{\"a\": {\"b,\": [\"x\\\",y\", 2, 3]}}", 24, "{\"a\": {\"b,\": [\"x\\\",y\"]}}\n",
		 "a.b,", 1},
		/* the only list has no whole element: the members before it */
		{"{\"a\": 1, \"b\": [\"long one\"]}", 22, "{\"a\": 1}\n", "", 1},
		{"{\"a\": \"long one\"}", 12, "{}\n", "", 0},
		{"\"long one\"", 5, "null\n", "", 0},
		/* it was ended while it spoke */
		{"{\"a\": [1, 2, 3", 100, "{\"a\": [1, 2]}\n", "a", 2},
		{"", 100, "null\n", "", 0},
	};

	for (size_t i = 0; i < COUNT(table); i++) {
		struct json_cut c;

		json_cut(table[i].text, strlen(table[i].text), table[i].max, &c);
		assert_non_null(c.text);
		assert_string_equal(c.text, table[i].left);
		assert_int_equal(c.len, strlen(c.text));
		assert_string_equal(c.where, table[i].where);
		assert_int_equal(c.kept, table[i].kept);
		json_cut_done(&c);
	}
}

static void wherever_it_is_cut_it_is_json(void **state)
{
	static const char text[] =
		"{\"a\": [1, {\"x\\\\\": \"\\\"\", \"y\": [true, null]}, [[], {}]], "
		"\"b\": {\"c\": -1.5e3, \"d\": [\"{[\", \"\\u0041\"]}, \"e\": []}";

	for (size_t max = 0; max <= sizeof(text); max++) {
		struct json *j = NULL;
		struct json_cut c;

		json_cut(text, sizeof(text) - 1, max, &c);
		if (c.text && json_parse(c.text, c.len, &j, NULL) < 0)
			fail_msg("cut at %zu: %s", max, c.text);
		json_free(j);
		json_cut_done(&c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_whole_and_short_enough_stays),
		cmocka_unit_test(an_end_of_line_too_much_costs_nothing),
		cmocka_unit_test(the_outermost_list_keeps_its_whole_elements),
		cmocka_unit_test(wherever_it_is_cut_it_is_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
