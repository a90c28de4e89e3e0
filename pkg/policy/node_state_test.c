/* SPDX-License-Identifier: Apache-2.0 */
/* What Node objects say beside labels: cordoned, about to go, not ready, not there any more. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "policy/compile.h"
#include "policy/rank.h"
#include "testkit/policy_fixture.h"

#define GATEWAY                                                                                  \
	"---\napiVersion: sluice.dev/v1alpha1\nkind: EgressGateway\nmetadata: {name: g}\n"       \
	"spec: {allowedNamespaces: {}, addresses: [{range: 203.0.113.16/28}, {range: "           \
	"2001:db8::10/124}]}\n---\napiVersion: sluice.dev/v1alpha1\nkind: ClusterEgressPolicy\n" \
	"metadata: {name: p}\nspec: {subject: {podSelector: {}}, rules: [{name: r, via: "        \
	"{gateway: g}}]}\n"

static char *node(const char *name, const char *addr, const char *spec, const char *status)
{
	return mem_printf("---\napiVersion: v1\nkind: Node\nmetadata: {name: %s}\nspec: {%s}\n"
			  "status: {addresses: [{type: InternalIP, address: '%s'}]%s}\n",
			  name, spec, addr, status);
}

#define ADDRS 32

/* Who has what, as all know; NULL: nobody knows. */
static const struct node_holding *holdings;
static size_t n_holdings;

/* How many addresses `name` owns, as n1 sees it, when n2's object says this and n1 is of a tier by
 * its heartbeats. */
static size_t owned_beside(const char *name, const char *spec, const char *status,
			   const struct node_tier *tiers)
{
	__cleanup_free char *n1 = node("n1", "192.0.2.1", "", "");
	__cleanup_free char *n2 = node("n2", "192.0.2.2", spec, status);
	__cleanup_free char *n3 = node("n3", "192.0.2.3", "", "");
	__cleanup_free char *yaml = mem_printf("%s%s%s%s", GATEWAY, n1, n2,
					       tiers && tiers[2].name ? n3 : "");
	struct policy_fixture f = {0};
	const struct egress_addr *addrs;
	size_t n, count = 0;

	policy_fixture_node(&f, "n1", "eth1 203.0.113.2/24 2001:db8::2/64");
	f.set = docs_from_yaml(yaml);
	f.node.tiers = tiers;
	f.node.n_tiers = !tiers ? 0 : tiers[2].name ? 3 : 2;
	f.node.holdings = holdings;
	f.node.n_holdings = n_holdings;
	policy_fixture_compile(&f);
	addrs = compiled_addrs(f.c, &n);
	assert_int_equal(n, ADDRS);
	for (size_t i = 0; i < n; i++)
		count += addrs[i].owner && strcmp(addrs[i].owner, name) == 0;
	policy_fixture_done(&f);
	return count;
}

static size_t owned(const char *name, const char *spec, const char *status, bool heartbeats)
{
	static const struct node_tier live[3] = {{"n1", RANK_LIVE}, {"n2", RANK_LIVE}};

	return owned_beside(name, spec, status, heartbeats ? live : NULL);
}

static void a_node_that_is_cordoned_or_to_be_taken_away_carries_nothing(void **state)
{
	static const char *const leaving[] = {
		"unschedulable: true",
		"taints: [{key: other, effect: NoSchedule}, {key: "
		"ToBeDeletedByClusterAutoscaler, value: '1', effect: NoSchedule}]",
		"taints: [{key: node.kubernetes.io/out-of-service, effect: NoExecute}]",
	};

	for (int heartbeats = 0; heartbeats < 2; heartbeats++) {
		for (size_t i = 0; i < 3; i++)
			assert_int_equal(owned("n1", leaving[i], "", heartbeats), ADDRS);
		assert_in_range(owned("n2", "unschedulable: false, taints: []", "", heartbeats), 8,
				24);
		assert_in_range(
			owned("n2", "taints: [{key: other, effect: NoSchedule}]", "", heartbeats),
			8, 24);
	}
}

static void where_all_are_cordoned_they_keep_what_they_have(void **state)
{
	__cleanup_free char *n1 = node("n1", "192.0.2.1", "unschedulable: true", "");
	__cleanup_free char *n2 = node("n2", "192.0.2.2", "unschedulable: true", "");
	__cleanup_free char *yaml = mem_printf("%s%s%s", GATEWAY, n1, n2);
	struct policy_fixture f;
	const struct egress_addr *addrs;
	size_t n;

	policy_fixture_init(&f, yaml, "n1", "eth1 203.0.113.2/24 2001:db8::2/64");
	addrs = compiled_addrs(f.c, &n);
	for (size_t i = 0; i < n; i++)
		assert_string_equal(addrs[i].owner, addrs[i].home);
	policy_fixture_done(&f);
}

