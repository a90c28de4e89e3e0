/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "policy/lint.h"
#include "testkit/policy_fixture.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define NOW	 1795219200 /* Saturday 2026-11-21 00:00 UTC */

/* Each object is one line, so that a finding's line tells the object; rules have lines of their
 * own. */
#define HEAD(kind, name)                                                                      \
	"---\n{apiVersion: sluice.dev/v1alpha1, kind: " kind ", metadata: {name: " name "}, " \
	"spec: {"
#define POLICY(name, subject) HEAD("EgressPolicy", name) "subject: {" subject "}, "
#define ADMIN(name, subject)  HEAD("ClusterEgressPolicy", name) "subject: {" subject "}, "
#define BASELINE(name, subject) \
	HEAD("ClusterEgressPolicy", name) "tier: Baseline, subject: {" subject "}, "
#define DESTINATION(name, spec) HEAD("EgressDestination", name) spec "}}\n"
#define GATEWAY                         \
	HEAD("EgressGateway", "office") \
	"allowedNamespaces: {}, addresses: [{range: 203.0.113.1}]}}\n"
#define ALL "podSelector: {}"
#define WEB "podSelector: {matchLabels: {app: web}}"
#define END "}}\n"

struct row {
	const char *yaml;
	const char *found[4]; /* "line: check: text", parts of what is said, in order */
};

static void check_row(const struct row *row)
{
	struct policy_fixture f;
	struct lint l = {0};
	struct err e = {0};

	policy_fixture_node(&f, "n1", "eth0 192.0.2.1/24");
	f.node.now = NOW;
	f.set = docs_from_yaml(row->yaml);
	if (policy_lint(f.set, &f.node, &l, &e) < 0)
		fail_msg("%s", e.msg);
	for (size_t i = 0; i < l.n || (i < COUNT(row->found) && row->found[i]); i++) {
		__cleanup_free char *got = NULL;
		const char *wanted = i < COUNT(row->found) ? row->found[i] : NULL;

		if (i < l.n)
			got = mem_printf("%d: %s%s: %s", l.list[i].src.line,
					 l.list[i].level == LINT_ERROR ? "error " : "",
					 l.list[i].check, l.list[i].text);
		if (!got || !wanted || strncmp(got, wanted, strlen(wanted)) != 0)
			fail_msg("of\n%s\nfound %s\nexpected %s", row->yaml, got ?: "nothing",
				 wanted ?: "nothing");
	}
	lint_done(&l);
	doc_set_free(f.set);
}

static void check_rows(const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++)
		check_row(&rows[i]);
}

