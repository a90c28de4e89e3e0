/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "json/json.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

DEFINE_CLEANUP(struct yaml *, yaml_close);
#define __cleanup_yaml __cleanup(yaml_closep)

static struct json *parse(const char *text)
{
	__cleanup_yaml struct yaml *y = NULL;
	struct json *j = NULL;
	struct err e = {0};

	assert_int_equal(yaml_open(text, strlen(text), &y, &e), 0);
	if (yaml_next(y, &j, &e) < 0)
		fail_msg("%s: %s", text, e.msg);
	return j;
}

static void scalars_get_the_type_of_the_core_schema(void **state)
{
	static const struct {
		const char *yaml, *json;
	} rows[] = {
		{"~", "null"},
		{"null", "null"},
		{"NULL", "null"},
		{"true", "true"},
		{"False", "false"},
		{"yes", "\"yes\""},
		{"on", "\"on\""},
		{"'true'", "\"true\""},
		{"\"1\"", "\"1\""},
		{"1", "1"},
		{"-0", "-0"},
		{"+12", "12"},
		{"0x1F", "31"},
		{"0xffe00000", "4292870144"},
		{"0o17", "15"},
		{"0b1", "\"0b1\""},
		{"1_000", "\"1_000\""},
		{"0", "0"},
		{"1.50", "1.50"},
		{".5", "0.5"},
		{"-5.", "-5.0"},
		{"5.e3", "5.0e3"},
		{"1e3", "1e3"},
		{"1.2.3.4", "\"1.2.3.4\""},
		{"203.0.113.16-203.0.113.31", "\"203.0.113.16-203.0.113.31\""},
		{"2001:db8::1", "\"2001:db8::1\""},
		{"2026-01-01T00:00:00Z", "\"2026-01-01T00:00:00Z\""},
		{"-", "[null]"},
		{"\"<<\"", "\"<<\""},
		{"|\n  a\n  b\n", "\"a\\nb\\n\""},
		{"{a: 1, \"b\": [x, {}], c: , 'd e': ~}",
		 "{\"a\":1,\"b\":[\"x\",{}],\"c\":null,\"d e\":null}"},
		{"a:\n- 1\n- b: 2\n", "{\"a\":[1,{\"b\":2}]}"},
		{"{\"a\":[1,2.5,\"x\\u00fc\"]}", "{\"a\":[1,2.5,\"xü\"]}"},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		__cleanup_json struct json *j = parse(rows[i].yaml);
		__cleanup_free char *text = json_emit(j, 0);

		assert_string_equal(text, rows[i].json);
	}
}

static void reads_documents_one_by_one_and_skips_empty_ones(void **state)
{
	static const char text[] = "---\n# only a comment\n---\na: 1\n...\n---\n---\nb: 2\n---\n";
	__cleanup_yaml struct yaml *y = NULL;
	__cleanup_json struct json *a = NULL, *b = NULL, *end = NULL;
	struct err e = {0};

	assert_int_equal(yaml_open(text, strlen(text), &y, &e), 0);
	assert_int_equal(yaml_next(y, &a, &e), 0);
	assert_int_equal(json_line(a), 4);
	assert_non_null(json_get(a, "a"));
	assert_int_equal(yaml_next(y, &b, &e), 0);
	assert_int_equal(json_line(json_get(b, "b")), 8);
	assert_int_equal(yaml_next(y, &end, &e), 0);
	assert_null(end);
	assert_int_equal(yaml_next(y, &end, &e), -EINVAL); /* past the end, not in a loop */
}

static void an_empty_text_has_no_document(void **state)
{
	assert_null(parse(""));
	assert_null(parse("# nothing\n"));
}

static void knows_lines_and_paths(void **state)
{
	__cleanup_json struct json *j = parse("# head\nspec:\n  rules:\n  - name: a\n    to:\n"
					      "    - cidr: x\n  - name: b\n");
	const struct json *rules = json_get(json_get(j, "spec"), "rules");
	const struct json *cidr = json_get(json_at(json_get(json_at(rules, 0), "to"), 0), "cidr");

	assert_int_equal(json_line(rules), 3);
	assert_int_equal(json_line(json_at(rules, 1)), 7);
	assert_int_equal(json_line(cidr), 6);
	assert_string_equal(json_path(cidr), "spec.rules[0].to[0].cidr");
}

