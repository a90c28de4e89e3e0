/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses, rules, routes and neighbours against the running kernel, with ip(8) as the second
 * opinion. */
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <unistd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "kernel/rtnl.h"
#include "testkit/addr_fixture.h"
#include "testkit/netns_fixture.h"

#define A addr_of
#define C cidr_of

static struct rtnl *r;
static uint32_t v0;
static struct err e;

static void start(void)
{
	netns_fresh();
	sh("ip link add v0 mtu 1450 address 02:00:00:00:00:01 type veth peer name v1");
	sh("ip link set v0 up && ip link set v1 up && ip addr add 10.1.0.1/24 dev v0 &&"
	   "ip addr add fd00:1::1/64 dev v0 nodad");
	v0 = ifindex_of("v0");
	expect_ok(rtnl_open(-1, &r, &e), &e);
}

static int stop(void **state)
{
	rtnl_close(r);
	r = NULL;
	return 0;
}

static bool find_ifaddr(const char *s, struct ifaddr *ret)
{
	struct ifaddr *list = NULL;
	bool found = false;
	size_t n = 0;

	expect_ok(ifaddr_list(r, &list, &n, &e), &e);
	for (size_t i = 0; i < n; i++)
		if (addr_eq(list[i].addr, A(s))) {
			*ret = list[i];
			found = true;
		}
	free(list);
	return found;
}

static void addresses_carry_our_mark(void **state)
{
	static const struct {
		const char *addr;
		uint8_t len;
		bool egress;
		const char *seen;
	} cases[] = {
		{"10.1.0.77", 32, true, "inet 10.1.0.77/32 scope global v0"},
		{"169.254.83.1", 32, false, "inet 169.254.83.1/32 scope link v0"},
		{"fd00:1::77", 128, true, "inet6 fd00:1::77/128 scope global nodad deprecated"},
		{"fe80::53:1", 128, false, "inet6 fe80::53:1/128 scope link nodad"},
	};
	struct ifaddr got;

	start();
	assert_true(find_ifaddr("10.1.0.1", &got));
	assert_false(got.ours);
	assert_int_equal(got.prefix_len, 24);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ifaddr a = {v0, A(cases[i].addr), cases[i].len, 0, 0, 0};

		expect_ok(ifaddr_add(r, &a, cases[i].egress, &e), &e);
		expect_rc(ifaddr_add(r, &a, cases[i].egress, &e), -EEXIST, &e);
		assert_non_null(strstr(e.msg, cases[i].addr));
		sh("ip addr show dev v0 | grep -q '%s'", cases[i].seen);
		assert_true(find_ifaddr(cases[i].addr, &got));
		assert_true(got.ours);
		assert_false(got.tentative);
		assert_int_equal(got.ifindex, v0);
		assert_int_equal(got.prefix_len, cases[i].len);
		expect_ok(ifaddr_del(r, &a, &e), &e);
		assert_false(find_ifaddr(cases[i].addr, &got));
		expect_ok(ifaddr_del(r, &a, &e), &e);
		a.ifindex = 4711;
		expect_ok(ifaddr_del(r, &a, &e), &e);
		expect_rc(ifaddr_add(r, &a, false, &e), -ENODEV, &e);
	}
}

static void an_egress_address_is_never_chosen_as_source(void **state)
{
	struct ifaddr a4 = {.prefix_len = 32}, a6 = {.prefix_len = 128};
	struct route_answer answer;

	start();
	a4.ifindex = a6.ifindex = v0;
	a4.addr = A("10.1.0.77");
	a6.addr = A("fd00:1::ffff");
	expect_ok(ifaddr_add(r, &a4, true, &e), &e);
	expect_ok(ifaddr_add(r, &a6, true, &e), &e);
	expect_ok(route_get(r, A("10.1.0.9"), 0, &answer, &e), &e);
	assert_string_equal(addr_str(answer.src), "10.1.0.1");
	expect_ok(route_get(r, A("fd00:1::9"), 0, &answer, &e), &e);
	assert_string_equal(addr_str(answer.src), "fd00:1::1");
}

/* Waits for the kernel's worker. */
static bool taken_in(struct addr a)
{
	for (int i = 0; i < 3000 && !ifaddr_taken_in(r, a); i++)
		usleep(10000);
	return ifaddr_taken_in(r, a);
}

