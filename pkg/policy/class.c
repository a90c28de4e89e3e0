/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One sweep over the 24-bit space of protocols and ports: at each point where a
 * rule begins or ends to match, the answer is read off the set of rules that match
 * there. Sets are bitmaps in evaluation order, so "the first match" is the lowest
 * bit, and Pass continues at the first rule of the next step.
 */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "policy/compiled.h"

struct edge {
	uint32_t at;
	uint32_t rule;
	bool begin;
};

void ruleset_init(struct ruleset *rs, const struct flat_rule *const *rules, size_t n)
{
	uint32_t step_end = (uint32_t)n;

	*rs = (struct ruleset){.rules = rules, .n = n, .words = (n + 63) / 64};
	rs->actions = mem_alloc0(rs->words * sizeof(*rs->actions));
	rs->vias = mem_alloc0(rs->words * sizeof(*rs->vias));
	rs->next_step = mem_alloc0(n * sizeof(*rs->next_step));
	for (size_t i = n; i-- > 0;) {
		if (i + 1 < n && rules[i + 1]->step != rules[i]->step)
			step_end = (uint32_t)i + 1;
		rs->next_step[i] = step_end;
		if (flat_rule_action(rules[i]) != ACTION_NONE)
			rs->actions[i / 64] |= 1ull << i % 64;
		if (rules[i]->identity != IDENTITY_NONE)
			rs->vias[i / 64] |= 1ull << i % 64;
	}
}

void ruleset_done(struct ruleset *rs)
{
	free(rs->actions);
	free(rs->vias);
	free(rs->next_step);
	*rs = (struct ruleset){};
}

/* The lowest rule >= from in both sets, UINT32_MAX when there is none. */
static uint32_t first_in(const struct ruleset *rs, const uint64_t *a, const uint64_t *b,
			 uint32_t from)
{
	for (size_t w = from / 64; w < rs->words; w++) {
		uint64_t bits = a[w] & b[w];

		if (w == from / 64)
			bits &= ~0ull << from % 64;
		if (bits)
			return (uint32_t)(w * 64 + (size_t)__builtin_ctzll(bits));
	}
	return UINT32_MAX;
}

static struct decision decide(const struct ruleset *rs, const uint64_t *on)
{
	struct decision d = {.verdict = VERDICT_ALLOW, .verdict_rule = UINT32_MAX};
	uint32_t i = first_in(rs, on, rs->actions, 0);

	while (i != UINT32_MAX && flat_rule_action(rs->rules[i]) == ACTION_PASS)
		i = first_in(rs, on, rs->actions, rs->next_step[i]);
	if (i != UINT32_MAX) {
		enum rule_action action = flat_rule_action(rs->rules[i]);

		d.verdict_rule = i;
		if (action == ACTION_DENY)
			d.verdict = VERDICT_DENY;
		else if (action == ACTION_REJECT)
			d.verdict = VERDICT_REJECT;
	}
	d.identity_rule = first_in(rs, on, rs->vias, 0);
	if (d.identity_rule != UINT32_MAX)
		d.identity = rs->rules[d.identity_rule]->identity;
	return d;
}

static int compare_edges(const void *va, const void *vb)
{
	const struct edge *a = va, *b = vb;

	return a->at < b->at ? -1 : a->at > b->at;
}

/* Edges of the matching rules; those without ports are on from the start. */
static struct edge *edges_of(const struct ruleset *rs, const uint64_t *matching, uint64_t *on,
			     size_t *ret_n)
{
	struct edge *edges = NULL;
	size_t n = 0;

	for (uint32_t i = first_in(rs, matching, matching, 0); i != UINT32_MAX;
	     i = i + 1 < rs->n ? first_in(rs, matching, matching, i + 1) : UINT32_MAX) {
		const struct doc_rule *rule = rs->rules[i]->rule;

		if (!rule || !rule->n_ports)
			on[i / 64] |= 1ull << i % 64;
		for (size_t j = 0; rule && j < rule->n_ports; j++) {
			MEM_GROW(edges, n);
			edges[n++] = (struct edge){rule->ports[j].lo, i, true};
			MEM_GROW(edges, n);
			edges[n++] = (struct edge){rule->ports[j].hi + 1, i, false};
		}
	}
	if (n)
		qsort(edges, n, sizeof(*edges), compare_edges);
	*ret_n = n;
	return edges;
}

static void append_range(struct class *c, uint32_t lo, struct decision d)
{
	const struct decision *last = c->n ? &c->ranges[c->n - 1].decision : NULL;

	if (last && last->verdict == d.verdict && last->identity == d.identity)
		return;
	MEM_GROW(c->ranges, c->n);
	c->ranges[c->n++] = (struct class_range){.lo = lo, .decision = d};
}

void class_build(const struct ruleset *rs, const uint64_t *matching, struct class *ret)
{
	__cleanup_free uint64_t *on = mem_alloc0(rs->words * sizeof(*on));
	__cleanup_free uint32_t *depth = mem_alloc0(rs->n * sizeof(*depth)); /* ports may overlap */
	size_t n;
	__cleanup_free struct edge *edges = edges_of(rs, matching, on, &n);

	*ret = (struct class){};
	if (!n || edges[0].at > 0)
		append_range(ret, 0, decide(rs, on));
	for (size_t i = 0; i < n && edges[i].at <= L4_MAX;) {
		uint32_t at = edges[i].at;

		for (; i < n && edges[i].at == at; i++) {
			uint32_t rule = edges[i].rule;

			depth[rule] += edges[i].begin ? 1u : UINT32_MAX; /* wraps to - 1 */
			if (depth[rule])
				on[rule / 64] |= 1ull << rule % 64;
			else
				on[rule / 64] &= ~(1ull << rule % 64);
		}
		append_range(ret, at, decide(rs, on));
	}
}

bool class_equal(const struct class *a, const struct class *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (a->ranges[i].lo != b->ranges[i].lo ||
		    a->ranges[i].decision.verdict != b->ranges[i].decision.verdict ||
		    a->ranges[i].decision.identity != b->ranges[i].decision.identity)
			return false;
	return true;
}

uint64_t class_hash(const struct class *c)
{
	uint64_t h = c->n;

	for (size_t i = 0; i < c->n; i++) {
		uint32_t key[] = {c->ranges[i].lo, c->ranges[i].decision.verdict,
				  c->ranges[i].decision.identity};

		h = hash_bytes(key, sizeof(key), h);
	}
	return h;
}
