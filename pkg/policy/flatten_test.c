/* SPDX-License-Identifier: Apache-2.0 */
/* The form of programs, and that they stay small and quick. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "policy/compiled.h"
#include "testkit/policy_fixture.h"

#ifdef __SANITIZE_ADDRESS__ /* five times slower */
#define SCALE 10
#else
#define SCALE 1
#endif

#define POLICY(RULES)                                                                          \
	"apiVersion: sluice.dev/v1alpha1\nkind: EgressPolicy\nmetadata: {name: p, namespace: " \
	"shop}\nspec:\n  subject: {podSelector: {}}\n  rules:\n" RULES

static struct program *program_of(const struct policy_fixture *f)
{
	struct pod_info pod = {.namespace = "shop", .name = "p", .labels_known = true};
	struct program *p;
	struct binding b;

	assert_int_equal(policy_resolve(f->c, &pod, &b), 0);
	assert_int_equal(policy_flatten(f->c, &b, &p), 0);
	binding_done(&b);
	return p;
}

static int verdict_of(const struct policy_fixture *f, const struct program *p, struct addr dst,
		      uint32_t key)
{
	return program_decide(p, f->c, &(struct program_dst){.addr = dst}, key).verdict;
}

/* The intervals say of every address near an edge what the entries say. */
static void check_intervals(const struct policy_fixture *f, const struct program *p)
{
	struct program_interval *list;
	size_t n;

	program_intervals(p, &list, &n);
	assert_in_range(n, 1, SIZE_MAX);
	assert_true(addr_is_zero(list[0].first));
	for (size_t i = 1; i < n; i++) {
		assert_true(addr_cmp(list[i - 1].first, list[i].first) < 0);
		assert_int_not_equal(list[i - 1].class, list[i].class);
	}
	for (size_t i = 0; i < p->n_entries; i++) {
		struct cidr prefix = p->entries[i].prefix;
		struct addr last = cidr_last(prefix);
		struct addr edges[] = {prefix.addr, last, addr_next(last)};

		for (size_t j = 0; j < 3; j++) {
			size_t at = 0;

			while (at + 1 < n && addr_cmp(list[at + 1].first, edges[j]) <= 0)
				at++;
			assert_int_equal(list[at].class, program_own_class(p, edges[j]));
		}
	}
	free(list);
}

static void check_form(const struct policy_fixture *f, const struct program *p)
{
	check_intervals(f, p);
	assert_int_equal(cidr_cmp(p->entries[0].prefix, cidr_all(true)), 0);
	assert_int_equal(cidr_cmp(p->entries[p->first_v6].prefix, cidr_all(false)), 0);
	for (size_t i = 0; i < p->n_entries; i++) {
		const struct program_entry *e = &p->entries[i];

		if (e->parent == i)
			continue;
		assert_true(e->parent < i);
		assert_true(cidr_cmp(p->entries[i - 1].prefix, e->prefix) < 0);
		assert_true(cidr_contains(p->entries[e->parent].prefix, e->prefix));
		assert_int_not_equal(p->entries[e->parent].class, e->class);
	}
	for (size_t i = 0; i < p->n_classes; i++)
		assert_int_equal(p->classes[i].ranges[0].lo, 0);
}

static void a_program_without_rules_has_the_two_roots(void **state)
{
	struct policy_fixture f;
	struct binding none = {};
	struct program *p;

	policy_fixture_init(&f, "", "n1", "eth0 192.0.2.1/24");
	assert_int_equal(policy_flatten(f.c, &none, &p), 0);
	check_form(&f, p);
	assert_int_equal(p->n_entries, 2);
	assert_int_equal(p->n_classes, 1);
	program_free(p);
	policy_fixture_done(&f);
}

