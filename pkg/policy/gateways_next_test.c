/* SPDX-License-Identifier: Apache-2.0 */
/* Who would own an address if its owner were away, as the owner itself knows it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "policy/compile.h"
#include "policy/rank.h"
#include "testkit/policy_fixture.h"

#define NODE(NAME, ADDR)                                                \
	"---\napiVersion: v1\nkind: Node\nmetadata: {name: " NAME "}\n" \
	"status: {addresses: [{type: InternalIP, address: '" ADDR "'}]}\n"
#define NODES                   \
	NODE("n1", "192.0.2.1") \
	NODE("n2", "192.0.2.2") NODE("n3", "192.0.2.3") NODE("n4", "192.0.2.4")
#define GATEWAY(SPEC)                                                                      \
	"---\napiVersion: sluice.dev/v1alpha1\nkind: EgressGateway\nmetadata: {name: g}\n" \
	"spec: {addresses: [{range: 203.0.113.16/28}]" SPEC "}\n"
#define REPLICATED NODES GATEWAY(", failover: {replicate: true}")

/* Who owns it for those who do not hear `away` any more. */
static void is_owned_without(const char *addr, const char *away, const char *as, const char *owner)
{
	const struct node_tier tier = {away, RANK_AWAY};
	struct policy_fixture f;

	policy_fixture_node(&f, as, "eth1 203.0.113.2/24");
	f.set = docs_from_yaml(REPLICATED);
	f.node.tiers = &tier;
	f.node.n_tiers = 1;
	policy_fixture_compile(&f);
	assert_string_equal(policy_fixture_addr(&f, addr)->owner, owner);
	policy_fixture_done(&f);
}

static void who_is_next_is_who_owns_it_when_its_owner_is_silent(void **state)
{
	static const char *const nodes[] = {"n1", "n2", "n3", "n4"};

	for (size_t i = 0; i < 4; i++) {
		const struct egress_addr *addrs;
		struct policy_fixture f;
		size_t n;

		policy_fixture_init(&f, REPLICATED, nodes[i], "eth1 203.0.113.2/24");
		addrs = compiled_addrs(f.c, &n);
		for (size_t k = 0; k < n; k++) {
			const char *next = addrs[k].next;

			assert_true(!next == !addrs[k].local);
			for (size_t j = 0; next && j < 4; j++)
				if (j != i)
					is_owned_without(addr_str(addrs[k].addr), nodes[i],
							 nodes[j], next);
		}
		policy_fixture_done(&f);
	}
}

static void nobody_is_next_where_nothing_is_replicated(void **state)
{
	struct policy_fixture f;
	const struct egress_addr *addrs;
	size_t n;

	policy_fixture_init(&f, NODES GATEWAY(""), "n1", "eth1 203.0.113.2/24");
	addrs = compiled_addrs(f.c, &n);
	for (size_t i = 0; i < n; i++)
		assert_null(addrs[i].next);
	policy_fixture_done(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_is_next_is_who_owns_it_when_its_owner_is_silent),
		cmocka_unit_test(nobody_is_next_where_nothing_is_replicated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
