/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "reconcile/usage.h"
#include "testkit/addr_fixture.h"

static struct ct_flow flow(const char *seen, const char *dst, uint16_t dport, uint8_t proto)
{
	return (struct ct_flow){
		.seen = addr_of(seen), .dst = addr_of(dst), .dport = dport, .proto = proto};
}

static void what_counts_is_the_remote_with_most_ports(void **state)
{
	struct usage_addr list[] = {{.addr = addr_of("203.0.113.1")},
				    {.addr = addr_of("2001:db8::1")}};
	struct usage u = {.list = list, .n = 2};
	const struct ct_flow flows[] = {
		flow("203.0.113.1", "198.51.100.1", 443, 6),
		flow("203.0.113.1", "198.51.100.1", 80, 6),
		flow("2001:db8::1", "2001:db8:1::1", 443, 6),
		flow("203.0.113.1", "198.51.100.1", 443, 17),
		flow("203.0.113.1", "198.51.100.2", 443, 6),
		flow("203.0.113.1", "198.51.100.1", 443, 6),
		flow("203.0.113.9", "198.51.100.1", 443, 6), /* not ours */
	};

	usage_count(&u, flows, 7);
	assert_int_equal(list[0].connections, 5);
	assert_int_equal(list[0].ports, 2);
	assert_true(addr_eq(list[0].remote, addr_of("198.51.100.1")));
	assert_int_equal(list[0].remote_port, 443);
	assert_int_equal(list[1].connections, 1);
	assert_int_equal(list[1].ports, 1);
	usage_count(&u, flows, 1); /* and not on top of that */
	assert_int_equal(list[0].connections, 1);
	assert_int_equal(list[1].ports, 0);
}

static void eighty_of_a_hundred_is_near(void **state)
{
	assert_false(usage_near(51609, USAGE_PORTS));
	assert_true(usage_near(51610, USAGE_PORTS));
	assert_false(usage_near(0, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_counts_is_the_remote_with_most_ports),
		cmocka_unit_test(eighty_of_a_hundred_is_near),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
