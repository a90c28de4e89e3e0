/* SPDX-License-Identifier: Apache-2.0 */
/* spread Connection: the table of slots; and pairs of addresses, whatever the spread. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "bpf/abi.h"
#include "bpf/drop_reasons.h"
#include "policy/compile.h"
#include "testkit/policy_fixture.h"

static void fixture(struct policy_fixture *f, const char *spread, const char *addresses)
{
	__cleanup_free char *yaml = mem_printf(
		"---\napiVersion: sluice.dev/v1alpha1\nkind: EgressGateway\nmetadata: {name: g}\n"
		"spec: {allowedNamespaces: {}, spread: %s, addresses: [%s]}\n---\napiVersion: "
		"sluice.dev/v1alpha1\nkind: ClusterEgressPolicy\nmetadata: {name: p}\nspec: "
		"{subject: {podSelector: {}}, rules: [{name: r, via: {gateway: g}}]}\n",
		spread, addresses);

	policy_fixture_init(f, yaml, "n1", "eth1 203.0.113.2/24 2001:db8::2/64");
}

static const struct identity *identity_of(const struct policy_fixture *f)
{
	size_t n;
	uint32_t id = compiled_policy_rules(f->c, 0, &n)[0].identity;

	return &compiled_identities(f->c, &n)[id];
}

static struct addr pick_of(const struct policy_fixture *f, int family, uint32_t slot)
{
	const struct identity *id = identity_of(f);
	size_t n;

	return compiled_addrs(f->c, &n)[id->picks[family][slot]].addr;
}

#define FOUR "{range: 203.0.113.16/30}, {range: '2001:db8::10/126'}"

static void every_address_has_about_its_share_of_the_slots(void **state)
{
	struct policy_fixture f;
	unsigned int slots[4] = {0};

	fixture(&f, "Connection", FOUR);
	assert_true(identity_of(&f)->per_flow && !identity_of(&f)->per_pod);
	assert_int_equal(identity_of(&f)->n_picks[0], 256);
	assert_int_equal(identity_of(&f)->n_picks[1], 256);
	for (uint32_t i = 0; i < 256; i++)
		slots[pick_of(&f, 0, i).b[15] & 3]++;
	for (size_t i = 0; i < 4; i++)
		assert_in_range(slots[i], 40, 90);
	policy_fixture_done(&f);
	fixture(&f, "Connection", "{range: 203.0.113.0-203.0.113.99}");
	assert_int_equal(identity_of(&f)->n_picks[0], 2048);
	assert_int_equal(identity_of(&f)->n_picks[1], 0);
	policy_fixture_done(&f);
}

static void an_address_that_is_added_takes_its_share_and_moves_nothing_else(void **state)
{
	struct policy_fixture before, after;
	unsigned int moved = 0;

	fixture(&before, "Connection", "{range: 203.0.113.16/30}");
	fixture(&after, "Connection", "{range: 203.0.113.16/30}, {range: 203.0.113.99}");
	assert_int_equal(identity_of(&after)->n_picks[0], 256);
	for (uint32_t i = 0; i < 256; i++) {
		struct addr a = pick_of(&after, 0, i);

		moved += a.b[15] == 99;
		if (a.b[15] != 99)
			assert_true(addr_eq(a, pick_of(&before, 0, i)));
	}
	assert_in_range(moved, 30, 75);
	policy_fixture_done(&before);
	policy_fixture_done(&after);
}

/* So many gateways, each with a pair of addresses, and a policy for each. */
static void crowd(struct policy_fixture *f, unsigned int n)
{
	__cleanup_free char *yaml = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&yaml, &len);

	for (unsigned int i = 0; i < n; i++)
		fprintf(out,
			"---\napiVersion: sluice.dev/v1alpha1\nkind: EgressGateway\nmetadata: "
			"{name: g%04u}\nspec: {spread: Connection, addresses: [{range: "
			"203.0.%u.%u}, {range: '2001:db8::%x'}]}\n---\napiVersion: "
			"sluice.dev/v1alpha1\nkind: ClusterEgressPolicy\nmetadata: {name: "
			"p%04u}\nspec: {subject: {podSelector: {matchLabels: {app: a%u}}}, rules: "
			"[{name: r, via: {gateway: g%04u}}]}\n",
			i, 120 + i / 200, 10 + i % 200, 0x10 + i, i, i, i);
	fclose(out);
	policy_fixture_init(f, yaml, "n1", "eth1 203.0.120.2/16 2001:db8::2/64");
}