static void a_byte_order_mark_is_no_part_of_the_text(void **state)
{
	__cleanup_json struct json *j = parse("\xef\xbb\xbf"
					      "a: 1\nb: 2\n");

	assert_int_equal(json_len(j), 2);
	assert_non_null(json_get(j, "a"));
}

static void refuses_what_two_readers_could_read_differently(void **state)
{
	static const struct {
		const char *text, *message;
	} rows[] = {
		{"a: &x 1", "line 1 column 4: anchors and tags are not supported"},
		{"a: &x {b: 1}", "line 1 column 4: anchors and tags are not supported"},
		{"a: &x [1]", "line 1 column 4: anchors and tags are not supported"},
		{"a: !!str 1", "line 1 column 4: anchors and tags are not supported"},
		{"a: ! 1", "line 1 column 4: anchors and tags are not supported"},
		{"a: !!binary aGk=", "line 1 column 4: anchors and tags are not supported"},
		{"&x a: 1", "line 1 column 1: anchors and tags are not supported"},
		{"a: *x", "line 1 column 4: aliases are not supported"},
		{"a:\n  <<: {b: 1}", "line 2 column 3: merge keys are not supported"},
		{"a: 1\nb: 2\na: 3\n", "line 3: a: given twice"},
		{"s:\n  x: 1\n  \"x\": 2\n", "line 3: s.x: given twice"},
		{"a: 017", "line 1 column 4: a number with a leading zero is read differently by "
			   "different readers: drop the zero, or put it in quotes if it is text"},
		{"a: b\nc: \xc3\xa4\xe4 d\n",
		 "line 2 column 6: not UTF-8 text: invalid trailing UTF-8 octet"},
		{"\xff\xfe"
		 "a",
		 "line 1 column 1: not UTF-8 text: invalid leading UTF-8 octet"},
		{"a: .nan", "line 1 column 4: expected a finite number"},
		{"a: -.INF", "line 1 column 4: expected a finite number"},
		{"a: 0xfffffffffffffffff",
		 "line 1 column 4: a number above 64 bits: put it in quotes if it is text"},
		{"a: \"x\\0y\"", "line 1 column 4: expected no NUL character in a string"},
		{"1: x", "line 1 column 1: expected a string as member name: put it in quotes"},
		{"true: x", "line 1 column 1: expected a string as member name: put it in quotes"},
		{"? [a]\n: x", "line 1 column 3: expected a string as member name"},
		{"{a: 1", "line 2 column 1: did not find expected ',' or '}' while parsing a flow "
			  "mapping"},
		{"a: [1\nb: 2", NULL},
		{"a:\n\t- 1", "line 2 column 1: found a tab: YAML is indented by spaces alone"},
		{"a: 1\n b: 2", NULL},
		{"a: \"\xff\"", NULL},
		{"@", NULL},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		__cleanup_yaml struct yaml *y = NULL;
		struct json *j = NULL;
		struct err e = {0};

		assert_int_equal(yaml_open(rows[i].text, strlen(rows[i].text), &y, &e), 0);
		assert_int_equal(yaml_next(y, &j, &e), -EINVAL);
		assert_null(j);
		if (rows[i].message)
			assert_string_equal(e.msg, rows[i].message);
		else
			assert_memory_equal(e.msg, "line ", 5);
	}
}

static void bounds_the_depth(void **state)
{
	char text[JSON_MAX_DEPTH + 3];
	__cleanup_yaml struct yaml *y = NULL;
	struct json *j = NULL;
	struct err e = {0};

	memset(text, '[', sizeof(text));
	assert_int_equal(yaml_open(text, sizeof(text), &y, &e), 0);
	assert_int_equal(yaml_next(y, &j, &e), -E2BIG);
	assert_string_equal(e.msg, "line 1 column 65: nested deeper than 64");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(scalars_get_the_type_of_the_core_schema),
		cmocka_unit_test(reads_documents_one_by_one_and_skips_empty_ones),
		cmocka_unit_test(an_empty_text_has_no_document),
		cmocka_unit_test(knows_lines_and_paths),
		cmocka_unit_test(a_byte_order_mark_is_no_part_of_the_text),
		cmocka_unit_test(refuses_what_two_readers_could_read_differently),
		cmocka_unit_test(bounds_the_depth),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
