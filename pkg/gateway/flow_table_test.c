/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/flow_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "testkit/addr_fixture.h"

static struct move_flow flow_of(const char *seen, unsigned int i)
{
	return (struct move_flow){
		.src = addr_of("10.244.1.5"),
		.dst = addr_of("198.51.100.7"),
		.seen = addr_of(seen),
		.dport = (uint16_t)(i >> 16),
		.seen_port = (uint16_t)i,
		.proto = 6,
		.timeout = i,
	};
}

static void has_each_once_and_finds_it(void **state)
{
	struct flow_table t;
	bool new;

	flow_table_init(&t, 100000);
	for (int round = 0; round < 2; round++)
		for (unsigned int i = 0; i < 70000; i++) {
			struct move_flow f = flow_of("203.0.113.10", i);

			f.timeout += (unsigned int)round;
			assert_non_null(flow_table_put(&t, &f, &new));
			assert_int_equal(new, round == 0);
		}
	assert_int_equal(t.n, 70000);
	for (unsigned int i = 0; i < 70000; i += 2) {
		struct move_flow f = flow_of("203.0.113.10", i);
		struct flow_entry *e = flow_table_find(&t, &f);

		assert_non_null(e);
		assert_int_equal(e->flow.timeout, i + 1);
		flow_table_remove(&t, e);
		assert_null(flow_table_find(&t, &f));
	}
	assert_int_equal(t.n, 35000);
	flow_table_done(&t);
}

static void takes_no_more_than_it_may(void **state)
{
	struct move_flow f = flow_of("203.0.113.10", 1), other = flow_of("203.0.113.10", 2);
	struct flow_table t;
	bool new;

	flow_table_init(&t, 1);
	assert_non_null(flow_table_put(&t, &f, &new));
	assert_null(flow_table_put(&t, &other, &new));
	assert_non_null(flow_table_put(&t, &f, &new));
	flow_table_done(&t);
}

static void lists_and_forgets_by_address(void **state)
{
	const struct addr some[] = {addr_of("203.0.113.10"), addr_of("2001:db8::10")};
	struct move_flow f, *list;
	struct flow_table t;
	bool new;

	flow_table_init(&t, 1000);
	for (unsigned int i = 0; i < 10; i++) {
		f = flow_of("203.0.113.10", i);
		flow_table_queue(&t, flow_table_put(&t, &f, &new));
		f = flow_of("203.0.113.11", i);
		flow_table_queue(&t, flow_table_put(&t, &f, &new));
	}
	assert_int_equal(flow_table_list(&t, some, 2, &list), 10);
	free(list);
	flow_table_forget(&t, some, 2);
	assert_int_equal(t.n, 10);
	assert_int_equal(flow_table_list(&t, some, 2, &list), 0);
	free(list);
	for (unsigned int i = 0; i < 10; i++) { /* in the order in which they came */
		struct flow_entry *e = TAILQ_FIRST(&t.queue);

		assert_int_equal(e->flow.seen_port, i);
		flow_table_unqueue(&t, e);
		flow_table_unqueue(&t, e);
	}
	assert_true(TAILQ_EMPTY(&t.queue));
	flow_table_done(&t);
}

/* Who takes over a dead node's addresses asks for one after the other, and packets wait. */
static void one_address_costs_what_it_has_and_not_what_all_have(void **state)
{
	enum { ADDRS = 1000, FLOWS = 190000 };
	struct addr seen = addr_of("203.0.113.10");
	size_t listed = 0;
	struct flow_table t;
	clock_t began;
	bool new;

	flow_table_init(&t, FLOWS);
	for (unsigned int i = 0; i < FLOWS; i++) {
		struct move_flow f = flow_of("203.0.113.10", i);

		f.seen.b[13] = (uint8_t)(i % ADDRS >> 8);
		f.seen.b[14] = (uint8_t)(i % ADDRS);
		assert_non_null(flow_table_put(&t, &f, &new));
	}
	began = clock();
	for (unsigned int i = 0; i < ADDRS; i++) {
		struct move_flow *list;

		seen.b[13] = (uint8_t)(i >> 8);
		seen.b[14] = (uint8_t)i;
		listed += flow_table_list(&t, &seen, 1, &list);
		flow_table_forget(&t, &seen, 1);
		free(list);
	}
	assert_int_equal(listed, FLOWS);
	assert_int_equal(t.n, 0);
	assert_true(clock() - began < 3 * CLOCKS_PER_SEC); /* of this process: 0.05 s */
	flow_table_done(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(has_each_once_and_finds_it),
		cmocka_unit_test(takes_no_more_than_it_may),
		cmocka_unit_test(lists_and_forgets_by_address),
		cmocka_unit_test(one_address_costs_what_it_has_and_not_what_all_have),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
