/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "base/mem.h"
#include "json/json.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct json *parse(const char *text)
{
	struct json *j = NULL;
	struct err e = {0};

	if (json_parse(text, strlen(text), &j, &e) < 0)
		fail_msg("%s: %s", text, e.msg);
	return j;
}

static void emits_what_it_read_in_the_same_order(void **state)
{
	static const char *const docs[] = {
		"null",
		"true",
		"[]",
		"{}",
		"[1,-0,12345678901234567890,1.50,1E+2,-2e-3]",
		"{\"z\":1,\"a\":{\"y\":[],\"b\":null},\"\":false}",
		"\"\\\"\\\\\\n\\t\\r\\b\\f\\u001f/ü€😀\"",
	};

	for (size_t i = 0; i < COUNT(docs); i++) {
		__cleanup_json struct json *j = parse(docs[i]);
		__cleanup_free char *text = json_emit(j, 0);

		assert_string_equal(text, docs[i]);
	}
}

static void indents_when_asked(void **state)
{
	__cleanup_json struct json *j = parse("{\"a\":[1,{}],\"b\":\"x\"}");
	__cleanup_free char *text = json_emit(j, 2);

	assert_string_equal(text, "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": \"x\"\n}");
}

static void decodes_escapes(void **state)
{
	static const struct {
		const char *text, *value;
	} rows[] = {
		{"\"\\u00fc\\u20ac\\ud83d\\ude00\\/\"", "ü€😀/"},
		{"\"a\\nb\\\"c\\\\\"", "a\nb\"c\\"},
		{"\"\\u0041\"", "A"},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		__cleanup_json struct json *j = parse(rows[i].text);
		const char *s = NULL;

		assert_int_equal(json_string(j, &s, NULL), 0);
		assert_string_equal(s, rows[i].value);
	}
}

static void refuses_what_is_not_json(void **state)
{
	static const struct {
		const char *text, *message;
	} rows[] = {
		{"", "line 1 column 1: expected a value, found the end"},
		{"{} x", "line 1 column 4: expected the end of the document, found 'x'"},
		{"{}{}", "line 1 column 3: expected the end of the document, found '{'"},
		{"[1,]", "line 1 column 4: expected a value, found ']'"},
		{"{\"a\":1,}",
		 "line 1 column 8: expected a member name in double quotes, found '}'"},
		{"{'a':1}", "line 1 column 2: expected a member name in double quotes, found '''"},
		{"{\"a\" 1}", "line 1 column 6: expected ':', found '1'"},
		{"{\"a\":1 \"b\":2}", "line 1 column 8: expected ',' or '}', found '\"'"},
		{"[1 2]", "line 1 column 4: expected ',' or ']', found '2'"},
		{"[1", "line 1 column 3: expected ',' or ']', found the end"},
		{"// x\n1", "line 1 column 1: expected a value, found '/'"},
		{"01", "line 1 column 2: expected the end of the document, found '1'"},
		{"+1", "line 1 column 1: expected a value, found '+'"},
		{"1.", "line 1 column 3: expected a digit, found the end"},
		{".5", "line 1 column 1: expected a value, found '.'"},
		{"1e", "line 1 column 3: expected a digit, found the end"},
		{"-", "line 1 column 2: expected a digit, found the end"},
		{"NaN", "line 1 column 1: expected a value, found 'N'"},
		{"Infinity", "line 1 column 1: expected a value, found 'I'"},
		{"nul", "line 1 column 1: expected a value, found 'n'"},
		{"True", "line 1 column 1: expected a value, found 'T'"},
		{"\"a", "line 1 column 3: expected the closing quote of a string, found the end"},
		{"\"a\\", "line 1 column 4: expected an escape sequence, found the end"},
		{"\"a\\\"",
		 "line 1 column 5: expected the closing quote of a string, found the end"},
		{"\"\\x\"", "line 1 column 3: expected an escape sequence, found 'x'"},
		{"\"\\u12g4\"",
		 "line 1 column 6: expected four hexadecimal digits after \\u, found 'g'"},
		{"\"a\tb\"",
		 "line 1 column 3: expected no control character in a string, found byte 0x09"},
		{"\"\\u0000\"", "line 1 column 8: expected no \\u0000 before this, found '\"'"},
		{"\"\\ud800\"",
		 "line 1 column 8: expected the second half of a surrogate pair, found '\"'"},
		{"\"\\ud800\\u0041\"",
		 "line 1 column 14: expected the second half of a surrogate pair "
		 "before this, found '\"'"},
		{"\"\\udc00\"",
		 "line 1 column 8: expected a surrogate pair before this, found '\"'"},
		{"\"\xff\"", "line 1 column 2: expected well-formed UTF-8, found byte 0xff"},
		{"\"\xc0\x80\"", "line 1 column 2: expected well-formed UTF-8, found byte 0xc0"},
		{"\"\xed\xa0\x80\"",
		 "line 1 column 2: expected well-formed UTF-8, found byte 0xed"},
		{"\xef\xbb\xbf{}", "line 1 column 1: expected a value, found byte 0xef"},
		{"{\n \"a\": 1,\n \"b\": {\"c\": 1,\n  \"c\": 2}}", "line 4: b.c: given twice"},
		{"{\n\n  \"a\": [1,\n x]}", "line 4 column 2: expected a value, found 'x'"},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct json *j = NULL;
		struct err e = {0};

		assert_int_equal(json_parse(rows[i].text, strlen(rows[i].text), &j, &e), -EINVAL);
		assert_string_equal(e.msg, rows[i].message);
		assert_int_equal(e.code, -EINVAL);
		assert_null(j);
	}
}

