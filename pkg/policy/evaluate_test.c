/* SPDX-License-Identifier: Apache-2.0 */
/* The evaluation, example by example; the table of examples is the API's own. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <setjmp.h>
#include <cmocka.h>

#include "testkit/evaluate_fixture.h"

static void admin_via_without_action_and_namespace_deny_is_denied(void **state)
{
	EXPECT(GATEWAYS CLUSTER("admin", "  rules: [{name: r, via: {gateway: a}}]\n")
		       POLICY("p", "  rules: [{name: d, action: Deny}]\n"),
	       {OUT, NULL, SLU_DROP_DENIED, NULL});
}

static void admin_pass_before_deny_leaves_the_step(void **state)
{
	EXPECT(CLUSTER("pass", "  priority: 10\n  rules: [{name: r, action: Pass}]\n")
		       CLUSTER("deny", "  priority: 20\n  rules: [{name: r, action: Deny, "
				       "to: [{cidr: 169.254.169.254/32}]}]\n"),
	       {"169.254.169.254", NULL, SLU_OK, NULL});
}

static void admin_pass_after_deny_is_denied(void **state)
{
	EXPECT(CLUSTER("pass", "  priority: 30\n  rules: [{name: r, action: Pass}]\n")
		       CLUSTER("deny", "  priority: 20\n  rules: [{name: r, action: Deny, "
				       "to: [{cidr: 169.254.169.254/32}]}]\n"),
	       {"169.254.169.254", NULL, SLU_DROP_DENIED, NULL}, {OUT, NULL, SLU_OK, NULL});
}

static void admin_via_wins_over_namespace_via(void **state)
{
	EXPECT(GATEWAYS CLUSTER("admin", "  rules: [{name: r, via: {gateway: a}}]\n")
		       POLICY("p", "  rules: [{name: r, via: {gateway: b}}]\n"),
	       {OUT, NULL, SLU_OK, "203.0.113.1"});
}

static void namespace_via_wins_over_baseline_via(void **state)
{
	EXPECT(GATEWAYS CLUSTER("base",
				"  tier: Baseline\n  rules: [{name: r, via: {gateway: a}}]\n")
		       POLICY("p", "  rules: [{name: r, via: {gateway: b}}]\n"),
	       {OUT, NULL, SLU_OK, "203.0.113.2"});
}

static void admin_allow_without_via_leaves_identity_to_the_namespace(void **state)
{
	EXPECT(GATEWAYS CLUSTER("admin", "  rules: [{name: r, action: Allow}]\n")
		       POLICY("p", "  rules: [{name: r, action: Deny, via: {gateway: b}}]\n"),
	       {OUT, NULL, SLU_OK, "203.0.113.2"});
}

static void default_deny_denies_the_rest(void **state)
{
	EXPECT(POLICY("p", "  rules: [{name: x, action: Allow, to: [{cidr: 198.51.100.0/24}]}]\n"
			   "  default: {action: Deny}\n"),
	       {OUT, NULL, SLU_OK, NULL}, {"192.0.2.1", NULL, SLU_DROP_DENIED, NULL});
}

static void baseline_deny_yields_to_namespace_allow(void **state)
{
	EXPECT(CLUSTER("base", "  tier: Baseline\n  rules: [{name: r, action: Deny}]\n")
		       POLICY("p", "  rules: [{name: x, action: Allow, "
				   "to: [{cidr: 198.51.100.0/24}]}]\n"),
	       {OUT, NULL, SLU_OK, NULL}, {"192.0.2.1", NULL, SLU_DROP_DENIED, NULL});
}

static void v6_through_a_gateway_with_v4_only_is_dropped_for_its_family(void **state)
{
	EXPECT(GATEWAYS POLICY("p", "  rules: [{name: r, via: {gateway: only4}}]\n"),
	       {OUT, NULL, SLU_OK, "203.0.113.4"}, {"2001:db8:9::1", NULL, SLU_DROP_FAMILY, NULL});
}

static void a_narrow_via_node_before_a_wide_via_gateway(void **state)
{
	EXPECT(GATEWAYS POLICY("p", "  rules:\n"
				    "  - {name: half, action: Allow, to: [{cidr: "
				    "198.51.100.128/25}], via: {node: {}}}\n"
				    "  - {name: all, action: Allow, to: [{cidr: 198.51.100.0/24}], "
				    "via: {gateway: a}}\n"),
	       {"198.51.100.200", NULL, SLU_OK, NULL}, {OUT, NULL, SLU_OK, "203.0.113.1"},
	       {"192.0.2.1", NULL, SLU_OK, NULL});
}

static void default_deny_yields_to_a_policy_on_services(void **state)
{
	EXPECT(SERVICE("api", "app: web") POLICY("p", "  default: {action: Deny}\n")
		       ON_SERVICES("s", "api",
				   "  rules: [{name: x, action: Allow, to: [{cidr: "
				   "198.51.100.0/24}]}]\n"),
	       {OUT, NULL, SLU_OK, NULL}, {"192.0.2.1", NULL, SLU_DROP_DENIED, NULL});
}

#define CDN "www.a.example www.b.example"

static void two_names_on_one_address_are_decided_by_the_order_of_the_rules(void **state)
{
	EXPECT(POLICY("p", "  rules:\n"
			   "  - {name: a, action: Allow, to: [{fqdn: www.a.example}]}\n"
			   "  - {name: b, action: Deny, to: [{fqdn: www.b.example}]}\n"),
	       {OUT " as " CDN, NULL, SLU_OK, NULL},
	       {OUT " as "
		    "www.a.example",
		NULL, SLU_OK, NULL},
	       {OUT " as "
		    "www.b.example",
		NULL, SLU_DROP_DENIED, NULL});
	EXPECT(POLICY("p", "  rules:\n"
			   "  - {name: b, action: Deny, to: [{fqdn: www.b.example}]}\n"
			   "  - {name: a, action: Allow, to: [{fqdn: www.a.example}]}\n"),
	       {OUT " as " CDN, NULL, SLU_DROP_DENIED, NULL});
}

static void a_name_with_via_that_is_not_known_leaves_by_the_default_identity(void **state)
{
	EXPECT(GATEWAYS POLICY("p", "  rules: [{name: n, via: {gateway: a}, to: [{fqdn: "
				    "www.a.example}]}]\n  default: {via: {gateway: b}}\n"),
	       {OUT, NULL, SLU_OK, "203.0.113.2"},
	       {OUT " as "
		    "www.a.example",
		NULL, SLU_OK, "203.0.113.1"});
}

static void a_destination_with_via_that_is_missing_leaves_by_the_default_identity(void **state)
{
	EXPECT(GATEWAYS POLICY("p", "  rules: [{name: n, via: {gateway: a}, to: [{destination: "
				    "{name: bank}}]}]\n  default: {via: {gateway: b}}\n"),
	       {OUT, NULL, SLU_OK, "203.0.113.2"});
}

static void audit_allow_above_enforce_deny_is_denied_and_would_be_allowed(void **state)
{
	static const char yaml[] = CLUSTER("try",
					   "  mode: Audit\n  rules: [{name: r, action: Allow}]\n")
		POLICY("p", "  rules: [{name: d, action: Deny}]\n");

	EXPECT(yaml, {OUT, NULL, SLU_DROP_DENIED, NULL});
	EXPECT_AUDIT(yaml, {OUT, NULL, SLU_OK, NULL});
}

/* ---- beyond the table ---- */