static void a_prefix_with_its_parents_answer_is_left_out(void **state)
{
	struct policy_fixture f;
	struct program *p;

	policy_fixture_init(&f,
			    POLICY("  - {name: a, action: Deny, to: [{cidr: 198.51.100.0/24}]}\n"
				   "  - {name: b, action: Deny, to: [{cidr: 198.51.100.0/25}]}\n"
				   "  - {name: c, action: Allow, to: [{cidr: 198.51.100.64/26}]}\n"
				   "  - {name: d, action: Allow, to: [{cidr: 192.0.2.0/24}]}\n"),
			    "n1", "eth0 192.0.2.1/24");
	p = program_of(&f);
	check_form(&f, p);
	assert_int_equal(p->n_entries, 4);
	assert_int_equal(p->n_classes, 3);
	program_free(p);
	policy_fixture_done(&f);
}

static void prefixes_and_exceptions_of_any_nesting_keep_their_parents(void **state)
{
	struct policy_fixture f;
	struct program *p;

	policy_fixture_init(
		&f,
		POLICY("  - {name: a, action: Deny, to: [{cidr: 0.0.0.0/0, except: [10.0.0.0/8, "
		       "10.1.0.0/16]}, {cidr: 10.1.2.0/24, except: [10.1.2.3/32]}]}\n"
		       "  - {name: b, action: Deny, to: [{cidr: '::/0', except: "
		       "['2001:db8::/32']}, "
		       "{cidr: '2001:db8:1::/48'}, {cidr: '::1:0:0/96'}, {cidr: '8000::/1'}]}\n"),
		"n1", "eth0 192.0.2.1/24");
	p = program_of(&f);
	check_form(&f, p);
	assert_int_equal(verdict_of(&f, p, addr_of("10.1.2.4"), 0), VERDICT_DENY);
	assert_int_equal(verdict_of(&f, p, addr_of("10.1.2.3"), 0), VERDICT_ALLOW);
	assert_int_equal(verdict_of(&f, p, addr_of("10.1.3.4"), 0), VERDICT_ALLOW);
	assert_int_equal(verdict_of(&f, p, addr_of("11.1.3.4"), 0), VERDICT_DENY);
	assert_int_equal(verdict_of(&f, p, addr_of("2001:db8::1"), 0), VERDICT_ALLOW);
	assert_int_equal(verdict_of(&f, p, addr_of("2001:db8:1::1"), 0), VERDICT_DENY);
	assert_int_equal(verdict_of(&f, p, addr_of("::2"), 0), VERDICT_DENY);
	program_free(p);
	policy_fixture_done(&f);
}

static void overlapping_ports_of_one_rule_end_where_the_last_ends(void **state)
{
	struct policy_fixture f;
	struct program *p;
	struct addr out;

	policy_fixture_init(&f,
			    POLICY("  - {name: a, action: Deny, ports: [{protocol: TCP, port: 10, "
				   "endPort: 20}, {protocol: TCP, port: 15, endPort: 30}, "
				   "{protocol: TCP, port: 12}, {protocol: SCTP}]}\n"),
			    "n1", "eth0 192.0.2.1/24");
	p = program_of(&f);
	out = addr_of("198.51.100.1");
	assert_int_equal(p->classes[0].n, 5);
	assert_int_equal(verdict_of(&f, p, out, L4_KEY(6, 9)), VERDICT_ALLOW);
	assert_int_equal(verdict_of(&f, p, out, L4_KEY(6, 13)), VERDICT_DENY);
	assert_int_equal(verdict_of(&f, p, out, L4_KEY(6, 30)), VERDICT_DENY);
	assert_int_equal(verdict_of(&f, p, out, L4_KEY(6, 31)), VERDICT_ALLOW);
	assert_int_equal(verdict_of(&f, p, out, L4_KEY(132, 65535)), VERDICT_DENY);
	assert_int_equal(verdict_of(&f, p, out, L4_MAX), VERDICT_ALLOW);
	program_free(p);
	policy_fixture_done(&f);
}

/* Of this process: a machine that does other things, too, proves nothing. */
static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static char shop[] = "shop";

static struct cidr scattered_cidr(uint32_t i)
{
	uint32_t scattered = i * 2654435761u;
	uint8_t b[4] = {(uint8_t)(scattered >> 24), (uint8_t)(scattered >> 16),
			(uint8_t)(scattered >> 8), (uint8_t)scattered};

	return cidr_make(addr_from_v4(b), 96 + 28);
}

static int compare_cidrs(const void *a, const void *b)
{
	return cidr_cmp(*(const struct cidr *)a, *(const struct cidr *)b);
}

