/* SPDX-License-Identifier: Apache-2.0 */
/* After `sluiced uninstall` the plugin is in nobody's way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "state/retired.h"
#include "testkit/netns_fixture.h"
#include "testkit/plugin_fixture.h"

#define POLICY_7 "{\"v\":1,\"ok\":true,\"kind\":\"policy\",\"policy\":7}"

static void retire(void)
{
	struct err e = {0};

	expect_ok(retired_store(NODE "/state", true, &e), &e);
}

static void lets_pods_through_and_asks_nobody(void **state)
{
	pod_make("p1");
	once_write("touch " NODE "/once-ran; exit 1");
	retire();
	expect_call(0, 0);
	assert_non_null(strstr(node_output(), "10.0.0.2/24"));
	expect_call(0, .verb = "CHECK");
	expect_call(0, .verb = "DEL");
	expect_call(0, .verb = "STATUS", .version = "1.1.0");
	assert_null(node_record("p1", "eth0"));
	assert_int_not_equal(access(NODE "/once-ran", F_OK), 0);
	expect_call(7, .prev = ""); /* nor is it a main plugin now */
}

static void ends_pods_of_before(void **state)
{
	dataplane_load();
	pod_make("p1");
	daemon_set(POLICY_7);
	expect_call(0, 0);
	daemon_set(NULL);
	retire();
	expect_call(0, .verb = "CHECK");
	expect_call(0, .verb = "DEL");
	expect_nothing_left();
	expect_call(0, .verb = "DEL");
}

static void governs_again_when_somebody_wants_it(void **state)
{
	struct err e = {0};

	dataplane_load();
	pod_make("p1");
	daemon_set(POLICY_7);
	retire();
	expect_ok(retired_store(NODE "/state", false, &e), &e);
	expect_ok(retired_store(NODE "/state", false, &e), &e);
	expect_call(0, 0);
	assert_true(pod_entry("veth-p1", &(struct slu_pod){0}));
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, node_setup, node_teardown)
	const struct CMUnitTest tests[] = {
		T(lets_pods_through_and_asks_nobody),
		T(ends_pods_of_before),
		T(governs_again_when_somebody_wants_it),
	};

	return cmocka_run_group_tests_name("plugins/sluice/retired", tests, NULL, NULL);
}
