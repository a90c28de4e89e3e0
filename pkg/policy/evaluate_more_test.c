/* SPDX-License-Identifier: Apache-2.0 */
/* The evaluation: every action in every step, destinations, Services, schedules, audit. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <setjmp.h>
#include <cmocka.h>

#include "testkit/evaluate_fixture.h"

/* ---- 4 actions x 5 steps x 2 families ---- */

#define LAST                                                                               \
	CLUSTER("last", "  tier: Baseline\n  priority: 1000\n  rules: [{name: l, action: " \
			"Reject, to: [{cidr: 198.51.100.0/24}, {cidr: '2001:db8:9::/48'}]}]\n")
/* In each step a rule, and behind it a Deny of the same step and a Reject of the last one. */
static char *matrix_yaml(int step, const char *action)
{
	char *rules = mem_printf("  rules: [{name: r, action: %s, to: [{cidr: 198.51.100.0/24}, "
				 "{cidr: '2001:db8:9::/48'}]}, {name: s, action: Deny, to: "
				 "[{cidr: 198.51.100.0/24}, {cidr: '2001:db8:9::/48'}]}]\n",
				 action);
	char *yaml = NULL;

	switch (step) {
	case STEP_ADMIN:
		yaml = mem_printf(CLUSTER("p", "%s") LAST, rules);
		break;
	case STEP_PODS:
		yaml = mem_printf(POLICY("p", "%s") LAST, rules);
		break;
	case STEP_SERVICES:
		yaml = mem_printf(SERVICE("api", "app: web") ON_SERVICES("p", "api", "%s") LAST,
				  rules);
		break;
	case STEP_DEFAULTS:
		yaml = mem_printf(POLICY("p", "  default: {action: %s}\n")
					  POLICY("q", "  default: {action: Deny}\n") LAST,
				  action);
		break;
	case STEP_BASELINE:
		yaml = mem_printf(CLUSTER("p", "  tier: Baseline\n%s") LAST, rules);
		break;
	}
	free(rules);
	return yaml;
}

static void every_action_in_every_step_for_both_families(void **state)
{
	static const struct {
		const char *action;
		int reason;
	} rows[] = {{"Allow", SLU_OK},
		    {"Deny", SLU_DROP_DENIED},
		    {"Reject", SLU_DROP_REJECTED},
		    {"Pass", SLU_DROP_REJECTED}}; /* goes on to the last step's Reject */

	for (int step = STEP_ADMIN; step <= STEP_BASELINE; step++) {
		for (size_t i = 0; i < 4; i++) {
			char *yaml = matrix_yaml(step, rows[i].action);
			/* within Baseline itself Pass leaves the list */
			int reason = step == STEP_BASELINE && i == 3 ? SLU_OK : rows[i].reason;

			EXPECT(yaml, {"198.51.100.7", NULL, reason, NULL},
			       {"2001:db8:9::7", NULL, reason, NULL});
			free(yaml);
		}
	}
}

/* ---- ports ---- */

static void ports_end_where_they_are_said_to_end(void **state)
{
	EXPECT(POLICY("p", "  rules:\n"
			   "  - {name: r, action: Allow, ports: [{protocol: TCP, port: 80}, "
			   "{protocol: TCP, port: 1000, endPort: 2000}]}\n"
			   "  - {name: d, action: Deny}\n"),
	       {OUT, "tcp/80", SLU_OK, NULL}, {OUT, "tcp/79", SLU_DROP_DENIED, NULL},
	       {OUT, "tcp/81", SLU_DROP_DENIED, NULL}, {OUT, "tcp/999", SLU_DROP_DENIED, NULL},
	       {OUT, "tcp/1000", SLU_OK, NULL}, {OUT, "tcp/2000", SLU_OK, NULL},
	       {OUT, "tcp/2001", SLU_DROP_DENIED, NULL}, {OUT, "udp/80", SLU_DROP_DENIED, NULL},
	       {OUT, "udp/1500", SLU_DROP_DENIED, NULL});
}