/* The first and the last of each length: nine. Then what lies beside (RFC 3629). */
static void knows_well_formed_utf8_from_others(void **state)
{
	static const char *const rows[] = {"\x7f",
					   "\xc2\x80",
					   "\xdf\xbf",
					   "\xe0\xa0\x80",
					   "\xed\x9f\xbf",
					   "\xee\x80\x80",
					   "\xef\xbf\xbf",
					   "\xf0\x90\x80\x80",
					   "\xf4\x8f\xbf\xbf",

					   "\x80",
					   "\xc1\xbf",
					   "\xc2",
					   "\xc2\x7f",
					   "\xc2\xc0",
					   "\xe0\x9f\xbf",
					   "\xe2\x82",
					   "\xed\xa0\x80",
					   "\xf0\x8f\xbf\xbf",
					   "\xf4\x90\x80\x80",
					   "\xf5\x80\x80\x80"};

	for (size_t i = 0; i < COUNT(rows); i++) {
		__cleanup_json struct json *j = NULL;
		char text[8];

		snprintf(text, sizeof(text), "\"%s\"", rows[i]);
		assert_int_equal(json_parse(text, strlen(text), &j, NULL), i < 9 ? 0 : -EINVAL);
	}
}

static void refuses_a_nul_byte_between_values(void **state)
{
	struct json *j = NULL;
	struct err e = {0};

	assert_int_equal(json_parse("{}\0{}", 5, &j, &e), -EINVAL);
	assert_string_equal(e.msg,
			    "line 1 column 3: expected the end of the document, found byte 0x00");
}

static void finds_a_duplicate_in_a_large_object(void **state)
{
	__cleanup_json struct json *j = json_new_object();
	__cleanup_free char *text = NULL;
	struct json *ret = NULL;
	struct err e = {0};

	for (int i = 0; i < 100; i++) {
		__cleanup_free char *key = mem_printf("k%d", i);

		json_set(j, key, json_new_int(i));
	}
	text = json_emit(j, 1);
	assert_int_equal(json_parse(text, strlen(text), &ret, &e), 0);
	assert_true(json_equal(j, ret));
	json_free(ret);
	memcpy(strstr(text, "k99"), "k42", 3);
	assert_int_equal(json_parse(text, strlen(text), &ret, &e), -EINVAL);
	assert_string_equal(e.msg, "line 101: k42: given twice");
}

static void bounds_the_depth(void **state)
{
	char text[2 * JSON_MAX_DEPTH + 4];
	struct json *j = NULL;
	struct err e = {0};

	memset(text, '[', JSON_MAX_DEPTH);
	memset(text + JSON_MAX_DEPTH, ']', JSON_MAX_DEPTH);
	assert_int_equal(json_parse(text, 2 * JSON_MAX_DEPTH, &j, &e), 0);
	json_free(j);
	memset(text, '[', JSON_MAX_DEPTH + 1);
	assert_int_equal(json_parse(text, JSON_MAX_DEPTH + 1, &j, &e), -E2BIG);
	assert_string_equal(e.msg, "line 1 column 65: nested deeper than 64");
}