/* Beyond the layers a program may have, sets are flattened: here all of them are of one size. */
static void a_million_prefixes_in_sets_take_seconds(void **state)
{
	enum { SETS = PROGRAM_MAX_SETS + 1, N = 1000000 / SCALE };
	struct policy_fixture f;
	struct doc_destination dests[SETS] = {};
	struct doc_to to[SETS] = {};
	struct doc_rule rule = {.name = shop, .action = ACTION_DENY, .n_to = SETS, .to = to};
	struct doc_policy policy = {
		.meta = {.kind = DOC_EGRESS_POLICY, .namespace = shop, .name = shop},
		.pods = {.present = true},
		.rules = &rule,
		.n_rules = 1,
	};
	struct doc_policy *list[] = {&policy};
	struct doc_set set = {
		.policies = list, .n_policies = 1, .destinations = dests, .n_destinations = SETS};
	static char names[SETS][4];
	struct program *p;
	double start, compiled;

	for (uint32_t i = 0; i < SETS; i++) {
		snprintf(names[i], sizeof(names[i]), "d%u", i);
		dests[i].meta = (struct doc_meta){
			.kind = DOC_EGRESS_DESTINATION, .namespace = shop, .name = names[i]};
		to[i] = (struct doc_to){.kind = TO_DESTINATION, .destination = names[i]};
		dests[i].n_cidrs = N;
		dests[i].cidrs = i ? dests[0].cidrs : mem_alloc0(N * sizeof(struct cidr));
	}
	for (uint32_t i = 0; i < N; i++)
		dests[0].cidrs[i] = scattered_cidr(i);
	qsort(dests[0].cidrs, N, sizeof(struct cidr), compare_cidrs);
	policy_fixture_node(&f, "n1", "eth0 192.0.2.1/24");
	f.set = &set;
	start = seconds();
	policy_fixture_compile(&f);
	compiled = seconds();
	p = program_of(&f);
	print_message("%d sets of %d prefixes: compile %.3f s, flatten one of them %.2f s\n", SETS,
		      N, compiled - start, seconds() - compiled);
	assert_true(seconds() - start < 60);
	assert_int_equal(p->n_sets, PROGRAM_MAX_SETS);
	assert_in_range(p->n_entries, N / 10 * 9, N + 2);
	program_free(p);
	compiled_free(f.c);
	free(dests[0].cidrs);
}

static void sets_beyond_the_layers_are_the_smallest(void **state)
{
	enum { SETS = PROGRAM_MAX_SETS + 2 };
	struct policy_fixture f;
	struct program *p;
	char *yaml;
	size_t len;
	FILE *s = open_memstream(&yaml, &len);

	fputs(POLICY("  - {name: r, action: Deny, to: [{destinationSelector: {}}]}\n"), s);
	for (int i = 0; i < SETS; i++) {
		int n = COMPILED_SET_MIN + (i == 3 || i == 5 ? 0 : 1 + i);

		fprintf(s,
			"---\napiVersion: sluice.dev/v1alpha1\nkind: EgressDestination\nmetadata: "
			"{name: d%d, namespace: shop}\nspec:\n  cidrs: [10.%d.255.0/24",
			i, i);
		for (int j = 1; j < n; j++)
			fprintf(s, ", 10.%d.%d.%d/32", i, j / 128, j % 128 * 2);
		fputs("]\n", s);
	}
	fclose(s);
	policy_fixture_init(&f, yaml, "n1", "eth0 192.0.2.1/24");
	p = program_of(&f);
	check_form(&f, p);
	assert_int_equal(p->n_sets, PROGRAM_MAX_SETS);
	assert_int_equal(p->n_entries, 2 + 2 * COMPILED_SET_MIN);
	for (size_t i = 0; i < p->n_sets; i++)
		assert_true(p->sets[i].index != 3 && p->sets[i].index != 5);
	for (int i = 0; i < SETS; i++) {
		char text[32];

		snprintf(text, sizeof(text), "10.%d.255.9", i);
		assert_int_equal(verdict_of(&f, p, addr_of(text), 0), VERDICT_DENY);
		snprintf(text, sizeof(text), "10.%d.254.9", i);
		assert_int_equal(verdict_of(&f, p, addr_of(text), 0), VERDICT_ALLOW);
	}
	program_free(p);
	policy_fixture_done(&f);
	free(yaml);
}