/* ---- destinations ---- */

#define ALLOW_ONLY(TO)                                                    \
	POLICY("p", "  rules: [{name: r, action: Allow, to: [" TO "]}]\n" \
		    "  default: {action: Deny}\n")

static void a_destination_stands_for_its_prefixes_and_names(void **state)
{
	EXPECT(DESTINATION("bank", "cidrs: [198.51.100.0/24], fqdns: [api.bank.example]")
		       ALLOW_ONLY("{destination: {name: bank}}"),
	       {OUT, NULL, SLU_OK, NULL}, {"192.0.2.1", NULL, SLU_DROP_DENIED, NULL},
	       {"192.0.2.1"
		" as "
		"api.bank.example",
		NULL, SLU_OK, NULL},
	       {"2001:db8:9::1"
		" as "
		"api.bank.example",
		NULL, SLU_OK, NULL});
}

static void a_destination_narrows_the_ports_of_its_own_items(void **state)
{
	EXPECT(DESTINATION("bank", "cidrs: [198.51.100.0/24], ports: [{protocol: TCP, port: 443}, "
				   "{protocol: TCP, port: 8443}]")
		       POLICY("p", "  rules: [{name: r, action: Allow, to: [{destination: {name: "
				   "bank}}, {cidr: 192.0.2.0/24}], ports: [{protocol: TCP, port: "
				   "400, endPort: 500}]}]\n  default: {action: Deny}\n"),
	       {OUT, "tcp/443", SLU_OK, NULL}, {OUT, "tcp/444", SLU_DROP_DENIED, NULL},
	       {OUT, "tcp/8443", SLU_DROP_DENIED, NULL}, {"192.0.2.1", "tcp/444", SLU_OK, NULL},
	       {"192.0.2.1", "tcp/8443", SLU_DROP_DENIED, NULL});
}

static void ports_that_do_not_meet_match_nothing(void **state)
{
	EXPECT(DESTINATION("bank", "cidrs: [198.51.100.0/24], ports: [{protocol: TCP, port: 443}]")
		       POLICY("p", "  rules: [{name: r, action: Deny, to: [{destination: {name: "
				   "bank}}], ports: [{protocol: UDP}]}]\n"),
	       {OUT, "tcp/443", SLU_OK, NULL}, {OUT, "udp/443", SLU_OK, NULL},
	       {"192.0.2.1", "udp/1", SLU_OK, NULL});
}

static void a_destination_that_is_missing_matches_nothing_and_never_everything(void **state)
{
	EXPECT(POLICY("p", "  rules: [{name: r, action: Deny, to: [{destination: {name: gone}}, "
			   "{destinationSelector: {matchLabels: {set: gone}}}, {nodes: "
			   "{matchLabels: {zone: gone}}}]}]\n"),
	       {OUT, NULL, SLU_OK, NULL}, {"2001:db8:9::1", NULL, SLU_OK, NULL});
}