static void a_rule_that_others_hide_is_told(void **state)
{
	static const struct row rows[] = {
		{POLICY("a", ALL) "rules: [\n"
				  "{action: Allow, to: [{cidr: 198.51.100.0/24}]},\n"
				  "{action: Deny, to: [{cidr: 198.51.100.7/32}]}]" END,
		 {"4: hidden-rule: EgressPolicy default/a rules[1]: it never decides: EgressPolicy "
		  "default/a rules[0] before it speaks for all it matches"}},
		/* two halves hide a whole; one of them with an exception does not */
		{POLICY("a",
			ALL) "rules: [\n"
			     "{name: low, action: Allow, to: [{cidr: 198.51.100.0/25}]},\n"
			     "{name: high, action: Deny, to: [{cidr: 198.51.100.128/25}]},\n"
			     "{name: whole, action: Reject, to: [{cidr: 198.51.100.0/24}]}]" END,
		 {"5: hidden-rule: EgressPolicy default/a rule whole: it never decides: "
		  "EgressPolicy "
		  "default/a rule low, EgressPolicy default/a rule high before it speak for"}},
		{POLICY("a", ALL) "rules: [\n"
				  "{action: Allow, to: [{cidr: 198.51.100.0/25}]},\n"
				  "{action: Deny, to: [{cidr: 198.51.100.128/25, except: "
				  "[198.51.100.200/32]}]},\n"
				  "{action: Reject, to: [{cidr: 198.51.100.0/24}]}]" END,
		 {0}},
		/* ports */
		{POLICY("a",
			ALL) "rules: [\n"
			     "{action: Allow, ports: [{protocol: TCP, port: 400, endPort: 450}]},\n"
			     "{action: Deny, ports: [{protocol: TCP, port: 443}]},\n"
			     "{action: Deny, ports: [{protocol: UDP, port: 443}]}]" END,
		 {"4: hidden-rule: "}},
		/* who may go and as whom are two questions */
		{GATEWAY POLICY("a", ALL) "rules: [\n"
					  "{action: Allow, to: [{cidr: 198.51.100.0/24}]},\n"
					  "{action: Deny, to: [{cidr: 198.51.100.7/32}], via: "
					  "{gateway: office}},\n"
					  "{via: {node: {}}, to: [{cidr: 198.51.100.7/32}]},\n"
					  "{via: {node: {}}, to: [{cidr: 198.51.100.8/32}]}]" END,
		 {"6: hidden-rule: EgressPolicy default/a rules[1]: its action never decides",
		  "7: hidden-rule: EgressPolicy default/a rules[2]: it never decides: EgressPolicy "
		  "default/a rules[1]"}},
		/* a name once more; the same name under a pattern is not the same name */
		{POLICY("a", ALL) "rules: [\n"
				  "{action: Allow, to: [{fqdn: a.example}]},\n"
				  "{action: Allow, to: [{fqdn: a.example}, {fqdn: b.example}]},\n"
				  "{action: Allow, to: [{fqdn: b.example}]}]" END,
		 {"5: hidden-rule: EgressPolicy default/a rules[2]: it never decides: EgressPolicy "
		  "default/a rules[1] before"}},
		/* a rule for all addresses also hides names */
		{POLICY("a", ALL) "rules: [\n"
				  "{action: Allow},\n{action: Deny, to: [{fqdn: a.example}]}]" END,
		 {"4: hidden-rule: "}},
		/* what holds at times hides nothing, but may be hidden */
		{POLICY("a",
			ALL) "rules: [\n"
			     "{action: Allow, schedule: {endAt: 2030-01-01T00:00:00Z}},\n"
			     "{action: Deny, to: [{cidr: 198.51.100.7/32}]},\n"
			     "{action: Allow, to: [{cidr: 198.51.100.7/32}], schedule: {endAt: "
			     "2030-01-01T00:00:00Z}}]" END,
		 {"5: hidden-rule: EgressPolicy default/a rules[2]: it never decides: EgressPolicy "
		  "default/a rules[1]"}},
	};

	check_rows(rows, COUNT(rows));
}

static void policies_hide_each_other_only_for_the_same_pods(void **state)
{
	static const struct row rows[] = {
		{ADMIN("z", ALL) "rules: [{action: Deny, to: [{cidr: 198.51.100.0/24}]}]" END
			 POLICY("a", WEB) "rules: [\n{action: Allow, to: [{cidr: "
					  "198.51.100.7/32}]}]" END,
		 {"5: hidden-rule: EgressPolicy default/a rules[0]: it never decides: "
		  "ClusterEgressPolicy z rules[0] before"}},
		{POLICY("z", WEB) "priority: 1, rules: [{action: Deny, to: [{cidr: "
				  "198.51.100.0/24}]}]" END POLICY(
					  "a", ALL) "rules: [\n{action: Allow, to: [{cidr: "
						    "198.51.100.7/32}]}]" END,
		 {0}},
		{ADMIN("z", ALL ", namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: "
				"other}}") "rules: [{action: Deny}]" END
			 POLICY("a",
				ALL) "rules: [{action: Allow, to: [{cidr: 198.51.100.7/32}]}]" END,
		 {0}},
		{ADMIN("z",
		       ALL ", nodeSelector: {matchLabels: {a: b}}") "rules: [{action: Deny}]" END
			 POLICY("a",
				ALL) "rules: [{action: Allow, to: [{cidr: 198.51.100.7/32}]}]" END,
		 {0}},
		{ADMIN("z", ALL) "mode: Audit, rules: [{action: Deny}]" END POLICY(
			 "a", ALL) "rules: [{action: Allow, to: [{cidr: 198.51.100.7/32}]}]" END,
		 {0}},
		{POLICY("z", ALL) "default: {action: Deny}" END BASELINE(
			 "b", ALL) "rules: [{action: Allow, to: [{cidr: 198.51.100.7/32}]}]" END,
		 {0}},
		{BASELINE("a", ALL) "rules: [{action: Deny}]" END BASELINE(
			 "b", WEB) "rules: [\n{action: Allow}]" END,
		 {"5: hidden-rule: "}},
		/* the step of Services is behind the one of pods */
		{POLICY("z", "services: [web]") "priority: 1, rules: [\n{action: Deny, to: [{cidr: "
						"198.51.100.7/32}]}]" END POLICY(
							"a", ALL) "rules: [{action: Allow}]" END
								  "---\n{apiVersion: v1, kind: "
								  "Service, metadata: {name: web}, "
								  "spec: {selector: {a: b}}}\n",
		 {"3: hidden-rule: EgressPolicy default/z rules[0]: it never decides: EgressPolicy "
		  "default/a rules[0]"}},
	};

	check_rows(rows, COUNT(rows));
}