static void a_kubelet_that_is_silent_counts_where_nobody_is_heard(void **state)
{
	static const char *const silent[] = {
		", conditions: [{type: Ready, status: 'False'}]",
		", conditions: [{type: DiskPressure, status: 'True'}, {type: Ready, status: "
		"Unknown}]",
	};

	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(owned("n1", "", silent[i], false), ADDRS);
		assert_in_range(owned("n2", "", silent[i], true), 8, 24);
	}
	assert_in_range(owned("n2", "", ", conditions: [{type: Ready, status: 'True'}]", false), 8,
			24);
}

#define NOT_READY ", conditions: [{type: Ready, status: 'False'}]"

static void who_is_not_ready_keeps_what_it_has_and_gets_nothing_of_the_dead(void **state)
{
	static const struct node_tier live[3] = {
		{"n1", RANK_LIVE}, {"n2", RANK_LIVE}, {"n3", RANK_LIVE}};
	static const struct node_tier dead[3] = {
		{"n1", RANK_LIVE}, {"n2", RANK_LIVE}, {"n3", RANK_AWAY}};
	static const struct node_tier last[3] = {
		{"n1", RANK_AWAY}, {"n2", RANK_LIVE}, {"n3", RANK_AWAY}};
	size_t before = owned_beside("n2", "", "", live);

	assert_int_equal(owned_beside("n2", "", NOT_READY, live), before);
	assert_true(owned_beside("n2", "", "", dead) > before);
	assert_int_equal(owned_beside("n2", "", NOT_READY, dead), before);
	assert_int_equal(owned_beside("n1", "", NOT_READY, dead), ADDRS - before);
	/* and all of it when there is nobody else */
	assert_int_equal(owned_beside("n2", "", NOT_READY, last), ADDRS);
}

/* A range is added: what of it is at home there goes to others, and what was there stays. */
static void who_is_not_ready_gets_nothing_that_is_new(void **state)
{
	static const struct node_tier live[3] = {
		{"n1", RANK_LIVE}, {"n2", RANK_LIVE}, {"n3", RANK_LIVE}};
	struct node_holding list[ADDRS / 2];
	size_t before = owned_beside("n2", "", "", live), kept;

	for (size_t i = 0; i < ADDRS / 2; i++) {
		list[i] = (struct node_holding){.node = "n2"};
		list[i].addr = addr_from_v4((uint8_t[4]){203, 0, 113, (uint8_t)(16 + i)});
	}
	holdings = list;
	assert_int_equal(owned_beside("n2", "", NOT_READY, live), 0);
	n_holdings = ADDRS / 2; /* the IPv4 half of them is there */
	kept = owned_beside("n2", "", NOT_READY, live);
	assert_in_range(kept, 1, before - 1);
	assert_int_equal(owned_beside("n2", "", "", live), before);
	for (size_t i = 0; i < ADDRS / 2; i++)
		list[i].node = "n1";
	assert_int_equal(owned_beside("n2", "", NOT_READY, live), 0);
	holdings = NULL;
	n_holdings = 0;
}

static void a_node_whose_object_is_gone_owns_nothing_in_its_own_eyes(void **state)
{
	__cleanup_free char *n2 = node("n2", "192.0.2.2", "", "");
	__cleanup_free char *yaml = mem_printf("%s%s", GATEWAY, n2);
	struct policy_fixture f;
	const struct egress_addr *addrs;
	size_t n;

	policy_fixture_init(&f, yaml, "n1", "eth1 203.0.113.2/24 2001:db8::2/64");
	addrs = compiled_addrs(f.c, &n);
	for (size_t i = 0; i < n; i++)
		assert_string_equal(addrs[i].owner, "n2");
	policy_fixture_done(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_node_that_is_cordoned_or_to_be_taken_away_carries_nothing),
		cmocka_unit_test(where_all_are_cordoned_they_keep_what_they_have),
		cmocka_unit_test(a_kubelet_that_is_silent_counts_where_nobody_is_heard),
		cmocka_unit_test(who_is_not_ready_keeps_what_it_has_and_gets_nothing_of_the_dead),
		cmocka_unit_test(who_is_not_ready_gets_nothing_that_is_new),
		cmocka_unit_test(a_node_whose_object_is_gone_owns_nothing_in_its_own_eyes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