static void a_namespace_sees_its_own_destinations_and_those_of_the_cluster(void **state)
{
	static const char docs[] = DESTINATION("bank", "cidrs: [198.51.100.0/25]")
		CLUSTER_DESTINATION(
			"bank",
			"cidrs: [198.51.100.128/25]") "---\napiVersion: sluice.dev/v1alpha1\nkind: "
						      "EgressDestination\n"
						      "metadata: {name: bank, namespace: other, "
						      "labels: {set: bank}}\n"
						      "spec: {cidrs: [192.0.2.0/24]}\n";
	static const struct {
		const char *to;
		int own, cluster;
	} rows[] = {
		{"{destination: {name: bank}}", SLU_OK, SLU_DROP_DENIED},
		{"{destination: {kind: ClusterEgressDestination, name: bank}}", SLU_DROP_DENIED,
		 SLU_OK},
		{"{destinationSelector: {matchLabels: {set: bank}}}", SLU_OK, SLU_DROP_DENIED},
		{"{destinationSelector: {}}", SLU_OK, SLU_DROP_DENIED},
	};

	for (size_t i = 0; i < 4; i++) {
		char *yaml = mem_printf("%s" ALLOW_ONLY("%s"), docs, rows[i].to);

		EXPECT(yaml, {"198.51.100.1", NULL, rows[i].own, NULL},
		       {"198.51.100.200", NULL, rows[i].cluster, NULL},
		       {"192.0.2.1", NULL, SLU_DROP_DENIED, NULL});
		free(yaml);
	}
	EXPECT(CLUSTER_DESTINATION("bank", "cidrs: [198.51.100.128/25]")
		       DESTINATION("bank", "cidrs: [198.51.100.0/25]")
			       CLUSTER("p", "  rules: [{name: r, action: Deny, to: [{destination: "
					    "{name: bank}}]}]\n"),
	       {"198.51.100.1", NULL, SLU_OK, NULL},
	       {"198.51.100.200", NULL, SLU_DROP_DENIED, NULL});
}

/* Large ones are layers of their own: the order of the rules decides all the same. */
static void a_large_destination_keeps_its_place_among_the_rules(void **state)
{
	char *cidrs = mem_strdup("198.51.100.0/24"), *yaml;

	for (int i = 0; i < 300; i++) {
		char *longer = mem_printf("%s, 192.0.%d.%d/32", cidrs, 2 + i / 256, i % 256);

		free(cidrs);
		cidrs = longer;
	}
	yaml = mem_printf(DESTINATION("feed", "cidrs: [%s]")
				  POLICY("p", "  rules:\n"
					      "  - {name: a, action: Allow, to: [{cidr: "
					      "198.51.100.7/32}]}\n"
					      "  - {name: b, action: Deny, to: [{destination: "
					      "{name: feed}}], ports: [{protocol: TCP}]}\n"
					      "  - {name: c, action: Reject, to: [{cidr: "
					      "198.51.100.8/32}]}\n"),
			  cidrs);
	EXPECT(yaml, {OUT, NULL, SLU_OK, NULL}, {"198.51.100.8", NULL, SLU_DROP_DENIED, NULL},
	       {"198.51.100.8", "udp/1", SLU_DROP_REJECTED, NULL},
	       {"198.51.100.9", "udp/1", SLU_OK, NULL}, {"192.0.2.77", NULL, SLU_DROP_DENIED, NULL},
	       {"192.0.4.1", NULL, SLU_OK, NULL});
	free(yaml);
	free(cidrs);
}

/* ---- Services ---- */

#define DENY_ALL "  rules: [{name: r, action: Deny}]\n"

static void a_policy_on_services_selects_the_pods_of_any_of_them(void **state)
{
	EXPECT(SERVICE("db", "app: db") SERVICE("api", "app: web")
		       ON_SERVICES("p", "db, api", DENY_ALL),
	       {OUT, NULL, SLU_DROP_DENIED, NULL});
	EXPECT(SERVICE("db", "app: db") ON_SERVICES("p", "db", DENY_ALL),
	       {OUT, NULL, SLU_OK, NULL});
}

static void a_service_that_is_missing_or_has_no_selector_selects_nobody(void **state)
{
	EXPECT(SERVICE("none", "") ON_SERVICES("p", "none, gone", DENY_ALL),
	       {OUT, NULL, SLU_OK, NULL});
}

static void a_service_of_another_namespace_is_not_meant(void **state)
{
	EXPECT("---\napiVersion: v1\nkind: Service\nmetadata: {name: api, namespace: other}\n"
	       "spec: {selector: {app: web}}\n" ON_SERVICES("p", "api", DENY_ALL),
	       {OUT, NULL, SLU_OK, NULL});
}

static void policies_on_pods_come_before_policies_on_services(void **state)
{
	EXPECT(SERVICE("api", "app: web") ON_SERVICES("s", "api", "  priority: 1\n" DENY_ALL)
		       POLICY("p", "  priority: 9\n  rules: [{name: r, action: Allow}]\n"),
	       {OUT, NULL, SLU_OK, NULL});
}

