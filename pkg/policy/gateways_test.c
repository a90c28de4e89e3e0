/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "bpf/drop_reasons.h"
#include "policy/compile.h"
#include "policy/rank.h"
#include "testkit/policy_fixture.h"

#define NODE(NAME, LABELS, ADDR)                                                              \
	"---\napiVersion: v1\nkind: Node\nmetadata: {name: " NAME ", labels: {" LABELS "}}\n" \
	"status: {addresses: [{type: InternalIP, address: '" ADDR "'}]}\n"
#define GATEWAY(NAME, SPEC)                                                                       \
	"---\napiVersion: sluice.dev/v1alpha1\nkind: EgressGateway\nmetadata: {name: " NAME "}\n" \
	"spec: {allowedNamespaces: {}, " SPEC "}\n"
#define USER(NAME, VIA)                                                                      \
	"---\napiVersion: sluice.dev/v1alpha1\nkind: EgressPolicy\nmetadata: {name: " NAME   \
	", namespace: shop}\nspec: {subject: {podSelector: {}}, rules: [{name: r, via: " VIA \
	"}]}\n"

#define THREE_NODES                          \
	NODE("n1", "gw: 'yes'", "192.0.2.1") \
	NODE("n2", "gw: 'yes'", "192.0.2.2") NODE("n3", "gw: 'no'", "192.0.2.3")
#define SIXTEEN      \
	GATEWAY("g", \
		"addresses: [{range: 203.0.113.16/28}], nodeSelector: {matchLabels: {gw: 'yes'}}")

/* The identity of the only policy's only rule. */
static const struct identity *identity_of(const struct policy_fixture *f)
{
	size_t n;
	uint32_t id = compiled_policy_rules(f->c, 0, &n)[0].identity;

	return &compiled_identities(f->c, &n)[id];
}

static size_t count_local(const struct policy_fixture *f)
{
	size_t n, local = 0;
	const struct egress_addr *addrs = compiled_addrs(f->c, &n);

	for (size_t i = 0; i < n; i++)
		local += addrs[i].local;
	return local;
}

static void every_address_has_one_owner_and_all_nodes_agree(void **state)
{
	static const char *const nodes[] = {"n1", "n2", "n3"};
	size_t locals = 0;

	for (size_t i = 0; i < 3; i++) {
		struct policy_fixture f;

		policy_fixture_init(&f, THREE_NODES SIXTEEN, nodes[i], "eth1 203.0.113.2/24");
		locals += count_local(&f);
		if (i == 2)
			assert_int_equal(count_local(&f), 0);
		policy_fixture_done(&f);
	}
	assert_int_equal(locals, 16);
}

static void a_local_address_knows_its_place(void **state)
{
	struct policy_fixture f;
	const struct egress_addr *a;

	policy_fixture_init(&f, GATEWAY("g", "addresses: [{range: 203.0.113.9}]"), "n1",
			    "eth0 192.0.2.1/24, wide 203.0.0.1/16, eth1 203.0.113.2/24");
	a = policy_fixture_addr(&f, "203.0.113.9");
	assert_true(a->local && a->assign && a->announce);
	assert_string_equal(a->interface, "eth1");
	assert_string_equal(a->owner, "n1");
	assert_int_equal(a->vni, VNI_ADDRESS);
	assert_true(addr_eq(a->endpoint, a->addr));
	policy_fixture_done(&f);
}

static void a_named_interface_is_used_outside_its_subnet(void **state)
{
	struct policy_fixture f;

	policy_fixture_init(&f,
			    GATEWAY("g", "interface: eth0, announce: None, "
					 "addresses: [{range: 203.0.113.9}]"),
			    "n1", "eth0 192.0.2.1/24, eth1 203.0.113.2/24");
	assert_string_equal(policy_fixture_addr(&f, "203.0.113.9")->interface, "eth0");
	assert_false(policy_fixture_addr(&f, "203.0.113.9")->announce);
	policy_fixture_done(&f);
}