static void a_rule_behind_a_pass_is_told(void **state)
{
	static const struct row rows[] = {
		{ADMIN("z", ALL) "rules: [{action: Pass},\n{action: Deny, to: [{cidr: "
				 "169.254.169.254/32}]}]" END,
		 {"3: behind-pass: ClusterEgressPolicy z rules[1]: it never decides: "
		  "ClusterEgressPolicy z rules[0] before it speaks for all it matches, and a Pass "
		  "leaves the step"}},
		{ADMIN("z", ALL) "priority: 10, rules: [{action: Pass}]" END ADMIN(
			 "a", ALL) "priority: 20, rules: [\n{action: Deny, to: [{cidr: "
				   "169.254.169.254/32}]}]" END,
		 {"5: behind-pass: ClusterEgressPolicy a rules[0]: it never decides: "
		  "ClusterEgressPolicy z rules[0]"}},
		/* the other way round it is what Pass is for */
		{ADMIN("z", ALL) "priority: 20, rules: [{action: Pass}]" END ADMIN(
			 "a", ALL) "priority: 10, rules: [\n{action: Deny, to: [{cidr: "
				   "169.254.169.254/32}]}]" END,
		 {0}},
		/* of some of the pods */
		{ADMIN("z", WEB) "priority: 10, rules: [{action: Pass}]" END ADMIN(
			 "a", ALL) "priority: 20, rules: [\n{action: Deny, to: [{cidr: "
				   "169.254.169.254/32}]}]" END,
		 {"5: behind-pass: ClusterEgressPolicy a rules[0]: it does not hold for pods that "
		  "ClusterEgressPolicy z rules[0] selects too"}},
		{ADMIN("z", WEB) "priority: 10, rules: [{action: Pass}]" END ADMIN(
			 "a", "podSelector: {matchLabels: {app: db}}") "priority: 20, rules: [\n"
								       "{action: Deny, to: [{cidr: "
								       "169.254.169.254/32}]}]" END,
		 {0}},
	};

	check_rows(rows, COUNT(rows));
}

static void a_rule_that_can_never_match_is_told(void **state)
{
	static const struct row rows[] = {
		{POLICY("a", ALL) "rules: [\n{action: Deny, to: [{cidr: 10.244.1.0/24}, {cidr: "
				  "192.0.2.1/32}, {cidr: 224.0.0.0/8}]},\n"
				  "{action: Deny, to: [{cidr: 10.244.0.0/15}]}]" END,
		 {"3: inside-rule: EgressPolicy default/a rules[0]: it never matches: its "
		  "destinations lie inside"}},
		{DESTINATION("d", "cidrs: [198.51.100.0/24], ports: [{protocol: TCP, port: 80}]")
			 POLICY("a", ALL) "rules: [\n{action: Deny, to: [{destination: {name: "
					  "d}}], ports: "
					  "[{protocol: TCP, port: 443}]}]" END,
		 {"5: empty-rule: EgressPolicy default/a rules[0]: it never matches: no "
		  "destination "
		  "of it has a port that the rule has"}},
		{POLICY("a", ALL) "rules: [\n{action: Deny, to: [{destination: {name: d}}]},\n"
				  "{action: Deny, to: [{nodes: {matchLabels: {a: b}}}]},\n"
				  "{action: Deny, to: [{destinationSelector: {matchLabels: {a: "
				  "b}}}]}]" END,
		 {"3: missing: EgressPolicy default/a: EgressDestination default/d is missing"}},
	};

	check_rows(rows, COUNT(rows));
}

