/* SPDX-License-Identifier: Apache-2.0 */
/* Rules and tables of addresses that leave by another way than the default route. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "reconcile/desired.h"
#include "testkit/policy_fixture.h"

/* 18 addresses of this node, one of them IPv6. */
static const char yaml[] =
	"apiVersion: sluice.dev/v1alpha1\nkind: EgressGateway\nmetadata: {name: g}\n"
	"spec: {spread: Pod, allowedNamespaces: {}, addresses: [{range: "
	"203.0.113.16-203.0.113.32}, {range: '2001:db8::10'}]}\n---\n"
	"apiVersion: sluice.dev/v1alpha1\nkind: EgressPolicy\nmetadata: {name: p, namespace: "
	"default}\nspec: {subject: {podSelector: {}}, rules: [{name: r, via: {gateway: g}}]}\n";

#define UPLINK 7
#define ADDRS  18

struct world {
	struct policy_fixture f;
	struct ids *ids;
	struct ifaddr addrs[4];
	struct link_info link;
	struct node_state node;
	struct place places[ADDRS];
	struct way ways[ADDRS];
	struct desired *d;
};

static struct world w;

static int begin(void **state)
{
	const struct ifaddr addrs[4] = {
		{.ifindex = UPLINK, .addr = addr_of("203.0.113.2"), .prefix_len = 24},
		{.ifindex = UPLINK, .addr = addr_of("203.0.113.3"), .prefix_len = 24},
		{.ifindex = UPLINK,
		 .addr = addr_of("203.0.113.16"),
		 .prefix_len = 32,
		 .ours = true},
		{.ifindex = UPLINK, .addr = addr_of("2001:db8::2"), .prefix_len = 64},
	};

	w = (struct world){.ids = ids_new()};
	policy_fixture_init(&w.f, yaml, "n1", "eth1 203.0.113.2/24 2001:db8::2/64");
	memcpy(w.addrs, addrs, sizeof(addrs));
	w.link = (struct link_info){.ifindex = UPLINK, .name = "eth1"};
	w.node = (struct node_state){
		.links = &w.link, .n_links = 1, .addrs = w.addrs, .n_addrs = 4, .ipv6 = true};
	for (size_t i = 0; i < ADDRS; i++)
		w.places[i] = (struct place){.held = true};
	return 0;
}

static int end(void **state)
{
	desired_free(w.d);
	ids_free(w.ids);
	policy_fixture_done(&w.f);
	return 0;
}

static void build(void)
{
	const struct desired_in in = {.compiled = w.f.c,
				      .node = &w.node,
				      .node_name = "n1",
				      .ids = w.ids,
				      .places = w.places,
				      .ways = w.ways};
	size_t n;

	compiled_addrs(w.f.c, &n);
	assert_int_equal(n, ADDRS);
	desired_build(&in, &w.d);
}

static size_t index_of(const char *text)
{
	const struct egress_addr *addrs;
	size_t n;

	addrs = compiled_addrs(w.f.c, &n);
	for (size_t i = 0; i < n; i++)
		if (addr_eq(addrs[i].addr, addr_of(text)))
			return i;
	fail_msg("%s is not compiled", text);
	return 0;
}

/* The table of its rule, 0 = it has none. */
static uint32_t table_of(const char *text)
{
	uint32_t mark = w.d->addr_ids[index_of(text)] << w.d->model->config.mark_shift;

	for (size_t i = 0; i < w.d->model->n_rules; i++) {
		const struct fib_rule *r = &w.d->model->rules[i];

		if (r->priority != DP_RULE_WAY || r->mark != mark)
			continue;
		assert_int_equal(r->mask, w.d->model->config.mark_mask);
		assert_int_equal(r->family, strchr(text, ':') ? AF_INET6 : AF_INET);
		return r->table;
	}
	return 0;
}