static void an_address_without_interface_here_has_a_problem(void **state)
{
	static const char *const gateways[] = {
		GATEWAY("g", "addresses: [{range: 203.0.113.9}]"),
		GATEWAY("g", "interface: gone0, addresses: [{range: 203.0.113.9}]"),
	};

	for (size_t i = 0; i < 2; i++) {
		struct policy_fixture f;
		const struct egress_addr *a;

		policy_fixture_init(&f, gateways[i], "n1",
				    i ? "eth1 203.0.113.2/24" : "eth0 192.0.2.1/24");
		a = policy_fixture_addr(&f, "203.0.113.9");
		assert_int_equal(a->problem, SLU_DROP_NO_OWNER);
		assert_false(a->local);
		assert_null(a->interface);
		policy_fixture_done(&f);
	}
}

static void the_nodes_own_address_is_never_assigned(void **state)
{
	struct policy_fixture f;

	policy_fixture_init(&f, GATEWAY("g", "addresses: [{range: 203.0.113.2}]"), "n1",
			    "eth1 203.0.113.2/24");
	assert_true(policy_fixture_addr(&f, "203.0.113.2")->local);
	assert_false(policy_fixture_addr(&f, "203.0.113.2")->assign);
	policy_fixture_done(&f);
}

static void no_selected_node_means_no_owner(void **state)
{
	struct policy_fixture f;
	const struct egress_addr *a;

	policy_fixture_init(&f,
			    GATEWAY("g", "addresses: [{range: 203.0.113.9}], "
					 "nodeSelector: {matchLabels: {gw: x}}")
				    USER("p", "{gateway: g}"),
			    "n1", "eth1 203.0.113.2/24");
	a = policy_fixture_addr(&f, "203.0.113.9");
	assert_null(a->owner);
	assert_int_equal(a->problem, SLU_DROP_NO_OWNER);
	policy_fixture_done(&f);
}

static void a_ranges_selector_narrows_the_gateways(void **state)
{
	struct policy_fixture f;

	policy_fixture_init(&f,
			    THREE_NODES GATEWAY("g", "addresses: [{range: 203.0.113.16/28, "
						     "nodeSelector: {matchLabels: {gw: 'no'}}}]")
				    USER("p", "{gateway: g}"),
			    "n1", "eth1 203.0.113.2/24");
	assert_int_equal(count_local(&f), 0);
	assert_string_equal(compiled_addrs(f.c, &(size_t){0})[0].owner, "n3");
	policy_fixture_done(&f);
}

static size_t count_owned(const struct policy_fixture *f, const char *node)
{
	size_t n, owned = 0;
	const struct egress_addr *addrs = compiled_addrs(f->c, &n);

	for (size_t i = 0; i < n; i++)
		owned += addrs[i].owner && strcmp(addrs[i].owner, node) == 0;
	return owned;
}

static void a_range_that_prefers_nodes_is_there_as_far_as_their_share_goes(void **state)
{
	struct policy_fixture f;

	policy_fixture_init(
		&f,
		THREE_NODES GATEWAY(
			"g", "addresses: ["
			     "{range: 203.0.113.1, preferredNodes: {matchLabels: {gw: 'no'}}}, "
			     "{range: 203.0.113.2, preferredNodes: {matchLabels: {gw: 'yes'}}}, "
			     "{range: 203.0.113.3, preferredNodes: {matchLabels: {gw: nowhere}}}]"),
		"n1", "eth1 203.0.113.254/24");
	assert_string_equal(policy_fixture_addr(&f, "203.0.113.1")->owner, "n3");
	assert_string_not_equal(policy_fixture_addr(&f, "203.0.113.2")->owner, "n3");
	assert_non_null(policy_fixture_addr(&f, "203.0.113.3")->owner);
	policy_fixture_done(&f);
	policy_fixture_init(&f,
			    THREE_NODES GATEWAY("g", "addresses: [{range: 203.0.113.16/28, "
						     "preferredNodes: {matchLabels: {gw: 'no'}}}]"),
			    "n1", "eth1 203.0.113.254/24");
	assert_int_equal(count_owned(&f, "n3"), rank_share(16, 3));
	policy_fixture_done(&f);
}

static void a_node_owns_no_more_than_its_capacity(void **state)
{
	struct policy_fixture f;

	policy_fixture_init(&f,
			    THREE_NODES GATEWAY("g", "addresses: [{range: 203.0.113.16/28}], "
						     "nodeCapacity: 3"),
			    "n1", "eth1 203.0.113.254/24");
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(count_owned(&f, (const char *[]){"n1", "n2", "n3"}[i]), 3);
	policy_fixture_done(&f);
}