static void objects_that_miss_each_other_are_told(void **state)
{
	static const struct row rows[] = {
		{DESTINATION("d", "fqdns: [a.example]") HEAD(
			 "EgressDestination",
			 "e") "cidrs: [10.0.0.0/8]}}\n"
			      "---\n{apiVersion: sluice.dev/v1alpha1, kind: EgressDestination, "
			      "metadata: {name: f, "
			      "labels: {a: b}}, spec: {cidrs: [11.0.0.0/8]}}\n" ADMIN(
				      "z", ALL) "rules: [{action: Deny, to: [{destination: {name: "
						"d}}]}]" END POLICY(
							"a", ALL) "rules: [{action: Deny, to: "
								  "[{destination: {name: e}}, "
								  "{destinationSelector: "
								  "{matchLabels: {a: b}}}]}]" END,
		 {"2: unused-destination: EgressDestination default/d: no rule names it",
		  "8: missing: ClusterEgressPolicy z: ClusterEgressDestination d is missing"}},
		{POLICY("a", "services: [web]") "rules: [\n{via: {gateway: office}}]" END,
		 {"2: missing: EgressPolicy default/a: Service default/web is missing",
		  "3: missing: EgressPolicy default/a: EgressGateway office is missing"}},
		{POLICY("a", ALL) "priority: 7" END,
		 {"2: no-effect: EgressPolicy default/a: no rules and no default"}},
	};

	check_rows(rows, COUNT(rows));
}

static void a_schedule_that_can_never_hold_is_told(void **state)
{
	static const struct row rows[] = {
		{POLICY("a", ALL) "rules: [\n"
				  "{action: Deny, schedule: {endAt: 2026-11-21T00:00:00Z}},\n"
				  "{action: Deny, schedule: {endAt: 2026-11-21T00:00:01Z}, to: "
				  "[{cidr: 198.51.100.0/24}]},\n"
				  "{action: Deny, schedule: {startAt: 2026-11-24T00:00:00Z, endAt: "
				  "2026-11-30T00:00:00Z, windows: [{days: [Mon], from: '08:00', "
				  "to: '09:00'}]}, "
				  "to: [{cidr: 198.51.101.0/24}]}]" END,
		 {"3: past-schedule: EgressPolicy default/a rules[0]: its schedule is over",
		  "5: past-schedule: EgressPolicy default/a rules[2]: its schedule never holds"}},
	};

	check_rows(rows, COUNT(rows));
}