static void more_rules_than_a_cell_can_name_are_refused(void **state)
{
	enum { RULES = 1000, POLICIES = 66 };
	static struct doc_rule rules[RULES];
	static struct doc_policy policies[POLICIES];
	static char names[POLICIES][8];
	struct doc_policy *list[POLICIES];
	struct doc_set set = {.policies = list, .n_policies = POLICIES};
	struct pod_info pod = {.namespace = "shop", .name = "p", .labels_known = true};
	struct policy_fixture f;
	struct program *p;
	struct err e = {0};
	struct binding b;

	for (int i = 0; i < RULES; i++)
		rules[i].action = ACTION_DENY;
	for (int i = 0; i < POLICIES; i++) {
		snprintf(names[i], sizeof(names[i]), "p%d", i);
		policies[i] = (struct doc_policy){
			.meta = {.kind = DOC_EGRESS_POLICY, .namespace = shop, .name = names[i]},
			.pods = {.present = true},
			.rules = rules,
			.n_rules = RULES};
		list[i] = &policies[i];
	}
	policy_fixture_node(&f, "n1", "eth0 192.0.2.1/24");
	f.set = &set;
	policy_fixture_compile(&f);
	assert_int_equal(policy_resolve(f.c, &pod, &b), 0);
	assert_int_equal(policy_flatten(f.c, &b, &p), -E2BIG);
	assert_int_equal(policy_too_large(f.c, &b, &e), -E2BIG);
	assert_string_equal(e.msg, "too many rules: 66000 in 66 policies, 1000 of them in "
				   "EgressPolicy shop/p0; a pod can have 65534: join rules, or "
				   "select fewer pods");
	b.n = 65;
	assert_int_equal(policy_flatten(f.c, &b, &p), 0);
	assert_int_equal(p->n_rules, 65000);
	program_free(p);
	binding_done(&b);
	compiled_free(f.c);
}

/* 200 rules whose prefixes overlap anyhow; more: each rule has ports of its own. */
static char *crossing(bool first_decides)
{
	char *text = NULL;
	size_t len;
	FILE *s = open_memstream(&text, &len);
	uint32_t x = 1;

	fputs("apiVersion: sluice.dev/v1alpha1\nkind: EgressPolicy\nmetadata: {name: p}\n"
	      "spec:\n  subject: {podSelector: {}}\n  rules:\n",
	      s);
	if (first_decides)
		fputs("  - {action: Deny}\n", s);
	for (int i = 0; i < 200; i++) {
		fputs("  - {action: Deny, ports: [{protocol: TCP, port: 1}", s);
		for (int k = 0; k < 60; k++)
			fprintf(s, ", {protocol: TCP, port: %d}", 2 + (i + 200 * k) * 5);
		fputs("], to: [{cidr: 20.0.0.0/32}", s);
		for (int k = 0; k < 300; k++) {
			x = x * 1664525 + 1013904223;
			fprintf(s, ", {cidr: %u.%u.%u.0/24}", 20 + (x >> 29), x >> 21 & 255,
				x >> 13 & 255);
			x = x * 1664525 + 1013904223;
			fprintf(s, ", {cidr: %u.%u.0.0/16}", 20 + (x >> 29), x >> 21 & 255);
		}
		fputs("]}\n", s);
	}
	fclose(s);
	return text;
}

static void what_comes_to_more_classes_than_can_be_made_is_refused(void **state)
{
	struct pod_info pod = {.namespace = "default", .name = "x", .labels_known = true};

	for (int i = 0; i < 2; i++) {
		char *yaml = crossing(i);
		struct policy_fixture f;
		struct program *p = NULL;
		struct err e = {0};
		struct binding b;

		policy_fixture_init(&f, yaml, "n1", "eth0 192.0.2.1/24");
		assert_int_equal(policy_resolve(f.c, &pod, &b), 0);
		assert_int_equal(policy_flatten(f.c, &b, &p), -E2BIG);
		assert_null(p);
		assert_int_equal(policy_too_large(f.c, &b, &e), -E2BIG);
		assert_non_null(strstr(e.msg, "too many combinations of destinations and ports"));
		assert_non_null(strstr(e.msg, "in EgressPolicy default/p)"));
		assert_non_null(strstr(e.msg, "more than the 262144 ranges"));
		binding_done(&b);
		policy_fixture_done(&f);
		free(yaml);
	}
}

