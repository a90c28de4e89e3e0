/* SPDX-License-Identifier: Apache-2.0 */
/* Which way out an address has, by the routes of a network of this test's own. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "reconcile/priv.h"
#include "testkit/netns_fixture.h"
#include "testkit/policy_fixture.h"

#define GATEWAY(NAME, MORE)                                                                    \
	"---\napiVersion: sluice.dev/v1alpha1\nkind: EgressGateway\nmetadata: {name: " NAME    \
	"}\nspec: {allowedNamespaces: {}, " MORE "}\n---\napiVersion: sluice.dev/v1alpha1\n"   \
	"kind: EgressPolicy\nmetadata: {name: " NAME ", namespace: default}\nspec: {subject: " \
	"{podSelector: {}}, rules: [{name: r, via: {gateway: " NAME "}}]}\n"

/* main0 has the default route, other0 one of a higher metric, alone0 none. */
static const char yaml[] = GATEWAY("main", "addresses: [{range: 203.0.113.16}]")
	GATEWAY("other", "addresses: [{range: 198.51.100.16}]")
		GATEWAY("alone", "addresses: [{range: 192.0.3.16}]")
			GATEWAY("named", "nextHop: 192.0.3.99, addresses: [{range: 192.0.3.17}]");

static struct world {
	struct policy_fixture f;
	struct reconcile r;
	struct place places[4];
	struct rtnl *rtnl;
} w;

static int begin(void **state)
{
	struct err e = {0};

	netns_fresh();
	w = (struct world){0};
	for (const char *const *name = (const char *const[]){"main0", "other0", "alone0", NULL};
	     *name; name++)
		sh("ip link add %s type veth peer name p-%s && ip link set p-%s up && "
		   "ip link set %s up",
		   *name, *name, *name, *name);
	sh("ip addr add 203.0.113.2/24 dev main0 && ip addr add 198.51.100.2/24 dev other0 && "
	   "ip addr add 192.0.3.2/24 dev alone0");
	sh("ip route add default via 203.0.113.1 && "
	   "ip route add default via 198.51.100.1 dev other0 metric 500");
	policy_fixture_init(&w.f, yaml, "n1",
			    "main0 203.0.113.2/24, other0 198.51.100.2/24, alone0 192.0.3.2/24");
	expect_ok(rtnl_open(-1, &w.rtnl, &e), &e);
	w.r.k.rtnl = w.rtnl;
	w.r.compiled = w.f.c;
	expect_ok(node_observe(w.rtnl, &w.r.node, &e), &e);
	return 0;
}

static int end(void **state)
{
	free(w.r.ways);
	node_free(w.r.node);
	rtnl_close(w.rtnl);
	policy_fixture_done(&w.f);
	return 0;
}

/* "main0 via ADDR", "" for the routing table's own way. */
static void expect_way(const char *address, const char *name, const char *via)
{
	const struct way *ways = ways_get(&w.r, w.places);
	const struct egress_addr *addrs;
	size_t n;

	addrs = compiled_addrs(w.f.c, &n);
	assert_int_equal(n, 4);
	for (size_t i = 0; i < n; i++) {
		if (!addr_eq(addrs[i].addr, addr_of(address)))
			continue;
		assert_int_equal(ways[i].ifindex, name ? ifindex_of(name) : 0);
		if (name)
			assert_string_equal(addr_str(ways[i].via), via);
		return;
	}
	fail_msg("%s is not compiled", address);
}

static void an_address_takes_the_way_of_its_interface(void **state)
{
	expect_way("203.0.113.16", NULL, NULL); /* the default route's */
	expect_way("198.51.100.16", "other0", "198.51.100.1");
	expect_way("192.0.3.16", NULL, NULL); /* no next hop is known there */
	expect_way("192.0.3.17", "alone0", "192.0.3.99");
}

static void an_interface_that_is_down_is_no_way(void **state)
{
	struct err e = {0};

	sh("ip link set alone0 down");
	node_free(w.r.node);
	expect_ok(node_observe(w.rtnl, &w.r.node, &e), &e);
	expect_way("192.0.3.17", NULL, NULL);
	expect_way("198.51.100.16", "other0", "198.51.100.1");
}

/* What other0 leads to is asked by a strict interface where the table leads elsewhere. */
static void a_strict_interface_of_a_way_is_told(void **state)
{
	struct route way = {.table = DP_TABLE_WAY,
			    .type = ROUTE_UNICAST,
			    .dst = cidr_all(true),
			    .ifindex = ifindex_of("other0")};
	struct dp_model *m = dp_model_new();
	struct desired d = {.model = m};
	char name[32] = "";

	sh("echo 0 >/proc/sys/net/ipv4/conf/all/rp_filter");
	sh("echo 0 >/proc/sys/net/ipv4/conf/other0/rp_filter");
	assert_false(ways_strict(&w.r, name, sizeof(name)));
	w.r.desired = &d;
	MEM_GROW(m->routes, m->n_routes);
	m->routes[m->n_routes++] = way;
	assert_false(ways_strict(&w.r, name, sizeof(name)));
	sh("echo 1 >/proc/sys/net/ipv4/conf/all/rp_filter");
	assert_true(ways_strict(&w.r, name, sizeof(name)));
	assert_string_equal(name, "other0");
	sh("echo 2 >/proc/sys/net/ipv4/conf/other0/rp_filter");
	assert_false(ways_strict(&w.r, name, sizeof(name)));
	dp_model_free(m);
	w.r.desired = NULL;
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
	const struct CMUnitTest tests[] = {
		TEST(an_address_takes_the_way_of_its_interface),
		TEST(an_interface_that_is_down_is_no_way),
		TEST(a_strict_interface_of_a_way_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