static void a_name_with_a_via_needs_a_default_that_denies(void **state)
{
#define VIA   "via: {gateway: office}"
#define NAMED "rules: [\n{action: Allow, to: [{fqdn: a.example}], " VIA "}]"
#define OPEN \
	"5: error open-name: EgressPolicy default/a rules[0]: as long as 'a.example' is not known"
	static const struct row rows[] = {
		{GATEWAY POLICY("a", ALL) NAMED END, {OPEN}},
		{GATEWAY POLICY("a", ALL) NAMED ", default: {action: Allow}" END, {OPEN}},
		{GATEWAY POLICY("a", ALL) NAMED ", default: {action: Deny}" END, {0}},
		{GATEWAY POLICY("a", ALL) NAMED ", default: {action: Reject}" END, {0}},
		{GATEWAY POLICY("a", ALL) NAMED ", default: {" VIA "}" END, {0}},
		{GATEWAY POLICY("a", WEB) NAMED END POLICY("b", ALL) "default: {action: Deny}" END,
		 {0}},
		{GATEWAY POLICY("a", ALL) NAMED END POLICY("b", WEB) "default: {action: Deny}" END,
		 {OPEN}},
		{GATEWAY POLICY("a", ALL)
			 NAMED END BASELINE("b", ALL) "rules: [{action: Deny}]" END,
		 {0}},
		{GATEWAY POLICY("a", ALL) NAMED END BASELINE(
			 "b", ALL) "rules: [{action: Deny, ports: [{protocol: TCP}]}]" END,
		 {OPEN}},
		{GATEWAY POLICY(
			 "a",
			 ALL) "rules: [\n{action: Allow, to: [{fqdn: a.example}], ports: "
			      "[{protocol: TCP, port: 443}], " VIA "}]" END BASELINE(
				      "b",
				      ALL) "rules: [{action: Deny, ports: [{protocol: TCP}]}]" END,
		 {0}},
		/* what is allowed by its address is meant to go as the node */
		{GATEWAY POLICY("a", ALL) "rules: [\n{action: Allow, to: [{fqdn: a.example}], " VIA
					  "},\n{action: Allow, to: [{cidr: 198.51.100.0/24}]}], "
					  "default: {action: Deny}" END,
		 {0}},
		{GATEWAY DESTINATION("d", "cidrs: [198.51.100.0/24]") POLICY(
			 "a", ALL) "rules: [\n{to: [{destination: {name: d}}], " VIA "}]" END,
		 {"7: error open-name: EgressPolicy default/a rules[0]: as long as 'd' is not "
		  "known"}},
		{GATEWAY POLICY("a", ALL) "rules: [\n{to: [{cidr: 198.51.100.0/24}], " VIA "}]" END,
		 {0}},
		{GATEWAY POLICY("a", ALL) "rules: [\n{action: Allow, to: [{fqdn: a.example}]}]" END,
		 {0}},
	};

	check_rows(rows, COUNT(rows));
}

static void contradictions_are_told(void **state)
{
	static const struct row rows[] = {
		{ADMIN("z",
		       ALL) "rules: [{name: no, action: Deny, to: [{cidr: 198.51.100.0/25}]}]" END
			 POLICY("a",
				WEB) "rules: [\n{action: Allow, to: [{cidr: 198.51.100.0/24}]},\n"
				     "{action: Reject, to: [{cidr: 198.51.0.0/16}]}], default: "
				     "{action: Allow}" END,
		 {"5: contradiction: EgressPolicy default/a rules[0]: ClusterEgressPolicy z rule "
		  "no "
		  "comes first and says Deny for a part of it (198.51.100.0-198.51.100.127)"}},
		{ADMIN("z", WEB) "rules: [{action: Allow, ports: [{protocol: UDP, port: 53}]}]" END
			 POLICY("a",
				ALL) "rules: [\n{action: Deny, to: [{cidr: 198.51.100.0/24}]}]" END,
		 {"5: contradiction: EgressPolicy default/a rules[0]: ClusterEgressPolicy z "
		  "rules[0] "
		  "comes first and says Allow for a part of it (198.51.100.0-198.51.100.255)"}},
		/* other ports, other pods, an exception from the whole, the baseline: as meant */
		{ADMIN("z", ALL) "rules: [{action: Deny, to: [{cidr: 198.51.100.0/25}], ports: "
				 "[{protocol: TCP, port: 25}]}]" END POLICY(
					 "a", ALL) "rules: [{action: Allow, to: [{cidr: "
						   "198.51.100.0/24}], ports: [{protocol: TCP, "
						   "port: 443}]}]" END,
		 {0}},
		{ADMIN("z",
		       "podSelector: {matchLabels: {app: db}}") "rules: [{action: Deny, to: "
								"[{cidr: 198.51.100.0/25}]}]" END
									POLICY("a",
									       WEB) "rules: "
										    "[{action: "
										    "Allow, to: "
										    "[{cidr: "
										    "198.51.100.0/"
										    "24}]}]" END,
		 {0}},
		{ADMIN("z", ALL) "rules: [{action: Deny, to: [{cidr: 198.51.100.0/25}]}]" END
			 POLICY("a", ALL) "rules: [{action: Allow, ports: [{protocol: TCP}]}]" END,
		 {0}},
		{BASELINE("z", ALL) "rules: [{action: Deny, to: [{cidr: 198.51.100.0/25}]}]" END
			 POLICY("a",
				ALL) "rules: [{action: Allow, to: [{cidr: 198.51.100.0/26}]}]" END,
		 {0}},
	};

	check_rows(rows, COUNT(rows));
}