static void packets_to_an_address_are_taken_in_as_long_as_it_is_there(void **state)
{
	static const char *const texts[] = {"10.1.0.77", "fd00:1::ffff"};

	start();
	for (int i = 0; i < 2; i++) {
		struct ifaddr a = {.ifindex = v0, .addr = A(texts[i])};

		a.prefix_len = i ? 128 : 32;
		assert_false(ifaddr_taken_in(r, a.addr));
		expect_ok(ifaddr_add(r, &a, true, &e), &e);
		assert_true(taken_in(a.addr));
		expect_ok(ifaddr_del(r, &a, &e), &e);
		assert_false(ifaddr_taken_in(r, a.addr));
	}
}

static void rules_of_others_are_not_seen_and_not_touched(void **state)
{
	struct fib_rule *list = NULL;
	size_t n = 0;

	start();
	for (int i = 0; i < 2; i++) {
		const char *six = i ? "-6" : "-4";
		struct fib_rule f = {i ? AF_INET6 : AF_INET, 1000, 0x80000000, 0x80000000, 5347};

		sh("ip %s rule add prio 1000 fwmark 0x1/0x1 table 77", six);
		expect_ok(rule_list(r, &list, &n, &e), &e);
		assert_int_equal(n, 0);
		free(list);
		expect_ok(rule_add(r, &f, &e), &e);
		expect_rc(rule_add(r, &f, &e), -EEXIST, &e);
		sh("ip %s rule | grep -q '1000:.*fwmark 0x80000000/0x80000000 lookup 5347 proto'",
		   six);
		expect_ok(rule_list(r, &list, &n, &e), &e);
		assert_int_equal(n, 1);
		assert_memory_equal(list, &f, sizeof(f));
		free(list);
		expect_ok(rule_del(r, &f, &e), &e);
		expect_ok(rule_del(r, &f, &e), &e);
		f.mark = f.mask = 1;
		f.table = 77;
		expect_ok(rule_del(r, &f, &e), &e); /* theirs: not ours to delete */
		sh("ip %s rule | grep -q '1000:.*fwmark 0x1/0x1 lookup 77'", six);
	}
}

static void routes_come_back_as_they_were_given(void **state)
{
	struct route routes[] = {
		{.dst = C("10.244.0.0/16"), .type = ROUTE_THROW},
		{.dst = C("0.0.0.0/0"), .via = A("169.254.83.2"), .mtu = 1400, .metric = 10},
		{.dst = C("0.0.0.0/0"), .type = ROUTE_UNREACHABLE, .metric = 4096},
		{.dst = C("10.9.0.0/24"), .prefsrc = A("10.1.0.1")},
		{.dst = C("fd00:244::/48"), .type = ROUTE_THROW},
		{.dst = C("::/0"), .via = A("fe80::53:2"), .mtu = 1400},
		{.dst = C("::/0"), .type = ROUTE_UNREACHABLE, .metric = 4096},
	};
	const size_t n_routes = sizeof(routes) / sizeof(routes[0]);
	struct route *list = NULL;
	size_t n = 0, foreign = 9;

	start();
	expect_ok(route_list(r, 5347, &list, &n, &foreign, &e), &e);
	assert_int_equal(n + foreign, 0);
	free(list);
	for (size_t i = 0; i < n_routes; i++) {
		routes[i].table = 5347;
		routes[i].ifindex = routes[i].type == ROUTE_UNICAST ? v0 : 0;
		expect_ok(route_add(r, &routes[i], &e), &e);
		expect_ok(route_add(r, &routes[i], &e), &e);
	}
	sh("ip route show table 5347 | grep -q "
	   "'default via 169.254.83.2 dev v0 proto 83 metric 10 onlink mtu 1400'");
	sh("ip route add 10.7.0.0/16 dev v0 table 5348");
	expect_ok(route_list(r, 5347, &list, &n, &foreign, &e), &e);
	assert_int_equal(n, n_routes);
	assert_int_equal(foreign, 0);
	for (size_t i = 0; i < n_routes; i++) {
		size_t same = 0;

		for (size_t j = 0; j < n; j++)
			same += memcmp(&list[j], &routes[i], sizeof(routes[i])) == 0;
		if (same != 1)
			fail_msg("route %zu %s found %zu times", i, cidr_str(routes[i].dst), same);
	}
	free(list);
	for (size_t i = 0; i < n_routes; i++) {
		expect_ok(route_del(r, &routes[i], &e), &e);
		expect_ok(route_del(r, &routes[i], &e), &e); /* and not the next default instead */
		expect_ok(route_list(r, 5347, &list, &n, &foreign, &e), &e);
		assert_int_equal(n, n_routes - 1 - i);
		free(list);
	}
}