/* What is one too many is dropped by its reason, and takes no place of the others'. */
static void more_tables_than_there_is_room_for_are_dropped_and_told_apart(void **state)
{
	const unsigned int most = SLU_MAX_PICKS / (2 * 256);
	const struct identity *list;
	struct policy_fixture f;
	size_t n, n_rules;

	crowd(&f, most + 2);
	list = compiled_identities(f.c, &n);
	assert_int_equal(n, most + 3);
	for (unsigned int i = 0; i < most + 2; i++) {
		const struct identity *id =
			&list[compiled_policy_rules(f.c, i, &n_rules)[0].identity];
		bool fits = i < most;

		assert_int_equal(id->n_picks[0], fits ? 256 : 0);
		assert_int_equal(id->n_picks[1], fits ? 256 : 0);
		assert_int_equal(identity_has_no_room(id), !fits);
		if (!fits)
			assert_int_equal(id->none[0], SLU_DROP_NO_ID);
	}
	policy_fixture_done(&f);
}

static void addresses_at_the_same_place_of_both_lists_are_a_pair(void **state)
{
	static const char *const spreads[] = {"Policy", "Pod", "Connection"};

	for (size_t s = 0; s < 3; s++) {
		struct policy_fixture f;

		fixture(&f, spreads[s], FOUR);
		for (uint32_t i = 0; i < identity_of(&f)->n_picks[0]; i++)
			assert_int_equal(pick_of(&f, 0, i).b[15] & 3, pick_of(&f, 1, i).b[15] & 3);
		policy_fixture_done(&f);
	}
}

static void an_address_that_nobody_may_carry_is_left_out_while_there_are_others(void **state)
{
	struct policy_fixture f;

	fixture(&f, "Connection",
		"{range: 203.0.113.16/30}, {range: 203.0.113.99, nodeSelector: {matchLabels: "
		"{no: node}}}");
	for (uint32_t i = 0; i < identity_of(&f)->n_picks[0]; i++)
		assert_int_not_equal(pick_of(&f, 0, i).b[15], 99);
	policy_fixture_done(&f);
	fixture(&f, "Connection", "{range: 203.0.113.99, nodeSelector: {matchLabels: {no: node}}}");
	assert_int_equal(pick_of(&f, 0, 5).b[15], 99);
	policy_fixture_done(&f);
}

/* The kernel and keep.c go by it; what it says of a connection must never be otherwise. */
static void the_place_of_a_connection_is_what_it_always_was(void **state)
{
	struct slu_addr src = {{0, 0, 0xffff0000, 0x0500010a}},
			dst = {{0, 0, 0xffff0000, 0x076433c6}};
	unsigned int seen[8] = {0};

	for (uint32_t port = 0; port < 8000; port++)
		seen[slu_flow_spread(&src, &dst, SLU_PORTS(port, 443), 6) % 8]++;
	for (size_t i = 0; i < 8; i++)
		assert_in_range(seen[i], 800, 1200);
	assert_int_equal(slu_flow_spread(&src, &dst, SLU_PORTS(1, 2), 6), 0x32bf555u);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_address_has_about_its_share_of_the_slots),
		cmocka_unit_test(an_address_that_is_added_takes_its_share_and_moves_nothing_else),
		cmocka_unit_test(more_tables_than_there_is_room_for_are_dropped_and_told_apart),
		cmocka_unit_test(addresses_at_the_same_place_of_both_lists_are_a_pair),
		cmocka_unit_test(
			an_address_that_nobody_may_carry_is_left_out_while_there_are_others),
		cmocka_unit_test(the_place_of_a_connection_is_what_it_always_was),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
