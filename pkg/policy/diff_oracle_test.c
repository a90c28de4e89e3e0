/* SPDX-License-Identifier: Apache-2.0 */
/* Random policies: what diff tells is what single packets meet, and what lint calls hidden is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "policy/diff.h"
#include "policy/lint.h"
#include "testkit/policy_fixture.h"

#define ROUNDS	  120
#define PACKETS	  400
#define MAX_RULES 8

static uint32_t seed;

static uint32_t roll(uint32_t n)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % n;
}

/* In 198.51.100.0/24, 2001:db8::/120 and at the edges of the families, so that rules meet. */
static void print_cidr(FILE *f)
{
	uint32_t len = 24 + roll(9), host = roll(256) & (0xffu << (32 - len)) & 0xff;

	switch (roll(8)) {
	case 0:
		fprintf(f, "0.0.0.0/%u", roll(2));
		return;
	case 1:
		fprintf(f, "'2001:db8::%x/%u'", host, len + 96);
		return;
	case 2:
		fprintf(f, "'::/0'");
		return;
	default:
		fprintf(f, "198.51.100.%u/%u", host, len);
	}
}

static void print_rule(FILE *f)
{
	static const char *const actions[] = {"Allow", "Deny", "Reject", "Pass"};
	uint32_t port = 1 + roll(6);

	fprintf(f, "- {action: %s", actions[roll(4)]);
	if (roll(8)) {
		fprintf(f, ", to: [{cidr: ");
		print_cidr(f);
		fprintf(f, "}%s]", roll(6) ? "" : ", {fqdn: a.example}");
	}
	if (roll(2))
		fprintf(f, ", ports: [{protocol: %s, port: %u, endPort: %u}]",
			roll(3) ? "TCP" : "UDP", port, port + roll(3));
	if (roll(3) == 0)
		fprintf(f, ", via: {gateway: g%u}", roll(2));
	fprintf(f, "}\n");
}

struct text {
	char *rules[3][MAX_RULES]; /* of an Admin, a namespace's, a Baseline policy */
	uint32_t n[3];
	bool deny;
};

static char *rule_text(void)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	print_rule(f);
	fclose(f);
	return text;
}

static void text_init(struct text *t)
{
	*t = (struct text){.deny = roll(2)};
	for (int p = 0; p < 3; p++) {
		t->n[p] = 1 + roll(p == 1 ? MAX_RULES : 3);
		for (uint32_t i = 0; i < t->n[p]; i++)
			t->rules[p][i] = rule_text();
	}
}

static void text_done(struct text *t)
{
	for (int p = 0; p < 3; p++)
		for (uint32_t i = 0; i < t->n[p]; i++)
			free(t->rules[p][i]);
}

/* Each rule is a line; one of one policy may be left out. */
static struct doc_set *set_of(const struct text *t, int policy, uint32_t left_out)
{
	static const char *const heads[] = {
		"kind: ClusterEgressPolicy\nmetadata: {name: a}\nspec:\n  tier: Admin\n",
		"kind: EgressPolicy\nmetadata: {name: p}\nspec:\n",
		"kind: ClusterEgressPolicy\nmetadata: {name: b}\nspec:\n  tier: Baseline\n",
	};
	char *yaml = NULL;
	size_t size;
	FILE *f = open_memstream(&yaml, &size);
	struct doc_set *set;

	for (int g = 0; g < 2; g++)
		fprintf(f,
			"---\n{apiVersion: sluice.dev/v1alpha1, kind: EgressGateway, metadata: "
			"{name: "
			"g%d}, spec: {allowedNamespaces: {}, addresses: [{range: "
			"203.0.113.%d}]}}\n",
			g, g + 1);
	for (int p = 0; p < 3; p++) {
		fprintf(f,
			"---\napiVersion: sluice.dev/v1alpha1\n%s  subject: {podSelector: {}}\n"
			"  rules:\n  - {action: Pass, to: [{cidr: 192.0.2.77/32}]}\n",
			heads[p]);
		for (uint32_t i = 0; i < t->n[p]; i++)
			if (p != policy || i != left_out)
				fprintf(f, "  %s", t->rules[p][i]);
		if (p == 1 && t->deny)
			fprintf(f, "  default: {action: Deny}\n");
	}
	fclose(f);
	set = docs_from_yaml(yaml);
	free(yaml);
	return set;
}

/* ---- diff against packets ---- */

struct side {
	struct policy_fixture f;
	struct binding b;
	struct program *p;
};

static void side_init(struct side *s, struct doc_set *set)
{
	struct pod_info pod = {.namespace = "default", .name = "", .labels_known = true};

	policy_fixture_node(&s->f, "n1", "eth0 192.0.2.1/24");
	s->f.set = set;
	policy_fixture_compile(&s->f);
	assert_int_equal(policy_resolve(s->f.c, &pod, &s->b), 0);
	assert_int_equal(policy_flatten(s->f.c, &s->b, &s->p), 0);
}

static void side_done(struct side *s)
{
	program_free(s->p);
	binding_done(&s->b);
	policy_fixture_done(&s->f);
}

static bool is_inside(struct addr a)
{
	return addr_is_multicast(a) || addr_is_loopback(a) || addr_is_unspecified(a) ||
	       cidr_contains_addr(cidr_of("10.244.0.0/16"), a) || addr_eq(a, addr_of("192.0.2.1"));
}

