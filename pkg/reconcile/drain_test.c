/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "json/json.h"
#include "testkit/reconcile_fixture.h"

static void drain(bool on)
{
	__cleanup_json struct json *request = json_new_object(), *answer = NULL;

	json_set(request, "on", json_new_bool(on));
	answer = reconcile_drain(rnode(), request);
	assert_null(json_get(answer, "error"));
}

static bool says_drained(void)
{
	__cleanup_json struct json *status = reconcile_status(rnode());
	bool drained;

	assert_int_equal(
		json_bool(json_get(json_get(status, "gateways"), "drained"), &drained, NULL), 0);
	return drained;
}

static void a_drained_node_says_so_without_heartbeats_and_after_a_restart(void **state)
{
	assert_false(says_drained());
	drain(true);
	assert_true(says_drained());
	rnode_restart();
	assert_true(says_drained());
	drain(false);
	assert_false(says_drained());
	rnode_restart();
	assert_false(says_drained());
}

static void what_is_no_request_changes_nothing(void **state)
{
	__cleanup_json struct json *request = json_new_object(), *answer = NULL;

	json_set(request, "on", json_new_string("yes"));
	answer = reconcile_drain(rnode(), request);
	assert_non_null(json_get(answer, "error"));
	assert_false(says_drained());
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, rnode_setup, rnode_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_drained_node_says_so_without_heartbeats_and_after_a_restart),
		TEST(what_is_no_request_changes_nothing),
	};

	return cmocka_run_group_tests_name("reconcile/drain", tests, NULL, NULL);
}