static void defaults_of_both_kinds_are_one_step_by_priority(void **state)
{
	EXPECT(SERVICE("api", "app: web")
		       ON_SERVICES("s", "api", "  priority: 1\n  default: {action: Allow}\n")
			       POLICY("p", "  priority: 9\n  default: {action: Deny}\n"),
	       {OUT, NULL, SLU_OK, NULL});
}

/* ---- schedules ---- */

static void outside_its_schedule_a_rule_is_absent(void **state)
{
	static const char yaml[] = POLICY(
		"p", "  rules:\n"
		     "  - {name: r, action: Allow, schedule: {startAt: "
		     "'2026-01-01T00:00:00Z', endAt: '2026-01-02T00:00:00Z'}}\n"
		     "  - {name: d, action: Deny}\n");
	const int64_t start = 1767225600;

	EXPECT_AT(start - 1, yaml, {OUT, NULL, SLU_DROP_DENIED, NULL});
	EXPECT_AT(start, yaml, {OUT, NULL, SLU_OK, NULL});
	EXPECT_AT(start + 86399, yaml, {OUT, NULL, SLU_OK, NULL});
	EXPECT_AT(start + 86400, yaml, {OUT, NULL, SLU_DROP_DENIED, NULL});
}

static void the_next_edge_is_the_first_of_all_schedules(void **state)
{
	static const char yaml[] = POLICY(
		"p", "  rules:\n"
		     "  - {name: a, action: Deny, schedule: {endAt: '2026-01-02T00:00:00Z'}}\n"
		     "  - {name: b, action: Deny, schedule: {startAt: '2026-01-01T12:00:00Z'}}\n");
	const int64_t day = 1767225600;
	const int64_t rows[][2] = {
		{day, day + 43200}, {day + 43200, day + 86400}, {day + 86400, INT64_MAX}};
	uint64_t keys[3];

	for (size_t i = 0; i < 3; i++) {
		struct pod_info pod = {.namespace = "shop", .name = "x", .labels_known = true};
		struct policy_fixture f;
		struct binding b;

		policy_fixture_node(&f, "n1", "eth0 203.0.113.250/24");
		f.set = docs_from_yaml(yaml);
		f.node.now = rows[i][0];
		policy_fixture_compile(&f);
		assert_true(compiled_next_edge(f.c) == rows[i][1]);
		assert_int_equal(policy_resolve(f.c, &pod, &b), 0);
		keys[i] = b.key;
		binding_done(&b);
		policy_fixture_done(&f);
	}
	assert_true(keys[0] != keys[1] && keys[1] != keys[2] && keys[0] != keys[2]);
}

/* ---- audit ---- */

static void an_audit_policy_gives_no_identity(void **state)
{
	static const char yaml[] = GATEWAYS CLUSTER(
		"try", "  mode: Audit\n  rules: [{name: r, action: Pass, via: {gateway: a}}]\n")
		POLICY("p", "  rules: [{name: r, via: {gateway: b}}]\n");

	EXPECT(yaml, {OUT, NULL, SLU_OK, "203.0.113.2"});
	EXPECT_AUDIT(yaml, {OUT, NULL, SLU_OK, "203.0.113.2"});
}

static void without_audit_policies_there_is_nothing_to_audit(void **state)
{
	struct pod_info pod = {.namespace = "shop", .name = "x", .labels_known = true};
	struct policy_fixture f;
	struct binding b;

	policy_fixture_init(&f,
			    POLICY("p", DENY_ALL) "---\napiVersion: sluice.dev/v1alpha1\nkind: "
						  "EgressPolicy\nmetadata: {name: a, namespace: "
						  "shop}\nspec: {mode: Audit, subject: "
						  "{podSelector: {matchLabels: {app: other}}}, "
						  "rules: [{name: r, action: Deny}]}\n",
			    "n1", "eth0 203.0.113.250/24");
	assert_int_equal(policy_resolve_audit(f.c, &pod, &b), 0);
	assert_int_equal(b.n, 0);
	/* what is only tried out leaves nobody undecided */
	pod.labels_known = false;
	assert_int_equal(policy_resolve(f.c, &pod, &b), 0);
	assert_int_equal(b.n, 1);
	binding_done(&b);
	assert_int_equal(policy_resolve_audit(f.c, &pod, &b), 1);
	assert_int_equal(b.n, 0);
	policy_fixture_done(&f);
}