static void order_beats_prefix_length(void **state)
{
	EXPECT(GATEWAYS POLICY("p",
			       "  rules:\n"
			       "  - {name: wide, action: Allow, to: [{cidr: 198.51.100.0/24}]}\n"
			       "  - {name: narrow, action: Deny, to: [{cidr: "
			       "198.51.100.7/32}]}\n"),
	       {OUT, NULL, SLU_OK, NULL});
}

static void an_exception_falls_through_to_later_rules(void **state)
{
	EXPECT(POLICY("p", "  rules:\n"
			   "  - {name: r, action: Deny, to: [{cidr: 198.51.100.0/24, "
			   "except: [198.51.100.128/25, 198.51.100.192/26]}, "
			   "{cidr: 198.51.100.200/32}]}\n"),
	       {OUT, NULL, SLU_DROP_DENIED, NULL}, {"198.51.100.129", NULL, SLU_OK, NULL},
	       {"198.51.100.193", NULL, SLU_OK, NULL},
	       {"198.51.100.200", NULL, SLU_DROP_DENIED, NULL});
}

static void ports_protocols_and_icmp_types(void **state)
{
	EXPECT(POLICY("p", "  rules:\n"
			   "  - {name: r, action: Allow, ports: [{protocol: TCP, port: 443}, "
			   "{protocol: TCP, port: 8000, endPort: 8100}, {protocol: UDP}, "
			   "{protocol: ICMP, type: 8}]}\n"
			   "  default: {action: Deny}\n"),
	       {OUT, "tcp/443", SLU_OK, NULL}, {OUT, "tcp/444", SLU_DROP_DENIED, NULL},
	       {OUT, "tcp/8100", SLU_OK, NULL}, {OUT, "tcp/8101", SLU_DROP_DENIED, NULL},
	       {OUT, "udp/53", SLU_OK, NULL}, {OUT, "icmp/8", SLU_OK, NULL},
	       {OUT, "icmp/5", SLU_DROP_DENIED, NULL},
	       {"2001:db8:9::1", "icmpv6/128", SLU_DROP_DENIED, NULL});
}