static void knows_lines_and_paths(void **state)
{
	__cleanup_json struct json *j = parse(
		"{\"spec\": {\n \"rules\": [\n  {},\n  {\"name\":\n \"x\"}],\n"
		" \"a.b/c\": 1, \"\": 2}}");
	const struct json *spec = json_get(j, "spec");
	const struct json *rule = json_at(json_get(spec, "rules"), 1);

	assert_string_equal(json_path(json_get(rule, "name")), "spec.rules[1].name");
	assert_int_equal(json_line(json_get(rule, "name")), 4);
	assert_int_equal(json_line(rule), 4);
	assert_int_equal(json_line(j), 1);
	assert_string_equal(json_path(json_get(spec, "a.b/c")), "spec[\"a.b/c\"]");
	assert_string_equal(json_path(json_get(spec, "")), "spec[\"\"]");
	assert_string_equal(json_path(j), "document");
	assert_int_equal(json_line(NULL), 0);
}

static void assert_whole(const char *text)
{
	__cleanup_json struct json *said = json_new_string(text), *read = NULL;
	__cleanup_free char *answer = json_emit(said, 0);

	assert_int_equal(json_parse(answer, strlen(answer), &read, NULL), 0);
}

/* Keys that are shown with … at their end, until there is no more room, at any byte of one. */
static void a_message_that_is_cut_has_no_half_of_a_character(void **state)
{
	static const char *const last[] = {"x", "ä", "…", "\U0001f512"};
	char key[128] = "", text[1024];
	struct err e = {0};

	memset(key, ';', sizeof(key) - 1);
	for (int pad = 1; pad < 100; pad++) {
		__cleanup_json struct json *j = NULL;

		snprintf(text, sizeof(text),
			 "{\"%.*s\":{\"%s\":{\"%s\":{\"%s\":{\"%s\":{\"%s\":1,\"%s\":2}}}}}}", pad,
			 key, key, key, key, key, key, key);
		assert_int_equal(json_parse(text, strlen(text), &j, &e), -EINVAL);
		assert_whole(e.msg);
		for (size_t i = 0; i < sizeof(last) / sizeof(last[0]); i++) {
			err_set(&e, -EINVAL, "%*s%s%s%s%s", (int)sizeof(e.msg) - 10 + pad % 10, "",
				last[i], last[i], last[i], last[i]);
			assert_whole(e.msg);
			err_wrap(&e, "%s%.*s", last[i], pad % 7, key);
			assert_whole(e.msg);
		}
	}
	err_set(&e, -EINVAL, "whole: ä…");
	assert_string_equal(e.msg, "whole: ä…");
}

static void getters_refuse_other_types_and_ranges(void **state)
{
	static const char text[] =
		"{\"s\": \"80abc\", \"i\": 70000, \"d\": 1.5, \"b\": true, \"n\": null, \"o\": {},"
		" \"big\": 99999999999999999999, \"minus\": -1}";
	static const struct {
		const char *key;
		enum json_type want;
		const char *message;
	} rows[] = {
		{"s", JSON_INT, "s: expected integer, got string '80abc'"},
		{"i", JSON_INT, "i: expected integer from 0 to 65535, got 70000"},
		{"minus", JSON_INT, "minus: expected integer from 0 to 65535, got -1"},
		{"big", JSON_INT,
		 "big: expected integer from 0 to 65535, got 99999999999999999999"},
		{"d", JSON_INT, "d: expected integer, got number 1.5"},
		{"i", JSON_STRING, "i: expected string, got integer 70000 (put it in quotes)"},
		{"o", JSON_STRING, "o: expected string, got object"},
		{"s", JSON_BOOL, "s: expected boolean, got string '80abc'"},
		{"n", JSON_BOOL, "n: expected boolean, got null"},
		{"b", JSON_ARRAY, "b: expected array, got boolean true"},
	};
	__cleanup_json struct json *j = parse(text);

	for (size_t i = 0; i < COUNT(rows); i++) {
		const struct json *v = json_get(j, rows[i].key);
		const char *s = NULL;
		int64_t n = 0;
		bool b = false;
		struct err e = {0};
		int rc = rows[i].want == JSON_INT      ? json_int(v, 0, 65535, &n, &e)
			 : rows[i].want == JSON_STRING ? json_string(v, &s, &e)
			 : rows[i].want == JSON_BOOL   ? json_bool(v, &b, &e)
						       : json_expect(v, rows[i].want, &e);

		assert_int_equal(rc, -EINVAL);
		assert_string_equal(e.msg, rows[i].message);
	}
}

