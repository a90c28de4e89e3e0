/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One sweep over the 24-bit space of protocols and ports: at each point where a
 * rule begins or ends to match, the cell is read off the set of rules that match
 * there. Sets are bitmaps in evaluation order, so "the first match" is the lowest bit.
 * What a step's rule means, Pass for one, is not asked before the cells of all layers
 * are one: another layer may know an earlier rule.
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
	*rs = (struct ruleset){.rules = rules, .n = n, .words = (n + 63) / 64};
	rs->actions = mem_alloc0(rs->words * sizeof(*rs->actions));
	rs->vias = mem_alloc0(rs->words * sizeof(*rs->vias));
	for (size_t i = 0; i < n; i++) {
		for (size_t s = rules[i]->step; s < CELL_STEPS; s++)
			rs->step_end[s] = (uint32_t)i + 1;
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
	*rs = (struct ruleset){};
}

/* The lowest rule in both sets with from <= rule < end, UINT32_MAX when there is none. */
static uint32_t first_in(const uint64_t *a, const uint64_t *b, uint32_t from, uint32_t end)
{
	for (uint32_t w = from / 64; w * 64 < end; w++) {
		uint64_t bits = a[w] & b[w];

		if (w == from / 64)
			bits &= ~0ull << from % 64;
		if (bits) {
			uint32_t i = w * 64 + (uint32_t)__builtin_ctzll(bits);

			return i < end ? i : UINT32_MAX;
		}
	}
	return UINT32_MAX;
}

static struct cell cell_of(const struct ruleset *rs, const uint64_t *on)
{
	struct cell cell;

	/* UINT32_MAX becomes CELL_NONE */
	for (size_t s = 0; s < CELL_STEPS; s++)
		cell.verdict[s] = (uint16_t)first_in(on, rs->actions, s ? rs->step_end[s - 1] : 0,
						     rs->step_end[s]);
	cell.identity = (uint16_t)first_in(on, rs->vias, 0, (uint32_t)rs->n);
	return cell;
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

	for (uint32_t i = first_in(matching, matching, 0, (uint32_t)rs->n); i != UINT32_MAX;
	     i = first_in(matching, matching, i + 1, (uint32_t)rs->n)) {
		const struct flat_rule *rule = rs->rules[i];

		if (!rule->n_ports)
			on[i / 64] |= 1ull << i % 64;
		for (size_t j = 0; j < rule->n_ports; j++) {
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

static bool cell_equal(const struct cell *a, const struct cell *b)
{
	return memcmp(a, b, sizeof(*a)) == 0; /* numbers without padding */
}

static void append_range(struct class *c, uint32_t lo, struct cell cell)
{
	if (c->n && cell_equal(&c->ranges[c->n - 1].cell, &cell))
		return;
	MEM_GROW(c->ranges, c->n);
	c->ranges[c->n++] = (struct class_range){.lo = lo, .cell = cell};
}

size_t class_build(const struct ruleset *rs, const uint64_t *matching, struct class *ret)
{
	__cleanup_free uint64_t *on = mem_alloc0(rs->words * sizeof(*on));
	__cleanup_free uint32_t *depth = mem_alloc0(rs->n * sizeof(*depth)); /* ports may overlap */
	size_t n;
	__cleanup_free struct edge *edges = edges_of(rs, matching, on, &n);

	*ret = (struct class){};
	if (!n || edges[0].at > 0)
		append_range(ret, 0, cell_of(rs, on));
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
		append_range(ret, at, cell_of(rs, on));
	}
	return n;
}

_Static_assert(sizeof(struct class_range) == 4 + 2 * (CELL_STEPS + 1), "padding would be hashed");

bool class_equal(const struct class *a, const struct class *b)
{
	return a->n == b->n && memcmp(a->ranges, b->ranges, a->n * sizeof(*a->ranges)) == 0;
}

uint64_t class_hash(const struct class *c)
{
	return hash_bytes(c->ranges, c->n * sizeof(*c->ranges), c->n);
}

const struct cell *class_cell(const struct class *c, uint32_t l4_key)
{
	size_t lo = 0;

	for (size_t hi = c->n; hi - lo > 1;) {
		size_t mid = lo + (hi - lo) / 2;

		if (c->ranges[mid].lo <= l4_key)
			lo = mid;
		else
			hi = mid;
	}
	return &c->ranges[lo].cell;
}

/* ---- cells ---- */

static uint16_t lower(uint16_t a, uint16_t b)
{
	return a < b ? a : b;
}

void cell_merge(struct cell *into, const struct cell *other)
{
	for (size_t s = 0; s < CELL_STEPS; s++)
		into->verdict[s] = lower(into->verdict[s], other->verdict[s]);
	into->identity = lower(into->identity, other->identity);
}

struct decision cell_decide(const struct program *p, const struct cell *cell)
{
	struct decision d = {.verdict_rule = UINT32_MAX, .identity_rule = UINT32_MAX};

	for (size_t s = 0; s < CELL_STEPS && d.verdict_rule == UINT32_MAX; s++) {
		enum rule_action action;

		if (cell->verdict[s] == CELL_NONE)
			continue;
		action = flat_rule_action(p->rules[cell->verdict[s]]);
		if (action == ACTION_PASS)
			continue;
		d.verdict_rule = cell->verdict[s];
		d.verdict = action == ACTION_DENY     ? VERDICT_DENY
			    : action == ACTION_REJECT ? VERDICT_REJECT
						      : VERDICT_ALLOW;
	}
	if (cell->identity != CELL_NONE) {
		d.identity_rule = cell->identity;
		d.identity = p->rules[cell->identity]->identity;
	}
	return d;
}
