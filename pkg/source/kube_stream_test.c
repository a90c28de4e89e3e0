/* SPDX-License-Identifier: Apache-2.0 */
#include "source/kube_stream.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "json/json.h"
#include "testkit/netns_fixture.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

static struct kube_buf said;
static struct err e;

static int stop(void **state)
{
	kube_buf_done(&said);
	return 0;
}

static int note(void *data, const char *text, size_t n, bool cut, struct err *err)
{
	kube_buf_add(&said, cut ? "<" : "(", 1, SIZE_MAX);
	kube_buf_add(&said, text, n, SIZE_MAX);
	kube_buf_add(&said, cut ? ">" : ")", 1, SIZE_MAX);
	if (memmem(text, n, "stop", 4))
		return err_set(err, -ECANCELED, "stopped");
	return 0;
}

static const char *heard(void)
{
	kube_buf_add(&said, "", 1, SIZE_MAX);
	return said.p;
}

/* In pieces of step bytes. */
static int split(const char *text, size_t step, size_t max, struct json **ret)
{
	struct kube_split s = {.piece = note, .max = max};
	size_t len = strlen(text);
	int r = 0;

	said.n = 0;
	e = (struct err){0};
	for (size_t at = 0; at < len && r == 0; at += step)
		r = kube_split_feed(&s, text + at, at + step < len ? step : len - at, &e);
	if (r == 0)
		r = kube_split_end(&s, ret, &e);
	kube_split_done(&s);
	return r;
}

static void a_list_is_cut_into_its_items_wherever_the_bytes_are_torn(void **state)
{
	static const struct {
		const char *text, *items, *envelope;
	} cases[] = {
		{"{\"kind\":\"L\",\"metadata\":{\"resourceVersion\":\"5\",\"items\":[7]},\"items\":"
		 "[]}",
		 "",
		 "{\"kind\":\"L\",\"metadata\":{\"resourceVersion\":\"5\",\"items\":[7]},\"items\":"
		 "[]}"},
		{"{\"items\":null,\"a\":[{\"items\":[1]}]}", "",
		 "{\"items\":null,\"a\":[{\"items\":[1]}]}"},
		{"{\"items\":[{\"a\":1}]}", "({\"a\":1})", "{\"items\":[]}"},
		{" { \"items\" : [ { } ,\n\t{\"b\":[{},{}]} ] , \"z\" : 0 } \n",
		 "({ })({\"b\":[{},{}]})", "{\"items\":[],\"z\":0}"},
		{"{\"items\":[{\"a\":\"]}{\\\"\\\\\"},{\"\\\\\":{}}],\"b\":\"items\"}",
		 "({\"a\":\"]}{\\\"\\\\\"})({\"\\\\\":{}})", "{\"items\":[],\"b\":\"items\"}"},
		{"{\"a\":\"items\",\"items\":[{}]}", "({})", "{\"a\":\"items\",\"items\":[]}"},
		{"{\"a\":\"\\\"items\\\":[\",\"items\":[{}]}", "({})",
		 "{\"a\":\"\\\"items\\\":[\",\"items\":[]}"},
	};

	for (size_t i = 0; i < N(cases); i++)
		for (size_t step = 1; step <= strlen(cases[i].text); step++) {
			__cleanup_json struct json *j = NULL;
			__cleanup_free char *envelope = NULL;

			expect_ok(split(cases[i].text, step, 0, &j), &e);
			assert_string_equal(heard(), cases[i].items);
			envelope = json_emit(j, 0);
			assert_string_equal(envelope, cases[i].envelope);
		}
}

static void a_list_that_is_none_or_not_whole_is_an_error(void **state)
{
	static const struct {
		const char *text, *word;
	} cases[] = {
		{"", "found the end"},
		{"[]", "expected object"},
		{"<html>", "line 1"},
		{"{\"items\":[1]}", "items[0]: expected an object"},
		{"{\"items\":[{},]}", "items[1]: expected an object"},
		{"{\"items\":[,{}]}", "items[0]: expected an object"},
		{"{\"items\":[{} {}]}", "items[1]: expected an object"},
		{"{\"items\":[[{}]]}", "items[0]: expected an object"},
		{"{\"items\":[{}", "breaks off behind items[1]"},
		{"{\"items\":[{}],\"a\":", "found the end"},
		{"{\"items\":[{}]}}", "a bracket too many"},
		{"{\"items\":[{}]}{\"items\":[{}]}", "end of the document"},
		{"{\"items\":[{}],\"items\":[{}]}", "given twice"},
		{"{\"items\":[{\"a\":\"stop\"},{}]}", "stopped"},
	};

	for (size_t i = 0; i < N(cases); i++)
		for (size_t step = 1; step <= strlen(cases[i].text) + 1; step++) {
			struct json *j = NULL;
			int r = split(cases[i].text, step, 0, &j);

			json_free(j);
			if (r >= 0 || !strstr(e.msg, cases[i].word))
				fail_msg("%s: %d %s", cases[i].text, r, e.msg);
		}
}