static void getters_give_values(void **state)
{
	__cleanup_json struct json *j = parse(
		"[-9223372036854775808, 9223372036854775807, \"x\", true]");
	const char *s = NULL;
	int64_t n = 0;
	bool b = false;

	assert_int_equal(json_int(json_at(j, 0), INT64_MIN, INT64_MAX, &n, NULL), 0);
	assert_true(n == INT64_MIN);
	assert_int_equal(json_int(json_at(j, 1), INT64_MIN, INT64_MAX, &n, NULL), 0);
	assert_true(n == INT64_MAX);
	assert_int_equal(json_string(json_at(j, 2), &s, NULL), 0);
	assert_string_equal(s, "x");
	assert_int_equal(json_bool(json_at(j, 3), &b, NULL), 0);
	assert_true(b);
	assert_null(json_at(j, 4));
	assert_null(json_get(j, "x"));
	assert_int_equal(json_len(j), 4);
	assert_int_equal(json_len(json_at(j, 2)), 0);
}

static void finds_members_as_go_does(void **state)
{
	__cleanup_json struct json *j = parse("{\"CNIVersion\":1,\"cniversion\":2,\"Name\":3}");

	assert_string_equal(json_show(json_get_nocase(j, "cniversion")), "integer 2");
	assert_string_equal(json_show(json_get_nocase(j, "cniVersion")), "integer 1");
	assert_string_equal(json_show(json_get_nocase(j, "name")), "integer 3");
	assert_null(json_get(j, "name"));
	assert_null(json_get_nocase(j, "nam"));
	assert_string_equal(json_key_at(j, 2), "Name");
	assert_null(json_key_at(j, 3));
	assert_string_equal(json_show(json_value_at(j, 0)), "integer 1");
}

static void edits_keep_the_place_of_members(void **state)
{
	__cleanup_json struct json *j = parse("{\"a\":1,\"b\":2,\"c\":3}");
	struct json *list = json_new_array();
	__cleanup_free char *text = NULL;

	json_append(list, json_new_string("x\n"));
	json_append(list, json_new_string(NULL));
	json_append(list, json_dup(json_get(j, "c")));
	json_set(j, "b", list);
	json_set(j, "d", json_new_bool(true));
	assert_true(json_del(j, "a"));
	assert_false(json_del(j, "a"));
	json_set(j, "e", json_new_null());
	text = json_emit(j, 0);
	assert_string_equal(text, "{\"b\":[\"x\\n\",null,3],\"c\":3,\"d\":true,\"e\":null}");
	assert_string_equal(json_path(json_at(json_get(j, "b"), 2)), "b[2]");
}

static void a_copy_is_equal_and_independent(void **state)
{
	__cleanup_json struct json *j = parse("{\"a\":[1,{\"b\":\"x\"}],\"c\":null}");
	__cleanup_json struct json *copy = json_dup(j);

	assert_true(json_equal(j, copy));
	json_set(copy, "c", json_new_int(1));
	assert_false(json_equal(j, copy));
	assert_int_equal(json_type(json_get(j, "c")), JSON_NULL);
}

static void equality_ignores_the_order_of_members_only(void **state)
{
	static const struct {
		const char *a, *b;
		bool equal;
	} rows[] = {
		{"{\"a\":1,\"b\":2}", "{\"b\":2,\"a\":1}", true},
		{"[1,2]", "[2,1]", false},
		{"[1]", "[1,2]", false},
		{"{\"a\":1}", "{\"b\":1}", false},
		{"\"1\"", "1", false},
		{"null", "false", false},
		{"true", "false", false},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		__cleanup_json struct json *a = parse(rows[i].a), *b = parse(rows[i].b);

		assert_int_equal(json_equal(a, b), rows[i].equal);
	}
}

static const struct json_want want_spec[] = {{"nodeName", NULL}, {NULL, NULL}};
static const struct json_want want_port[] = {{"port", NULL}, {NULL, NULL}};
static const struct json_want want_some[] = {
	{"kind", NULL}, {"spec", want_spec}, {"ports", want_port}, {NULL, NULL}};