static const struct route *route_to(uint32_t table, const char *dst, enum route_type type)
{
	const struct route *found = NULL;
	struct cidr to;

	assert_int_equal(cidr_parse(dst, &to), 0);
	for (size_t i = 0; i < w.d->model->n_routes; i++) {
		const struct route *r = &w.d->model->routes[i];

		if (r->table != table || r->type != type || cidr_cmp(r->dst, to) != 0)
			continue;
		assert_null(found); /* once */
		found = r;
	}
	return found;
}

static void way_set(const char *text, const char *via)
{
	w.ways[index_of(text)] = (struct way){UPLINK, addr_of(via)};
}

static void a_table_has_the_segment_the_next_hop_and_an_end(void **state)
{
	const struct route *r;
	uint32_t table;

	way_set("203.0.113.20", "203.0.113.1");
	build();
	table = table_of("203.0.113.20");
	assert_int_equal(table, DP_TABLE_WAY);
	r = route_to(table, "203.0.113.0/24", ROUTE_UNICAST);
	assert_int_equal(r->ifindex, UPLINK);
	assert_true(addr_is_zero(r->via));
	r = route_to(table, "0.0.0.0/0", ROUTE_UNICAST);
	assert_int_equal(r->ifindex, UPLINK);
	assert_true(addr_eq(r->via, addr_of("203.0.113.1")));
	r = route_to(table, "0.0.0.0/0", ROUTE_UNREACHABLE);
	assert_int_equal(r->metric, DP_METRIC_LAST);
	assert_null(route_to(table, "203.0.113.16/32", ROUTE_UNICAST)); /* it is one of ours */
	assert_int_equal(table_of("203.0.113.21"), 0);
}

static void addresses_of_one_way_share_a_table_and_families_do_not(void **state)
{
	way_set("203.0.113.20", "203.0.113.1");
	way_set("203.0.113.21", "203.0.113.254");
	way_set("203.0.113.22", "203.0.113.1");
	way_set("2001:db8::10", "2001:db8::1");
	build();
	assert_int_equal(table_of("203.0.113.20"), table_of("203.0.113.22"));
	assert_int_not_equal(table_of("203.0.113.20"), table_of("203.0.113.21"));
	assert_int_not_equal(table_of("2001:db8::10"), table_of("203.0.113.20"));
	assert_int_not_equal(table_of("2001:db8::10"), table_of("203.0.113.21"));
	assert_non_null(route_to(table_of("2001:db8::10"), "2001:db8::/64", ROUTE_UNICAST));
	assert_non_null(route_to(table_of("2001:db8::10"), "::/0", ROUTE_UNREACHABLE));
}

static void an_address_that_is_not_here_yet_has_no_way(void **state)
{
	way_set("203.0.113.20", "203.0.113.1");
	w.places[index_of("203.0.113.20")].held = false;
	build();
	assert_int_equal(table_of("203.0.113.20"), 0);
	assert_null(route_to(DP_TABLE_WAY, "0.0.0.0/0", ROUTE_UNICAST));
}

static void beyond_the_last_table_there_is_none(void **state)
{
	size_t with = 0;

	for (int i = 0; i < 17; i++) {
		__cleanup_free char *text = mem_printf("203.0.113.%d", 16 + i);
		__cleanup_free char *via = mem_printf("203.0.113.%d", 100 + i);

		way_set(text, via);
	}
	build();
	for (int i = 0; i < 17; i++) {
		__cleanup_free char *text = mem_printf("203.0.113.%d", 16 + i);
		uint32_t table = table_of(text);

		with += table != 0;
		assert_true(!table || table - DP_TABLE_WAY < DP_MAX_WAYS);
	}
	assert_int_equal(with, DP_MAX_WAYS);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
	const struct CMUnitTest tests[] = {
		TEST(a_table_has_the_segment_the_next_hop_and_an_end),
		TEST(addresses_of_one_way_share_a_table_and_families_do_not),
		TEST(an_address_that_is_not_here_yet_has_no_way),
		TEST(beyond_the_last_table_there_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