static void a_policy_sticks_to_one_address_and_a_new_one_moves_few(void **state)
{
	size_t moved = 0;

	for (uint32_t i = 0; i < 50; i++) {
		char *yaml[2];
		struct addr got[2];

		for (size_t j = 0; j < 2; j++) {
			struct policy_fixture f;
			char name[16];

			snprintf(name, sizeof(name), "p%u", i);
			yaml[j] = mem_printf(GATEWAY("g", "addresses: [{range: "
							  "203.0.113.16-203.0.113.%d}]")
						     USER("%s", "{gateway: g}"),
					     j ? 26 : 25, name);
			policy_fixture_init(&f, yaml[j], "n1", "eth1 203.0.113.2/24");
			assert_int_equal(identity_of(&f)->n_picks[0], 1);
			got[j] = compiled_addrs(f.c, &(size_t){0})[identity_of(&f)->picks[0][0]]
					 .addr;
			policy_fixture_done(&f);
			free(yaml[j]);
		}
		moved += !addr_eq(got[0], got[1]);
		if (!addr_eq(got[0], got[1]))
			assert_string_equal(addr_str(got[1]), "203.0.113.26");
	}
	assert_in_range(moved, 0, 15);
}

static void addresses_nobody_appears_as_come_last_and_are_spare(void **state)
{
	struct policy_fixture f;
	const struct egress_addr *addrs;
	size_t n, spare = 0;

	policy_fixture_init(&f,
			    THREE_NODES SIXTEEN USER("p", "{gateway: g, addresses: [203.0.113.20, "
							  "203.0.113.21]}"),
			    "n3", "eth1 203.0.113.2/24");
	addrs = compiled_addrs(f.c, &n);
	assert_int_equal(n, 16);
	assert_int_equal(identity_of(&f)->picks[0][0], 0);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(addrs[i].spare, i > 0);
		assert_non_null(addrs[i].owner);
		spare += addrs[i].spare;
	}
	assert_int_equal(spare, 15);
	policy_fixture_done(&f);
}

static void a_via_with_addresses_picks_among_them(void **state)
{
	struct policy_fixture f;
	const struct identity *id;

	policy_fixture_init(&f,
			    GATEWAY("g", "addresses: [{range: 203.0.113.16/28}, {range: "
					 "'2001:db8::9'}]")
				    USER("p", "{gateway: g, addresses: [203.0.113.20]}"),
			    "n1", "eth1 203.0.113.2/24");
	id = identity_of(&f);
	assert_int_equal(id->n_picks[0], 1);
	assert_string_equal(addr_str(compiled_addrs(f.c, &(size_t){0})[id->picks[0][0]].addr),
			    "203.0.113.20");
	assert_int_equal(id->n_picks[1], 0);
	assert_int_equal(id->none[1], SLU_DROP_FAMILY);
	policy_fixture_done(&f);
}

static void spread_pod_offers_all_addresses(void **state)
{
	struct policy_fixture f;

	policy_fixture_init(&f,
			    GATEWAY("g", "spread: Pod, addresses: [{range: 203.0.113.16/28}]")
				    USER("p", "{gateway: g}"),
			    "n1", "eth1 203.0.113.2/24");
	assert_true(identity_of(&f)->per_pod);
	assert_int_equal(identity_of(&f)->n_picks[0], 16);
	policy_fixture_done(&f);
}

static void without_allowed_namespaces_only_cluster_policies_may(void **state)
{
	struct policy_fixture f;

	policy_fixture_init(
		&f,
		"---\napiVersion: sluice.dev/v1alpha1\nkind: EgressGateway\nmetadata: "
		"{name: g}\nspec: {addresses: [{range: 203.0.113.9}]}\n" USER("p", "{gateway: g}"),
		"n1", "eth1 203.0.113.2/24");
	assert_int_equal(identity_of(&f)->none[0], SLU_DROP_NOT_PERMITTED);
	assert_int_equal(identity_of(&f)->none[1], SLU_DROP_NOT_PERMITTED);
	policy_fixture_done(&f);
}