static char *answer(const struct side *s, struct addr dst, uint32_t key, bool named)
{
	const uint32_t name = 0;
	size_t n, n_names;
	struct decision d;
	const struct identity *id;
	int family = addr_is_v4(dst) ? 0 : 1;

	compiled_names(s->f.c, &n_names);
	d = program_decide(s->p, s->f.c, &(struct program_dst){dst, &name, named && n_names}, key);
	id = compiled_identities(s->f.c, &n) + d.identity;
	if (d.verdict != VERDICT_ALLOW)
		return mem_strdup(d.verdict == VERDICT_DENY ? "Deny" : "Reject");
	if (!d.identity)
		return mem_strdup("Allow as the node");
	if (!id->n_picks[family])
		return mem_printf("drop: family (%s)", id->gateway);
	return mem_printf("Allow as %s of %s",
			  addr_str(compiled_addrs(s->f.c, &n)[id->picks[family][0]].addr),
			  id->gateway);
}

static bool holds(const struct diff_change *c, struct addr dst, uint32_t key)
{
	bool found = false;

	for (size_t i = 0; i < c->n_prefixes; i++)
		found = found || cidr_contains_addr(c->prefixes[i], dst);
	return found && c->lo <= key && key <= c->hi;
}

/* What diff says of a packet; of one with a name, its own word before that of all. */
static const struct diff_change *told(const struct diff *d, struct addr dst, uint32_t key,
				      bool named)
{
	const struct diff_change *found = NULL;

	for (size_t i = 0; d->n && i < d->groups[0].n_changes; i++) {
		const struct diff_change *c = &d->groups[0].changes[i];

		if ((c->name && !named) || !holds(c, dst, key))
			continue;
		if (!found || c->name)
			found = c;
	}
	return found;
}

static struct addr random_addr(void)
{
	static const char *const edges[] = {
		"0.0.0.1", "127.255.255.255", "128.0.0.0", "255.255.255.254",
		"::2",	   "::1:0:0:0",	      "fe00::1"};
	char text[64];

	switch (roll(4)) {
	case 0:
		return addr_of(edges[roll(7)]);
	case 1:
		snprintf(text, sizeof(text), "2001:db8::%x", roll(260));
		return addr_of(text);
	default:
		snprintf(text, sizeof(text), "198.51.100.%u", roll(256));
		return addr_of(text);
	}
}

static void check_packet(const struct side *a, const struct side *b, const struct diff *d)
{
	struct addr dst = random_addr();
	uint32_t key = L4_KEY(roll(3) ? 6 : 17, roll(10));
	__cleanup_free char *x = NULL, *y = NULL;
	const struct diff_change *c;
	bool named = roll(2);

	if (is_inside(dst))
		return;
	x = answer(a, dst, key, named);
	y = answer(b, dst, key, named);
	c = told(d, dst, key, named);
	if (strcmp(x, y) == 0 ? c && c->before != c->after
			      : !c || strcmp(c->before, x) != 0 || strcmp(c->after, y) != 0)
		fail_msg("%s key %x: %s -> %s, told %s -> %s", addr_str(dst), key, x, y,
			 c ? c->before : "nothing", c ? c->after : "");
}

static void diff_tells_what_packets_meet(void **state)
{
	for (uint32_t round = 0; round < ROUNDS; round++) {
		struct side a = {0}, b = {0};
		struct text x, y;
		struct diff d;
		struct err e = {0};
		struct diff_input in = {0};

		seed = round;
		text_init(&x);
		text_init(&y);
		side_init(&a, set_of(&x, -1, 0));
		side_init(&b, set_of(&y, -1, 0));
		in = (struct diff_input){.old_set = a.f.set, .new_set = b.f.set, .node = a.f.node};
		assert_int_equal(policy_diff(&in, &d, &e), 0);
		assert_true(d.n <= 1);
		for (int i = 0; i < PACKETS; i++)
			check_packet(&a, &b, &d);
		diff_done(&d);
		side_done(&a);
		side_done(&b);
		text_done(&x);
		text_done(&y);
	}
}

/* ---- lint against diff ---- */

static bool is_hidden(const struct lint *l, const struct doc_rule *rule)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->list[i].src.line == rule->src.line &&
		    strstr(l->list[i].text, "it never decides"))
			return true;
	return false;
}

static size_t check_hidden(const struct text *t, const struct doc_set *set,
			   const struct node_view *node, const struct lint *l)
{
	size_t n = 0;

	for (int p = 0; p < 3; p++) {
		/* cluster policies come first: a, b; then p */
		const struct doc_policy *policy = set->policies[p == 0 ? 0 : p == 1 ? 2 : 1];

		for (uint32_t i = 0; i < t->n[p]; i++) {
			struct doc_set *without;
			struct diff_input in;
			struct diff d;
			struct err e = {0};

			if (!is_hidden(l, &policy->rules[i + 1]))
				continue;
			without = set_of(t, p, i);
			in = (struct diff_input){.old_set = set, .new_set = without, .node = *node};
			assert_int_equal(policy_diff(&in, &d, &e), 0);
			if (d.n)
				fail_msg("hidden, and yet: %s", t->rules[p][i]);
			diff_done(&d);
			doc_set_free(without);
			n++;
		}
	}
	return n;
}

static void without_a_hidden_rule_nothing_changes(void **state)
{
	size_t n = 0;

	for (uint32_t round = 0; round < ROUNDS; round++) {
		struct policy_fixture f = {0};
		struct lint l = {0};
		struct err e = {0};
		struct text t;

		seed = round;
		text_init(&t);
		policy_fixture_node(&f, "n1", "eth0 192.0.2.1/24");
		f.set = set_of(&t, -1, 0);
		if (policy_lint(f.set, &f.node, &l, &e) < 0)
			fail_msg("%s", e.msg);
		n += check_hidden(&t, f.set, &f.node, &l);
		lint_done(&l);
		doc_set_free(f.set);
		text_done(&t);
	}
	assert_true(n > ROUNDS / 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(diff_tells_what_packets_meet),
		cmocka_unit_test(without_a_hidden_rule_nothing_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
