/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "policy/compile.h"
#include "policy/rank.h"
#include "testkit/policy_fixture.h"

#define NODE(NAME, LABELS, ADDR)                                                              \
	"---\napiVersion: v1\nkind: Node\nmetadata: {name: " NAME ", labels: {" LABELS "}}\n" \
	"status: {addresses: [{type: InternalIP, address: '" ADDR "'}]}\n"
#define GATEWAY(NAME, SPEC)                                                                       \
	"---\napiVersion: sluice.dev/v1alpha1\nkind: EgressGateway\nmetadata: {name: " NAME "}\n" \
	"spec: {allowedNamespaces: {}, " SPEC "}\n"

#define THREE_NODES                          \
	NODE("n1", "gw: 'yes'", "192.0.2.1") \
	NODE("n2", "gw: 'yes'", "192.0.2.2") NODE("n3", "gw: 'no'", "192.0.2.3")
#define SIXTEEN      \
	GATEWAY("g", \
		"addresses: [{range: 203.0.113.16/28}], nodeSelector: {matchLabels: {gw: 'yes'}}")

static void who_is_away_owns_nothing_and_its_addresses_know_their_home(void **state)
{
	const struct node_tier away = {"n1", RANK_AWAY};
	const struct egress_addr *before, *after;
	struct policy_fixture f, g;
	size_t n, moved = 0;

	policy_fixture_init(&f, THREE_NODES SIXTEEN, "n2", "eth1 203.0.113.2/24");
	policy_fixture_node(&g, "n2", "eth1 203.0.113.2/24");
	g.node.tiers = &away;
	g.node.n_tiers = 1;
	g.set = docs_from_yaml(THREE_NODES SIXTEEN);
	policy_fixture_compile(&g);
	before = compiled_addrs(f.c, &n);
	after = compiled_addrs(g.c, &n);
	assert_int_equal(n, 16);
	for (size_t i = 0; i < n; i++) {
		const struct egress_addr *was = policy_fixture_addr(&f, addr_str(after[i].addr));

		assert_string_equal(after[i].owner, "n2");
		assert_string_equal(after[i].home, was->owner);
		assert_string_equal(before[i].home, before[i].owner);
		moved += strcmp(was->owner, "n1") == 0;
	}
	assert_in_range(moved, 6, 10);
	policy_fixture_done(&f);
	policy_fixture_done(&g);
}

static void peers_are_the_candidates_that_share_a_gateway_with_this_node(void **state)
{
	static const char yaml[] = THREE_NODES SIXTEEN GATEWAY(
		"quick", "addresses: [{range: 203.0.113.9}], failover: "
			 "{interval: 30ms, holdDown: 1m}");
	struct compiled_peer *peers;
	struct policy_fixture f;
	size_t n;

	policy_fixture_init(&f, yaml, "n1", "eth1 203.0.113.2/24");
	compiled_peers(f.c, &peers, &n);
	assert_int_equal(n, 3);
	assert_string_equal(peers[2].node.name, "n3");
	assert_string_equal(addr_str(peers[2].node.v4), "192.0.2.3");
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(peers[i].failover.interval_ms, 30);
		assert_int_equal(peers[i].failover.missed, 3);
		assert_int_equal(peers[i].failover.hold_down_ms, 60000);
	}
	free(peers);
	policy_fixture_done(&f);
	policy_fixture_init(&f, THREE_NODES SIXTEEN, "n1", "eth1 203.0.113.2/24");
	compiled_peers(f.c, &peers, &n);
	assert_int_equal(n, 2);
	assert_int_equal(peers[0].failover.interval_ms, 100);
	free(peers);
	policy_fixture_done(&f);
	policy_fixture_init(&f, THREE_NODES SIXTEEN, "n3", "eth1 203.0.113.2/24");
	compiled_peers(f.c, &peers, &n);
	assert_int_equal(n, 0);
	free(peers);
	policy_fixture_done(&f);
}

static void who_dies_changes_no_program(void **state)
{
	static const char yaml[] = THREE_NODES SIXTEEN
		"---\napiVersion: sluice.dev/v1alpha1\nkind: EgressPolicy\nmetadata: {name: p, "
		"namespace: shop}\nspec: {subject: {podSelector: {}}, rules: [{name: r, via: "
		"{gateway: g}}]}\n";
	const struct node_tier away = {"n1", RANK_AWAY};
	struct compiled *again;
	struct policy_fixture f;
	struct pod_info pod = {.namespace = "shop", .name = "a", .labels_known = true};
	struct binding before, after;

	policy_fixture_init(&f, yaml, "n2", "eth1 203.0.113.2/24");
	assert_int_equal(policy_resolve(f.c, &pod, &before), 0);
	f.node.tiers = &away;
	f.node.n_tiers = 1;
	assert_int_equal(policy_compile_again(f.set, &f.node, f.c, &again, NULL), 0);
	assert_int_equal(policy_resolve(again, &pod, &after), 0);
	assert_int_equal(before.key, after.key);
	assert_int_not_equal(compiled_digest(again), compiled_digest(f.c));
	binding_done(&before);
	binding_done(&after);
	compiled_free(again);
	policy_fixture_done(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_is_away_owns_nothing_and_its_addresses_know_their_home),
		cmocka_unit_test(peers_are_the_candidates_that_share_a_gateway_with_this_node),
		cmocka_unit_test(who_dies_changes_no_program),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