static void everything_in_v6_does_not_match_v4(void **state)
{
	EXPECT(POLICY("p", "  rules: [{name: r, action: Deny, to: [{cidr: '::/0'}]}]\n"),
	       {OUT, NULL, SLU_OK, NULL}, {"2001:db8:9::1", NULL, SLU_DROP_DENIED, NULL});
}

static void pass_in_a_policy_goes_on_to_the_defaults(void **state)
{
	EXPECT(POLICY("p", "  rules: [{name: r, action: Pass, to: [{cidr: 198.51.100.0/24}]}, "
			   "{name: s, action: Allow}]\n  default: {action: Reject}\n"),
	       {OUT, NULL, SLU_DROP_REJECTED, NULL}, {"192.0.2.1", NULL, SLU_OK, NULL});
}

static void pass_does_not_stop_the_search_for_identity(void **state)
{
	EXPECT(GATEWAYS CLUSTER("admin", "  rules: [{name: p, action: Pass}, "
					 "{name: v, via: {gateway: b}}]\n"),
	       {OUT, NULL, SLU_OK, "203.0.113.2"});
}

static void the_first_default_block_that_sets_a_field_wins_for_that_field(void **state)
{
	EXPECT(GATEWAYS POLICY("p1", "  priority: 1\n  default: {via: {gateway: a}}\n")
		       POLICY("p2", "  priority: 2\n  default: {action: Deny, via: {gateway: b}}\n")
			       POLICY("p0", "  priority: 3\n  rules: [{name: r, action: Allow, "
					    "to: [{cidr: 198.51.100.0/24}]}]\n"),
	       {OUT, NULL, SLU_OK, "203.0.113.1"}, {"192.0.2.1", NULL, SLU_DROP_DENIED, NULL});
}

static void link_local_gets_a_verdict_and_never_an_identity(void **state)
{
	EXPECT(GATEWAYS POLICY("p", "  rules: [{name: r, via: {gateway: a}}]\n"),
	       {"169.254.169.254", NULL, SLU_DROP_LINK_LOCAL_VIA, NULL},
	       {"fe80::1", NULL, SLU_DROP_LINK_LOCAL_VIA, NULL});
}

static void inside_is_never_judged(void **state)
{
	EXPECT(POLICY("p", "  rules: [{name: r, action: Deny}]\n"),
	       {"10.244.3.3", NULL, SLU_OK, NULL}, {"203.0.113.250", NULL, SLU_OK, NULL},
	       {"224.0.0.1", NULL, SLU_OK, NULL}, {OUT, NULL, SLU_DROP_DENIED, NULL});
}

