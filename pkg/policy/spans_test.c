/* SPDX-License-Identifier: Apache-2.0 */
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
#include "policy/explain.h"
#include "policy/spans.h"
#include "testkit/policy_fixture.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

#define OBJECT(kind, name) \
	"---\napiVersion: sluice.dev/v1alpha1\nkind: " kind "\nmetadata: {name: " name "}\nspec: "

struct world {
	struct policy_fixture f;
	struct binding b;
	struct program *p;
	struct spans spans;
};

/* A destination of n prefixes, so many that it is a set; every second /24 of 60.0.0.0/8. */
static char *big_destination(const char *name, size_t n)
{
	char *text = mem_resize(NULL, n * 24 + 256, 1);
	size_t len = (size_t)snprintf(text, 256, OBJECT("EgressDestination", "%s") "{cidrs: [",
				      name);

	for (size_t i = 0; i < n; i++)
		len += (size_t)snprintf(text + len, 24, "%s60.%zu.%zu.0/24", i ? ", " : "",
					2 * i / 256, 2 * i % 256);
	snprintf(text + len, 16, "]}\n");
	return text;
}

static void world_init(struct world *w)
{
	__cleanup_free char *big = big_destination("feed", 300);
	__cleanup_free char *text = mem_printf(
		"%s%s", big,
		OBJECT("EgressPolicy",
		       "a") "\n"
			    "  subject: {podSelector: {}}\n"
			    "  rules:\n"
			    "  - {action: Deny, to: [{destination: {name: feed}}]}\n"
			    "  - {action: Allow, to: [{cidr: 60.0.0.0/16}, {cidr: 10.0.0.0/8}, "
			    "{cidr: '2001:db8::/32'}],\n"
			    "     ports: [{protocol: TCP, port: 443}]}\n"
			    "  - {action: Allow, to: [{fqdn: a.example}]}\n"
			    "  default: {action: Reject}\n");
	struct pod_info pod = {.namespace = "default", .name = "p", .labels_known = true};

	policy_fixture_init(&w->f, text, "n1", "eth0 192.0.2.1/24");
	assert_int_equal(policy_resolve(w->f.c, &pod, &w->b), 0);
	assert_int_equal(policy_flatten(w->f.c, &w->b, &w->p), 0);
	w->spans = program_spans(w->p, w->f.c);
}

static void world_done(struct world *w)
{
	free(w->spans.list);
	program_free(w->p);
	binding_done(&w->b);
	policy_fixture_done(&w->f);
}

static const struct span *span_of(const struct spans *s, struct addr a)
{
	size_t i = 0;

	while (i + 1 < s->n && addr_cmp(s->list[i + 1].first, a) <= 0)
		i++;
	return &s->list[i];
}

/* What the kernel does with packets is the oracle. */
static void a_span_says_what_becomes_of_a_packet(void **state)
{
	static const char *const dsts[] = {
		"60.0.0.1",   "60.0.1.1",   "60.0.255.255",    "60.1.0.0",	"60.2.87.1",
		"10.0.0.1",   "10.244.0.1", "0.0.0.1",	       "9.255.255.255", "2001:db8::1",
		"2001:db9::", "::2",	    "255.255.255.254", "::1:0:0:0",	"fe80::1",
	};
	static const uint32_t keys[] = {0, L4_KEY(6, 442), L4_KEY(6, 443), L4_KEY(6, 444), L4_MAX};
	struct world w;

	world_init(&w);
	assert_int_equal(w.p->n_sets, 1);
	assert_int_equal(w.p->n_names, 1);
	for (size_t i = 0; i < COUNT(dsts); i++)
		for (size_t k = 0; k < 2 * COUNT(keys); k++) {
			struct addr dst = addr_of(dsts[i]);
			const struct span *s = span_of(&w.spans, dst);
			const uint32_t name = 0;
			size_t n_names = k / COUNT(keys), c;
			uint32_t key = keys[k % COUNT(keys)];
			struct port_cells cells = span_cells(w.p, s, &name, n_names);
			struct decision got, wanted;

			for (c = 0; c + 1 < cells.n && cells.list[c + 1].lo <= key; c++)
				;
			got = cell_decide(w.p, &cells.list[c].cell);
			wanted = program_decide(w.p, w.f.c,
						&(struct program_dst){dst, &name, n_names}, key);
			assert_int_equal(got.verdict, wanted.verdict);
			assert_int_equal(got.verdict_rule, wanted.verdict_rule);
			assert_int_equal(got.identity, wanted.identity);
			free(cells.list);
		}
	world_done(&w);
}

static void what_is_not_governed_is_not_outside(void **state)
{
	static const struct {
		const char *dst;
		bool outside;
	} t[] = {
		{"10.243.255.255", true},
		{"10.244.0.0", false},
		{"10.244.255.255", false},
		{"10.245.0.0", true},
		{"192.0.2.1", false},
		{"192.0.2.2", true},
		{"127.0.0.1", false},
		{"224.0.0.1", false},
		{"239.255.255.255", false},
		{"240.0.0.0", true},
		{"::1", false},
		{"::2", true},
		{"::", false},
		{"0.0.0.0", false},
		{"0.0.0.1", true},
		{"ff02::1", false},
		{"169.254.169.254", true},
		{"feff::", true},
	};
	struct world w;

	world_init(&w);
	for (size_t i = 0; i < COUNT(t); i++)
		if (span_of(&w.spans, addr_of(t[i].dst))->outside != t[i].outside)
			fail_msg("%s", t[i].dst);
	world_done(&w);
}

struct pairs {
	struct addr next;
	size_t n;
};

static void check_pair(const struct span_pair *pair, void *data)
{
	struct pairs *p = data;

	assert_true(addr_eq(pair->first, p->next));
	assert_true(addr_cmp(pair->first, pair->last) <= 0);
	assert_int_equal(addr_is_v4(pair->first), addr_is_v4(pair->last));
	assert_true(addr_cmp(pair->a->first, pair->first) <= 0);
	assert_true(addr_cmp(pair->b->first, pair->first) <= 0);
	p->next = addr_next(pair->last);
	p->n++;
}

static void two_lists_are_walked_without_a_gap(void **state)
{
	struct pairs pairs = {0};
	struct world w;
	struct span all[] = {{.first = addr_of("::")},
			     {.first = addr_of("0.0.0.0")},
			     {.first = addr_of("60.0.0.7")},
			     {.first = addr_of("::1:0:0:0")}};
	struct spans coarse = {all, COUNT(all)};

	world_init(&w);
	spans_pair(&w.spans, &coarse, check_pair, &pairs);
	assert_int_equal(pairs.n, w.spans.n + 1);
	assert_true(addr_is_zero(pairs.next));
	world_done(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_span_says_what_becomes_of_a_packet),
		cmocka_unit_test(what_is_not_governed_is_not_outside),
		cmocka_unit_test(two_lists_are_walked_without_a_gap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
