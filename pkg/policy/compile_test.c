/* SPDX-License-Identifier: Apache-2.0 */
/* What a compile finds beside addresses and rules: for the tunnel, for the log. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <setjmp.h>
#include <cmocka.h>

#include "policy/compile.h"
#include "testkit/policy_fixture.h"

#define HEAD(kind, name)                                         \
	"---\napiVersion: sluice.dev/v1alpha1\nkind: " kind "\n" \
	"metadata: {name: " name "}\nspec: "

/* Where a datagram reaches all on a link. Subnets of two have no such address (RFC 3021, 6164). */
static void broadcast_and_subnet_router_addresses_are_shared_but_of_links_of_two(void **state)
{
	static const char *const want[] = {"192.0.2.127/32", "203.0.113.255/32", "2001:db8::/128"};
	struct policy_fixture f;
	const struct cidr *shared;
	size_t n;

	policy_fixture_init(
		&f, "", "n1",
		"lo 127.0.0.1/8 ::1/128, eth0 203.0.113.2/24 2001:db8::2/64 192.0.2.126/30, "
		"eth1 198.51.100.3/31 2001:db8:1::3/127 198.51.100.9/32");
	shared = compiled_shared(f.c, &n);
	assert_int_equal(n, sizeof(want) / sizeof(*want));
	for (size_t i = 0; i < n; i++)
		assert_string_equal(cidr_str(shared[i]), want[i]);
	policy_fixture_done(&f);
}

#define GATEWAY(name, tunnel)       \
	HEAD("EgressGateway", name) \
	"{allowedNamespaces: {}, addressFrom: {interface: eth0}" tunnel "}\n"

static void the_smallest_mtu_that_a_gateway_asks_for_is_the_tunnels(void **state)
{
	static const struct {
		const char *yaml;
		uint16_t mtu;
	} cases[] = {
		{GATEWAY("a", ""), 0},
		{GATEWAY("a", "") GATEWAY("b", ", tunnel: {mtu: 1400}"), 1400},
		{GATEWAY("a", ", tunnel: {mtu: 1300}") GATEWAY("b", ", tunnel: {mtu: 1400}"), 1300},
		{GATEWAY("a", ", tunnel: {mtu: 1400}") GATEWAY("b", ", tunnel: {mtu: 1300}")
			 GATEWAY("c", ""),
		 1300},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct policy_fixture f;

		policy_fixture_init(&f, cases[i].yaml, "n1", "eth0 203.0.113.2/24");
		assert_int_equal(compiled_tunnel_mtu(f.c), cases[i].mtu);
		policy_fixture_done(&f);
	}
}

#define POLICY(name, mode, log)           \
	HEAD("ClusterEgressPolicy", name) \
	"{mode: " mode ", subject: "      \
	"{podSelector: {}}, rules: [{action: Deny}, {action: Allow, log: " log "}]}\n"

/* Else nobody listens for what the programs tell. */
static void a_rule_that_logs_or_an_audit_is_enough_to_be_told_of(void **state)
{
	static const struct {
		const char *yaml;
		bool tells;
	} cases[] = {
		{"", false},
		{POLICY("a", "Enforce", "false") POLICY("b", "Enforce", "false"), false},
		{POLICY("a", "Enforce", "false") POLICY("b", "Enforce", "true"), true},
		{POLICY("a", "Enforce", "true") POLICY("b", "Enforce", "false"), true},
		{POLICY("a", "Audit", "false"), true},
		{HEAD("SluiceConfig", "default") "{audit: true}\n", true},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct policy_fixture f;

		policy_fixture_init(&f, cases[i].yaml, "n1", "eth0 203.0.113.2/24");
		assert_int_equal(compiled_tells(f.c), cases[i].tells);
		policy_fixture_done(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			broadcast_and_subnet_router_addresses_are_shared_but_of_links_of_two),
		cmocka_unit_test(the_smallest_mtu_that_a_gateway_asks_for_is_the_tunnels),
		cmocka_unit_test(a_rule_that_logs_or_an_audit_is_enough_to_be_told_of),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