/* A node would take it apart and send on what is in it. */
static void no_tunnel_leads_inside_from_a_pod_with_a_policy(void **state)
{
	EXPECT(POLICY("p", "  default: {action: Allow}\n"),
	       {"10.244.3.3", "udp/8472", SLU_DROP_FORGED_TUNNEL, NULL},
	       {"203.0.113.250", "udp/4789", SLU_DROP_FORGED_TUNNEL, NULL},
	       {"169.254.83.1", "udp/8472", SLU_DROP_FORGED_TUNNEL, NULL},
	       {"255.255.255.255", "udp/8472", SLU_DROP_FORGED_TUNNEL, NULL},
	       {"fe80::1", "udp/8472", SLU_DROP_FORGED_TUNNEL, NULL},
	       {"ff02::1", "udp/8472", SLU_DROP_FORGED_TUNNEL, NULL},
	       {"ff02::1", "udp/8473", SLU_OK, NULL}, {"10.244.3.3", "tcp/4789", SLU_OK, NULL},
	       {OUT, "udp/4789", SLU_OK, NULL});
	EXPECT(GATEWAYS, {"255.255.255.255", "udp/8472", SLU_OK, NULL},
	       {"10.244.3.3", "udp/8472", SLU_OK, NULL});
}

static void a_missing_gateway_drops(void **state)
{
	EXPECT(POLICY("p", "  rules: [{name: r, via: {gateway: gone}}]\n"),
	       {OUT, NULL, SLU_DROP_NO_GATEWAY, NULL},
	       {"2001:db8:9::1", NULL, SLU_DROP_NO_GATEWAY, NULL});
}

static void a_missing_gateway_with_unavailable_node_goes_as_the_node(void **state)
{
	EXPECT(POLICY("p", "  rules: [{name: r, via: {gateway: gone, unavailable: Node}}]\n"),
	       {OUT, NULL, SLU_OK, NULL});
}

static void a_policy_without_rules_and_default_has_no_effect(void **state)
{
	struct policy_fixture f;
	struct pod_info pod = {.namespace = "shop", .name = "x", .labels_known = true};
	struct binding b;

	policy_fixture_init(&f, POLICY("p", ""), "n1", "eth0 203.0.113.250/24");
	assert_int_equal(policy_resolve(f.c, &pod, &b), 0);
	assert_int_equal(b.n, 0);
	binding_done(&b);
	policy_fixture_done(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(admin_via_without_action_and_namespace_deny_is_denied),
		cmocka_unit_test(admin_pass_before_deny_leaves_the_step),
		cmocka_unit_test(admin_pass_after_deny_is_denied),
		cmocka_unit_test(admin_via_wins_over_namespace_via),
		cmocka_unit_test(namespace_via_wins_over_baseline_via),
		cmocka_unit_test(admin_allow_without_via_leaves_identity_to_the_namespace),
		cmocka_unit_test(default_deny_denies_the_rest),
		cmocka_unit_test(baseline_deny_yields_to_namespace_allow),
		cmocka_unit_test(v6_through_a_gateway_with_v4_only_is_dropped_for_its_family),
		cmocka_unit_test(a_narrow_via_node_before_a_wide_via_gateway),
		cmocka_unit_test(default_deny_yields_to_a_policy_on_services),
		cmocka_unit_test(two_names_on_one_address_are_decided_by_the_order_of_the_rules),
		cmocka_unit_test(a_name_with_via_that_is_not_known_leaves_by_the_default_identity),
		cmocka_unit_test(
			a_destination_with_via_that_is_missing_leaves_by_the_default_identity),
		cmocka_unit_test(audit_allow_above_enforce_deny_is_denied_and_would_be_allowed),
		cmocka_unit_test(order_beats_prefix_length),
		cmocka_unit_test(an_exception_falls_through_to_later_rules),
		cmocka_unit_test(ports_protocols_and_icmp_types),
		cmocka_unit_test(everything_in_v6_does_not_match_v4),
		cmocka_unit_test(pass_in_a_policy_goes_on_to_the_defaults),
		cmocka_unit_test(pass_does_not_stop_the_search_for_identity),
		cmocka_unit_test(the_first_default_block_that_sets_a_field_wins_for_that_field),
		cmocka_unit_test(link_local_gets_a_verdict_and_never_an_identity),
		cmocka_unit_test(inside_is_never_judged),
		cmocka_unit_test(no_tunnel_leads_inside_from_a_pod_with_a_policy),
		cmocka_unit_test(a_missing_gateway_drops),
		cmocka_unit_test(a_missing_gateway_with_unavailable_node_goes_as_the_node),
		cmocka_unit_test(a_policy_without_rules_and_default_has_no_effect),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