static void a_namespace_without_object_has_its_implied_label(void **state)
{
	struct policy_fixture f;

	policy_fixture_init(
		&f,
		"---\napiVersion: sluice.dev/v1alpha1\nkind: EgressGateway\nmetadata: "
		"{name: g}\nspec: {addresses: [{range: 203.0.113.9}], allowedNamespaces: "
		"{matchLabels: {kubernetes.io/metadata.name: shop}}}\n" USER("p", "{gateway: g}"),
		"n1", "eth1 203.0.113.2/24");
	assert_int_equal(identity_of(&f)->n_picks[0], 1);
	policy_fixture_done(&f);
}

/* ---- addressFrom ---- */

#define FROM \
	GATEWAY("g", "addressFrom: {interface: eth1}, nodeSelector: {matchLabels: {gw: 'yes'}}")

static void address_from_on_a_selected_node_is_its_own_address(void **state)
{
	struct policy_fixture f;
	const struct egress_addr *a;

	policy_fixture_init(&f, THREE_NODES FROM, "n1",
			    "eth0 192.0.2.1/24, eth1 203.0.113.2/24 fe80::1/64 2001:db8::2/64");
	a = policy_fixture_addr(&f, "203.0.113.2");
	assert_true(a->local && !a->assign && !a->announce);
	assert_string_equal(addr_str(a->endpoint), "192.0.2.1");
	assert_int_not_equal(a->vni, VNI_ADDRESS);
	assert_non_null(policy_fixture_addr(&f, "2001:db8::2"));
	assert_int_not_equal(policy_fixture_addr(&f, "2001:db8::2")->vni, a->vni);
	policy_fixture_done(&f);
}

static void address_from_elsewhere_is_the_ranked_owner(void **state)
{
	struct policy_fixture f, owner;
	const struct egress_addr *a, *b;
	size_t n;

	policy_fixture_init(&f, THREE_NODES FROM USER("p", "{gateway: g}"), "n3",
			    "eth0 192.0.2.3/24");
	a = &compiled_addrs(f.c, &n)[0];
	assert_int_equal(n, 1);
	assert_false(a->local);
	assert_true(addr_eq(a->addr, a->endpoint));
	policy_fixture_init(&owner, THREE_NODES FROM, a->owner, "eth1 203.0.113.2/24");
	b = policy_fixture_addr(&owner, "203.0.113.2");
	assert_true(b->local);
	assert_true(
		addr_eq(a->endpoint, b->endpoint)); /* what the owner's tunnel is looked up by */
	assert_int_equal(a->vni, b->vni);
	policy_fixture_done(&owner);
	policy_fixture_done(&f);
}

static void address_from_an_interface_that_is_missing_has_no_owner(void **state)
{
	struct policy_fixture f;

	policy_fixture_init(&f, THREE_NODES FROM USER("p", "{gateway: g}"), "n1",
			    "eth0 192.0.2.1/24");
	assert_int_equal(identity_of(&f)->none[0], SLU_DROP_NO_OWNER);
	policy_fixture_done(&f);
}

/* ---- nodes and the inside ---- */

static bool is_inside(const struct policy_fixture *f, const char *text)
{
	size_t n;
	const struct cidr *inside = compiled_inside(f->c, &n);

	for (size_t i = 0; i < n; i++)
		if (cidr_contains_addr(inside[i], addr_of(text)))
			return true;
	return false;
}

static void inside_is_pods_nodes_and_own_addresses_only(void **state)
{
	struct policy_fixture f;

	policy_fixture_init(&f, THREE_NODES SIXTEEN, "n1", "eth1 203.0.113.2/24, lo 127.0.0.1/8");
	assert_true(is_inside(&f, "10.244.1.1"));
	assert_true(is_inside(&f, "192.0.2.3"));
	assert_true(is_inside(&f, "203.0.113.2"));
	assert_false(is_inside(&f, "203.0.113.3"));
	assert_false(is_inside(&f, "203.0.113.17"));
	assert_false(is_inside(&f, "127.0.0.1"));
	policy_fixture_done(&f);
}

static void pod_cidrs_of_nodes_stand_in_for_cluster_cidrs(void **state)
{
	struct policy_fixture f;

	policy_fixture_node(&f, "n1", "eth0 192.0.2.1/24");
	f.node.n_cluster_cidrs = 0;
	f.set = docs_from_yaml("apiVersion: v1\nkind: Node\nmetadata: {name: n2}\n"
			       "spec: {podCIDRs: [10.9.0.0/24]}\n");
	policy_fixture_compile(&f);
	assert_true(is_inside(&f, "10.9.0.7"));
	policy_fixture_done(&f);
}

