/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "json/json.h"
#include "reconcile/leader.h"

#define TIME "2026-01-31T09:00:00.000000Z"

static void see(struct lease *l, const char *holder, int renewal, int64_t now)
{
	__cleanup_free char *text = mem_printf(
		"{\"metadata\":{\"resourceVersion\":\"%d\"},\"spec\":{\"holderIdentity\":\"%s\","
		"\"leaseDurationSeconds\":15,\"leaseTransitions\":3,\"renewTime\":\"%d\"}}",
		renewal, holder, renewal);
	__cleanup_json struct json *j = NULL;

	assert_int_equal(json_parse(text, strlen(text), &j, NULL), 0);
	lease_seen(l, j, now);
}

static void write_it(struct lease *l, int64_t now)
{
	__cleanup_json struct json *j = lease_emit(l, true, "sluice-system", TIME);

	lease_taken(l, j, now);
}

static void a_lease_that_nobody_holds_is_taken(void **state)
{
	struct lease l = {.self = "n1"};

	assert_true(lease_may_take(&l, 5));
	assert_false(lease_is_ours(&l, 5));
	write_it(&l, 10);
	assert_true(lease_is_ours(&l, 9000));
	see(&l, "", 2, 20);
	assert_true(lease_may_take(&l, 20));
	lease_done(&l);
}

static void anothers_lease_is_taken_when_it_did_not_change_for_its_duration(void **state)
{
	struct lease l = {.self = "n1"};

	see(&l, "n2", 1, 1000);
	assert_false(lease_may_take(&l, 16000));
	see(&l, "n2", 1, 15000);
	assert_true(lease_may_take(&l, 16001));
	see(&l, "n2", 2, 16002); /* it lives, whatever time it believes it is */
	assert_false(lease_may_take(&l, 31000));
	lease_done(&l);
}

static void who_cannot_renew_gives_up_before_others_may_take(void **state)
{
	struct lease l = {.self = "n1"};

	write_it(&l, 1000);
	assert_true(lease_is_ours(&l, 10999));
	assert_false(lease_is_ours(&l, 11000));
	assert_true(lease_may_take(&l, 11000));
	see(&l, "n2", 9, 12000);
	assert_false(lease_may_take(&l, 12000));
	assert_false(lease_is_ours(&l, 12000));
	lease_done(&l);
}

static void what_is_written_counts_transitions_and_names_the_version_seen(void **state)
{
	struct lease l = {.self = "n1"};
	__cleanup_json struct json *taken = NULL, *renewed = NULL;
	int64_t v;

	see(&l, "n2", 7, 0);
	taken = lease_emit(&l, true, "ns", TIME);
	assert_int_equal(
		json_int(json_get(json_get(taken, "spec"), "leaseTransitions"), 0, 9, &v, NULL), 0);
	assert_int_equal(v, 4);
	assert_non_null(json_get(json_get(taken, "spec"), "acquireTime"));
	assert_non_null(json_get(json_get(taken, "metadata"), "resourceVersion"));
	see(&l, "n1", 8, 0);
	renewed = lease_emit(&l, true, "ns", TIME);
	json_int(json_get(json_get(renewed, "spec"), "leaseTransitions"), 0, 9, &v, NULL);
	assert_int_equal(v, 3);
	assert_null(json_get(json_get(renewed, "spec"), "acquireTime"));
	lease_done(&l);
}

static void each_node_has_a_place_and_the_last_ones_look_seldom(void **state)
{
	static const char *const nodes[] = {"a", "b", "c", "d"};
	bool taken[4] = {false};

	for (size_t i = 0; i < 4; i++) {
		size_t place = lease_place(nodes[i], nodes, 4);

		assert_true(place < 4);
		assert_false(taken[place]);
		taken[place] = true;
	}
	assert_int_equal(lease_wait_ms(true, 3, 0), 2000);
	assert_int_equal(lease_wait_ms(false, 0, 0), 2000);
	assert_int_equal(lease_wait_ms(false, 3, 0), 8000);
	assert_int_equal(lease_wait_ms(false, 4000, 0), 300000);
	assert_true(lease_wait_ms(true, 0, 1023) < 2400);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_lease_that_nobody_holds_is_taken),
		cmocka_unit_test(anothers_lease_is_taken_when_it_did_not_change_for_its_duration),
		cmocka_unit_test(who_cannot_renew_gives_up_before_others_may_take),
		cmocka_unit_test(what_is_written_counts_transitions_and_names_the_version_seen),
		cmocka_unit_test(each_node_has_a_place_and_the_last_ones_look_seldom),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