/* ---- what explain says of them ---- */

static void explain_tells_through_what_a_rule_matched_and_why_not(void **state)
{
	static const char yaml[] = DESTINATION("bank", "cidrs: [198.51.100.0/24]")
		POLICY("p", "  rules:\n"
			    "  - {name: off, action: Deny, schedule: {endAt: "
			    "'2026-01-02T00:00:00Z'}}\n"
			    "  - {name: gone, action: Deny, to: [{destination: {name: gone}}]}\n"
			    "  - {name: dest, action: Pass, to: [{destination: {name: bank}}]}\n"
			    "  - {name: name, action: Pass, to: [{fqdn: '*.bank.example'}]}\n");
	static const struct {
		const char *text, *through;
	} rows[] = {{"outside its schedule", NULL},
		    {"destination missing", NULL},
		    {"passes", "EgressDestination shop/bank"},
		    {"passed over", "*.bank.example"}};
	struct explain_query q = {.pod = {.namespace = "shop", .name = "x", .labels_known = true},
				  .dst = addr_of(OUT)};
	struct policy_fixture f;
	struct explain *x;
	uint32_t names[4];

	policy_fixture_node(&f, "n1", "eth0 203.0.113.250/24");
	f.set = docs_from_yaml(yaml);
	f.node.now = 1790000000;
	policy_fixture_compile(&f);
	q.names = names;
	q.n_names = names_of(&f, "*.bank.example", names);
	assert_int_equal(policy_explain(f.c, &q, &x), 0);
	assert_int_equal(x->n_lines, 4);
	for (size_t i = 0; i < 4; i++) {
		assert_string_equal(explain_verdict_text(&x->lines[i]), rows[i].text);
		if (rows[i].through)
			assert_string_equal(x->lines[i].through, rows[i].through);
		else
			assert_null(x->lines[i].through);
	}
	explain_free(x);
	policy_fixture_done(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_action_in_every_step_for_both_families),
		cmocka_unit_test(ports_end_where_they_are_said_to_end),
		cmocka_unit_test(a_destination_stands_for_its_prefixes_and_names),
		cmocka_unit_test(a_destination_narrows_the_ports_of_its_own_items),
		cmocka_unit_test(ports_that_do_not_meet_match_nothing),
		cmocka_unit_test(
			a_destination_that_is_missing_matches_nothing_and_never_everything),
		cmocka_unit_test(a_namespace_sees_its_own_destinations_and_those_of_the_cluster),
		cmocka_unit_test(a_large_destination_keeps_its_place_among_the_rules),
		cmocka_unit_test(a_policy_on_services_selects_the_pods_of_any_of_them),
		cmocka_unit_test(a_service_that_is_missing_or_has_no_selector_selects_nobody),
		cmocka_unit_test(a_service_of_another_namespace_is_not_meant),
		cmocka_unit_test(policies_on_pods_come_before_policies_on_services),
		cmocka_unit_test(defaults_of_both_kinds_are_one_step_by_priority),
		cmocka_unit_test(outside_its_schedule_a_rule_is_absent),
		cmocka_unit_test(the_next_edge_is_the_first_of_all_schedules),
		cmocka_unit_test(an_audit_policy_gives_no_identity),
		cmocka_unit_test(without_audit_policies_there_is_nothing_to_audit),
		cmocka_unit_test(explain_tells_through_what_a_rule_matched_and_why_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