static void unknown_cluster_cidrs_are_an_error(void **state)
{
	struct policy_fixture f;
	struct err e = {};

	policy_fixture_node(&f, "n1", "eth0 192.0.2.1/24");
	f.node.n_cluster_cidrs = 0;
	f.set = docs_from_yaml("");
	assert_int_not_equal(policy_compile(f.set, &f.node, &f.c, &e), 0);
	assert_non_null(strstr(e.msg, "cluster CIDRs are unknown"));
	policy_fixture_done(&f);
}

static void nodes_are_sorted_and_have_this_one_once(void **state)
{
	static const char *const self[] = {"a", "n2", "z"};
	static const size_t want[] = {4, 3, 4};

	for (size_t i = 0; i < 3; i++) {
		struct policy_fixture f;
		const struct compiled_node *nodes;
		size_t n, me = 0;

		policy_fixture_init(&f, THREE_NODES, self[i],
				    "lo 127.0.0.1/8, cni0 10.244.0.1/24, eth0 198.51.100.4/24");
		nodes = compiled_nodes(f.c, &n);
		assert_int_equal(n, want[i]);
		for (size_t j = 0; j < n; j++) {
			assert_true(j == 0 || strcmp(nodes[j - 1].name, nodes[j].name) < 0);
			if (strcmp(nodes[j].name, self[i]) == 0)
				me = j;
		}
		assert_string_equal(addr_str(nodes[me].v4), i == 1 ? "192.0.2.2" : "198.51.100.4");
		policy_fixture_done(&f);
	}
}

static void a_policy_for_other_nodes_is_left_out(void **state)
{
	static const char yaml[] = THREE_NODES
		"---\napiVersion: sluice.dev/v1alpha1\nkind: ClusterEgressPolicy\nmetadata: "
		"{name: p}\nspec: {subject: {podSelector: {}, nodeSelector: {matchLabels: {gw: "
		"'no'}}}, rules: [{name: r, action: Deny}]}\n";
	static const char *const nodes[] = {"n1", "n3", "unknown"};

	for (size_t i = 0; i < 3; i++) {
		struct policy_fixture f;

		policy_fixture_init(&f, yaml, nodes[i], "eth0 192.0.2.1/24");
		assert_int_equal(compiled_policy_count(f.c), i == 1);
		policy_fixture_done(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_address_has_one_owner_and_all_nodes_agree),
		cmocka_unit_test(a_local_address_knows_its_place),
		cmocka_unit_test(a_named_interface_is_used_outside_its_subnet),
		cmocka_unit_test(an_address_without_interface_here_has_a_problem),
		cmocka_unit_test(the_nodes_own_address_is_never_assigned),
		cmocka_unit_test(no_selected_node_means_no_owner),
		cmocka_unit_test(a_ranges_selector_narrows_the_gateways),
		cmocka_unit_test(a_range_that_prefers_nodes_is_there_as_far_as_their_share_goes),
		cmocka_unit_test(a_node_owns_no_more_than_its_capacity),
		cmocka_unit_test(a_policy_sticks_to_one_address_and_a_new_one_moves_few),
		cmocka_unit_test(addresses_nobody_appears_as_come_last_and_are_spare),
		cmocka_unit_test(a_via_with_addresses_picks_among_them),
		cmocka_unit_test(spread_pod_offers_all_addresses),
		cmocka_unit_test(without_allowed_namespaces_only_cluster_policies_may),
		cmocka_unit_test(a_namespace_without_object_has_its_implied_label),
		cmocka_unit_test(address_from_on_a_selected_node_is_its_own_address),
		cmocka_unit_test(address_from_elsewhere_is_the_ranked_owner),
		cmocka_unit_test(address_from_an_interface_that_is_missing_has_no_owner),
		cmocka_unit_test(inside_is_pods_nodes_and_own_addresses_only),
		cmocka_unit_test(pod_cidrs_of_nodes_stand_in_for_cluster_cidrs),
		cmocka_unit_test(unknown_cluster_cidrs_are_an_error),
		cmocka_unit_test(nodes_are_sorted_and_have_this_one_once),
		cmocka_unit_test(a_policy_for_other_nodes_is_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