static void an_item_above_the_limit_is_cut_and_the_next_is_not(void **state)
{
	__cleanup_json struct json *j = NULL;

	for (size_t step = 1; step < 40; step++) {
		struct json *again = NULL;

		expect_ok(split("{\"items\":[{\"a\":\"0123456789\"},{\"b\":12},{\"cc\":12}]}", step,
				8, &again),
			  &e);
		assert_string_equal(heard(), "<{\"a\":\"01>({\"b\":12})<{\"cc\":12>");
		json_free(again);
	}
}

static void what_stands_beside_the_items_is_bounded(void **state)
{
	__cleanup_free char *pad = mem_alloc0(KUBE_ENVELOPE_MAX + 1);
	__cleanup_free char *text = NULL;
	struct json *j = NULL;

	memset(pad, 'x', KUBE_ENVELOPE_MAX);
	text = mem_printf("{\"a\":\"%s\",\"items\":[]}", pad);
	expect_rc(split(text, 4096, 0, &j), -EFBIG, &e);
}

static void a_watch_is_cut_into_lines_wherever_the_bytes_are_torn(void **state)
{
	static const char text[] = "one\n\n\ntwo \"\\n\"\n0123456789\n01234567\nrest";

	for (size_t step = 1; step < sizeof(text); step++) {
		struct kube_lines l = {.piece = note, .max = 8};

		said.n = 0;
		for (size_t at = 0; at < strlen(text); at += step)
			expect_ok(kube_lines_feed(
					  &l, text + at,
					  strlen(text + at) < step ? strlen(text + at) : step, &e),
				  &e);
		assert_string_equal(heard(), "(one)(two \"\\n\")<01234567>(01234567)");
		kube_lines_done(&l);
	}
}

static void a_line_may_end_the_watch(void **state)
{
	struct kube_lines l = {.piece = note};

	said.n = 0;
	expect_rc(kube_lines_feed(&l, "a\nstop\nb\n", 9, &e), -ECANCELED, &e);
	assert_string_equal(heard(), "(a)(stop)");
	kube_lines_done(&l);
}

static void whose_it_is_is_seen_in_what_cannot_be_read(void **state)
{
	static const char *const path[] = {"metadata", "name", NULL};
	static const struct {
		const char *text, *name;
	} cases[] = {
		{"{\"metadata\":{\"name\":\"a\"", "a"},
		{"{\"metadata\" : { \"name\" : \"web-1.x\" } }", "web-1.x"},
		{"{\"name\":\"no\",\"x\":{\"name\":\"no\"},\"y\":[{\"metadata\":{\"name\":\"no\"}}]"
		 ","
		 "\"metadata\":{\"labels\":{\"name\":\"no\"},\"f\":[{\"name\":\"no\"}],"
		 "\"annotations\":{\"a\":\"\\u0000\\\"name\\\":\\\"no\\\"\"},\"name\":\"a\",",
		 "a"},
		{"{\"a\":\"metadata\",\"metadata\":{\"b\":\"name\",\"name\":\"a\"}}", "a"},
		{"{\"metadata\":{\"name\":\"a", NULL},
		{"{\"metadata\":{\"name\":5,\"a\":\"b\"}}", NULL},
		{"{\"metadata\":{\"name\":{\"name\":\"b\"}}}", NULL},
		{"{\"metadata\":{\"name\":[\"b\"]}}", NULL},
		{"{\"metadata\":{},\"name\":\"a\"}", NULL},
		{"{\"metadata\":[{\"name\":\"b\"}]}", NULL},
		{"{\"metadata\":{\"name\":\"\"}}", NULL},
		{"{\"metadata\":{\"name\":\"a\\u0062\"}}", NULL},
		{"{\"metadata\":{\"name\":\"a b\"}}", NULL},
		{"{\"metadata\":{\"name\":\"01234567890123456789\"}}", NULL},
		{"{\"metadata\":{\"name\":\"x\\", NULL},
		{"}}}", NULL},
		{"]", NULL},
		{"", NULL},
		{"\"metadata\":\"name\":\"a\"", NULL},
	};

	for (size_t i = 0; i < N(cases); i++) {
		/* on the heap, so that reading past it shows */
		__cleanup_free char *text = mem_dup(cases[i].text, strlen(cases[i].text));
		char name[16] = "";
		bool found = kube_peek(text, strlen(cases[i].text), path, name, sizeof(name));

		if (found != (cases[i].name != NULL) || (found && strcmp(name, cases[i].name) != 0))
			fail_msg("%s: %d %s", cases[i].text, found, name);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_list_is_cut_into_its_items_wherever_the_bytes_are_torn),
		cmocka_unit_test(a_list_that_is_none_or_not_whole_is_an_error),
		cmocka_unit_test(an_item_above_the_limit_is_cut_and_the_next_is_not),
		cmocka_unit_test(what_stands_beside_the_items_is_bounded),
		cmocka_unit_test(a_watch_is_cut_into_lines_wherever_the_bytes_are_torn),
		cmocka_unit_test(a_line_may_end_the_watch),
		cmocka_unit_test_teardown(whose_it_is_is_seen_in_what_cannot_be_read, stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