static void ten_thousand_policies_compile_and_a_pod_does_not_pay_for_them(void **state)
{
	enum { PODS = 10000, POLICIES = 10000 / SCALE, DESTINATIONS = 1000 / SCALE };
	struct pod_info pod = {.namespace = "ns7", .name = "p", .labels_known = true};
	struct policy_fixture f;
	char *yaml;
	size_t len;
	FILE *s = open_memstream(&yaml, &len);
	double start;

	for (int i = 0; i < POLICIES; i++) {
		fprintf(s,
			"---\napiVersion: sluice.dev/v1alpha1\nkind: EgressPolicy\nmetadata: "
			"{name: p%d, namespace: ns%d}\nspec:\n  subject: {podSelector: "
			"{matchLabels: {app: a%d}}}\n  rules:\n",
			i, i % 100, i);
		for (int j = 0; j < 10; j++)
			fprintf(s,
				"  - {name: r%d, action: Allow, to: [{cidr: 198.%d.%d.0/24}, "
				"{%s d%d%s}], ports: [{protocol: TCP, port: %d}]}\n",
				j, i % 256, j,
				j % 2 ? "destinationSelector: {matchLabels: {set:"
				      : "destination: {name:",
				i % DESTINATIONS, j % 2 ? "}}" : "}", 1000 + j);
	}
	for (int i = 0; i < DESTINATIONS; i++) {
		fprintf(s,
			"---\napiVersion: sluice.dev/v1alpha1\nkind: EgressDestination\nmetadata: "
			"{name: d%d, namespace: ns%d, labels: {set: d%d}}\nspec:\n  fqdns: "
			"[d%d.example.com, '*.example.org']\n  cidrs: [203.0.113.0/24",
			i, i % 100, i, i);
		for (int j = 0; j < 50; j++)
			fprintf(s, ", 198.%d.%d.%d/32", j, i / 256, i % 256);
		fputs("]\n", s);
	}
	fclose(s);
	policy_fixture_node(&f, "n1", "eth0 192.0.2.1/24");
	start = seconds();
	f.set = docs_from_yaml(yaml);
	print_message("%d policies of 10 rules, %d destinations: parse %.2f s", POLICIES,
		      DESTINATIONS, seconds() - start);
	start = seconds();
	policy_fixture_compile(&f);
	print_message(", compile %.3f s", seconds() - start);
	pod.labels = labels_from_text("app=a107 x=y");
	start = seconds();
	for (int i = 0; i < PODS; i++) {
		struct binding b;

		assert_int_equal(policy_resolve(f.c, &pod, &b), 0);
		assert_int_equal(b.n, 1);
		binding_done(&b);
	}
	print_message(", resolve %.2f us\n", (seconds() - start) * 1e6 / PODS);
	assert_true(seconds() - start < 10);
	labels_done(&pod.labels);
	free(yaml);
	policy_fixture_done(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_program_without_rules_has_the_two_roots),
		cmocka_unit_test(a_prefix_with_its_parents_answer_is_left_out),
		cmocka_unit_test(prefixes_and_exceptions_of_any_nesting_keep_their_parents),
		cmocka_unit_test(overlapping_ports_of_one_rule_end_where_the_last_ends),
		cmocka_unit_test(a_million_prefixes_in_sets_take_seconds),
		cmocka_unit_test(sets_beyond_the_layers_are_the_smallest),
		cmocka_unit_test(more_rules_than_a_cell_can_name_are_refused),
		cmocka_unit_test(what_comes_to_more_classes_than_can_be_made_is_refused),
		cmocka_unit_test(ten_thousand_policies_compile_and_a_pod_does_not_pay_for_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