static void leaves_out_what_nobody_wants(void **state)
{
	static const struct {
		const char *text, *expected; /* NULL: refused */
	} rows[] = {
		{"{\"kind\":\"Pod\",\"a\":{\"b\":[1,-2.5e3,\"x\\u20ac\\ud83d\\ude00\",null]},"
		 "\"spec\":{"
		 "\"nodeName\":\"n1\",\"x\":{}, \"y\":[] }}",
		 "{\"kind\":\"Pod\",\"spec\":{\"nodeName\":\"n1\"}}"},
		{"{\"ports\":[{\"name\":\"a\",\"port\":1},7,[{\"port\":2,\"name\":[true,false]}]]}",
		 "{\"ports\":[{\"port\":1},7,[{\"port\":2}]]}"},
		{"{\"k\\u0069nd\":1,\"kin\":2,\"kinds\":3}", "{\"kind\":1}"},
		{"{\"twice\":{\"a\":1,\"a\":2}}", "{}"},
		{"{\"kind\":1,\"kind\":2}", NULL},
		{"{\"a\":\"\\u0000\"}", NULL},
		{"{\"a\":\"\\ud800\"}", NULL},
		{"{\"a\":\"\x01\"}", NULL},
		{"{\"a\":\"01234567\xff\"}", NULL},
		{"{\"a\":[1,]}", NULL},
		{"{\"a\":{\"b\":1,}}", NULL},
		{"{\"a\":{\"b\" 1}}", NULL},
		{"{\"a\":[1 2]}", NULL},
		{"{\"a\":{1:2}}", NULL},
		{"{\"a\":01}", NULL},
		{"{\"a\":nul}", NULL},
		{"{\"a\":\"b", NULL},
		{"{\"a\":[", NULL},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		__cleanup_json struct json *j = NULL;
		__cleanup_free char *text = NULL;
		struct err e = {0};
		int r = json_parse_wanted(rows[i].text, strlen(rows[i].text), want_some, &j, &e);

		assert_int_equal(r < 0, !rows[i].expected);
		if (r < 0)
			continue;
		text = json_emit(j, 0);
		assert_string_equal(text, rows[i].expected);
	}
}

static void bounds_the_depth_of_what_nobody_wants(void **state)
{
	char text[2 * JSON_MAX_DEPTH + 16] = "{\"a\":";
	struct json *j = NULL;
	size_t n = strlen(text);

	memset(text + n, '[', JSON_MAX_DEPTH);
	memset(text + n + JSON_MAX_DEPTH, ']', JSON_MAX_DEPTH);
	text[n + 2 * JSON_MAX_DEPTH] = '}';
	assert_int_equal(json_parse_wanted(text, strlen(text), want_some, &j, NULL), -E2BIG);
}

static void shows_long_and_wild_strings_on_one_short_line(void **state)
{
	__cleanup_json struct json *j = parse(
		"[\"a\\nb\\u007f\", \"0123456789012345678901234567890123456789012345678901234567890"
		"12€6789\"]");

	assert_string_equal(json_show(json_at(j, 0)), "string 'a\\x0ab\\x7f'");
	assert_string_equal(json_show(json_at(j, 1)),
			    "string '01234567890123456789012345678901234567890123456789012345678"
			    "9012…'");
	assert_string_equal(json_show(NULL), "null");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(emits_what_it_read_in_the_same_order),
		cmocka_unit_test(indents_when_asked),
		cmocka_unit_test(decodes_escapes),
		cmocka_unit_test(refuses_what_is_not_json),
		cmocka_unit_test(knows_well_formed_utf8_from_others),
		cmocka_unit_test(refuses_a_nul_byte_between_values),
		cmocka_unit_test(finds_a_duplicate_in_a_large_object),
		cmocka_unit_test(bounds_the_depth),
		cmocka_unit_test(knows_lines_and_paths),
		cmocka_unit_test(a_message_that_is_cut_has_no_half_of_a_character),
		cmocka_unit_test(getters_refuse_other_types_and_ranges),
		cmocka_unit_test(getters_give_values),
		cmocka_unit_test(finds_members_as_go_does),
		cmocka_unit_test(edits_keep_the_place_of_members),
		cmocka_unit_test(a_copy_is_equal_and_independent),
		cmocka_unit_test(equality_ignores_the_order_of_members_only),
		cmocka_unit_test(leaves_out_what_nobody_wants),
		cmocka_unit_test(bounds_the_depth_of_what_nobody_wants),
		cmocka_unit_test(shows_long_and_wild_strings_on_one_short_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