static void a_change_of_mtu_replaces_the_route(void **state)
{
	struct route route = {.table = 5347, .mtu = 1400};
	struct route *list = NULL;
	size_t n = 0, foreign = 0;

	start();
	route.ifindex = v0;
	route.dst = C("::/0");
	route.via = A("fe80::53:2");
	expect_ok(route_add(r, &route, &e), &e);
	route.mtu = 1300;
	expect_ok(route_add(r, &route, &e), &e);
	expect_ok(route_list(r, 5347, &list, &n, &foreign, &e), &e);
	assert_int_equal(n, 1);
	assert_int_equal(list[0].mtu, 1300);
	free(list);
}

static void foreign_routes_in_our_table_are_counted(void **state)
{
	struct route *list = NULL;
	size_t n = 9, foreign = 0;

	start();
	sh("ip route add 10.7.0.0/16 dev v0 table 5347 && ip route add blackhole 10.8.0.0/16 table "
	   "5347 proto 83 && ip -6 route add fd07::/64 dev v0 table 5347");
	expect_ok(route_list(r, 5347, &list, &n, &foreign, &e), &e);
	assert_int_equal(n, 0);
	assert_int_equal(foreign, 3);
	free(list);
}

static void asks_where_a_packet_would_go(void **state)
{
	struct route_answer answer;

	start();
	sh("ip route add default via 10.1.0.254 && ip route add 192.0.2.0/24 via 10.1.0.254 mtu "
	   "1300");
	sh("ip rule add fwmark 7 table 99 && ip route add default dev lo src 127.0.0.1 table 99");
	expect_ok(route_get(r, A("198.51.100.1"), 0, &answer, &e), &e);
	assert_int_equal(answer.ifindex, v0);
	assert_int_equal(answer.mtu, 1450);
	assert_string_equal(addr_str(answer.src), "10.1.0.1");
	assert_string_equal(addr_str(answer.gateway), "10.1.0.254");
	expect_ok(route_get(r, A("192.0.2.1"), 0, &answer, &e), &e);
	assert_int_equal(answer.mtu, 1300);
	expect_ok(route_get(r, A("198.51.100.1"), 7, &answer, &e), &e);
	assert_int_equal(answer.ifindex, ifindex_of("lo"));
	assert_true(addr_is_zero(answer.gateway));
	expect_ok(route_get(r, A("fd00:1::5"), 0, &answer, &e), &e);
	assert_int_equal(answer.ifindex, v0);
	expect_rc(route_get(r, A("2001:db8::5"), 0, &answer, &e), -ENETUNREACH, &e);
	assert_non_null(strstr(e.msg, "2001:db8::5"));
}

static void neighbours_are_permanent(void **state)
{
	struct neigh *list = NULL;
	size_t n = 0;

	start();
	sh("ip neigh add 10.1.0.9 lladdr 02:00:00:00:00:09 dev v1 nud permanent");
	for (int i = 0; i < 2; i++) {
		struct neigh nb = {
			v0, A(i ? "fe80::53:2" : "169.254.83.2"), {2, 0, 0, 0, 0, 5}, true};

		expect_ok(neigh_set(r, &nb, &e), &e);
		nb.mac[5] = 6;
		expect_ok(neigh_set(r, &nb, &e), &e);
		expect_ok(neigh_list(r, v0, &list, &n, &e), &e);
		assert_int_equal(n, 1);
		assert_int_equal(list[0].ifindex, v0);
		assert_true(addr_eq(list[0].addr, nb.addr));
		assert_memory_equal(list[0].mac, nb.mac, sizeof(nb.mac));
		assert_true(list[0].permanent);
		free(list);
		expect_ok(neigh_del(r, &nb, &e), &e);
		expect_ok(neigh_del(r, &nb, &e), &e);
		nb.ifindex = 4711;
		expect_ok(neigh_del(r, &nb, &e), &e);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(addresses_carry_our_mark, stop),
		cmocka_unit_test_teardown(an_egress_address_is_never_chosen_as_source, stop),
		cmocka_unit_test_teardown(packets_to_an_address_are_taken_in_as_long_as_it_is_there,
					  stop),
		cmocka_unit_test_teardown(rules_of_others_are_not_seen_and_not_touched, stop),
		cmocka_unit_test_teardown(routes_come_back_as_they_were_given, stop),
		cmocka_unit_test_teardown(a_change_of_mtu_replaces_the_route, stop),
		cmocka_unit_test_teardown(foreign_routes_in_our_table_are_counted, stop),
		cmocka_unit_test_teardown(asks_where_a_packet_would_go, stop),
		cmocka_unit_test_teardown(neighbours_are_permanent, stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