static void names_that_may_share_an_address_are_told(void **state)
{
	static const struct row rows[] = {
		{POLICY("a", ALL) "rules: [\n{action: Allow, to: [{fqdn: d1.cdn.example}]},\n"
				  "{action: Deny, to: [{fqdn: d2.cdn.example}]},\n"
				  "{action: Deny, to: [{fqdn: d1.other.example}]}]" END,
		 {"4: shared-address: EgressPolicy default/a rules[1]: 'd2.cdn.example' and "
		  "'d1.cdn.example' of EgressPolicy default/a rules[0] may have one address"}},
		{POLICY("a", ALL) "rules: [\n{action: Allow, to: [{fqdn: api.cdn.example}]},\n"
				  "{action: Deny, to: [{fqdn: '*.cdn.example'}], ports: "
				  "[{protocol: TCP}]}]" END,
		 {"4: shared-address: "}},
		{POLICY("a", ALL) "rules: [\n{action: Allow, to: [{fqdn: api.cdn.example}], ports: "
				  "[{protocol: UDP}]},\n{action: Deny, to: [{fqdn: "
				  "'*.cdn.example'}], ports: "
				  "[{protocol: TCP}]}]" END,
		 {0}},
		{POLICY("a", ALL) "rules: [\n{action: Allow, to: [{fqdn: a.cdn.example}]},\n"
				  "{action: Allow, to: [{fqdn: b.cdn.example}]}]" END,
		 {0}},
	};

	check_rows(rows, COUNT(rows));
}

/* Each has a label of its own but for every tenth, which has another's. */
static void ten_thousand_policies_of_a_namespace_are_checked_in_seconds(void **state)
{
	enum { POLICIES = 10000 };
	struct policy_fixture f;
	struct lint l = {0};
	char *yaml;
	size_t len;
	FILE *s = open_memstream(&yaml, &len);
	struct timespec before, after;

	for (int i = 0; i < POLICIES; i++)
		fprintf(s,
			POLICY("p%d",
			       "podSelector: {matchLabels: {app: a%d}}") "rules: "
									 "[{action: Allow, to: "
									 "[{cidr: "
									 "198.51.100.%d/32}]}]" END,
			i, i - (i % 10 == 9), i % 100);
	fclose(s);
	policy_fixture_node(&f, "n1", "eth0 192.0.2.1/24");
	f.node.now = NOW;
	f.set = docs_from_yaml(yaml);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
	assert_int_equal(policy_lint(f.set, &f.node, &l, NULL), 0);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
	assert_int_equal(l.n, 0); /* no two of the same address */
	assert_true(after.tv_sec - before.tv_sec < 10);
	lint_done(&l);
	doc_set_free(f.set);
	free(yaml);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_rule_that_others_hide_is_told),
		cmocka_unit_test(policies_hide_each_other_only_for_the_same_pods),
		cmocka_unit_test(a_rule_behind_a_pass_is_told),
		cmocka_unit_test(a_rule_that_can_never_match_is_told),
		cmocka_unit_test(objects_that_miss_each_other_are_told),
		cmocka_unit_test(a_schedule_that_can_never_hold_is_told),
		cmocka_unit_test(a_name_with_a_via_needs_a_default_that_denies),
		cmocka_unit_test(contradictions_are_told),
		cmocka_unit_test(names_that_may_share_an_address_are_told),
		cmocka_unit_test(ten_thousand_policies_of_a_namespace_are_checked_in_seconds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
