/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program, read as the kernel reads it: each layer is asked on its own, the cells
 * are merged, the steps walked.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "policy/compiled.h"

void program_free(struct program *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->n_classes; i++)
		free(p->classes[i].ranges);
	free(p->classes);
	free(p->rules);
	free(p->entries);
	free(p->sets);
	free(p->names);
	free(p);
}

/* ---- look-up ---- */

/* The last entry of the family that does not lie behind a. */
static size_t entry_before(const struct program *p, struct addr a)
{
	struct cidr host = cidr_host(a);
	size_t lo = addr_is_v4(a) ? 0 : p->first_v6;
	size_t hi = addr_is_v4(a) ? p->first_v6 : p->n_entries;

	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;

		if (cidr_cmp(p->entries[mid].prefix, host) <= 0)
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}

uint32_t program_own_class(const struct program *p, struct addr dst)
{
	const struct program_entry *entry = &p->entries[entry_before(p, dst)];

	/* entries are sorted parents first: whoever holds dst is this one or above it */
	while (!cidr_contains_addr(entry->prefix, dst))
		entry = &p->entries[entry->parent];
	return entry->class;
}

static int compare_layer(const void *key, const void *layer)
{
	uint32_t a = *(const uint32_t *)key, b = ((const struct program_layer *)layer)->index;

	return a < b ? -1 : a > b;
}

/* The classes of all layers that know the destination, at most one of each. */
struct answers {
	const struct class **list;
	size_t n;
};

static void add_class(struct answers *a, const struct program *p, uint32_t class)
{
	MEM_GROW(a->list, a->n);
	a->list[a->n++] = &p->classes[class];
}

static struct answers answers_of(const struct program *p, const struct compiled *c,
				 const struct program_dst *dst)
{
	struct answers a = {};

	add_class(&a, p, program_own_class(p, dst->addr));
	for (size_t i = 0; i < p->n_sets; i++) {
		const struct compiled_set *set = &c->sets[p->sets[i].index];

		if (cidrs_hold(set->cidrs, set->n, dst->addr))
			add_class(&a, p, p->sets[i].class);
	}
	for (size_t i = 0; p->n_names && i < dst->n_names; i++) {
		const struct program_layer *layer = bsearch(&dst->names[i], p->names, p->n_names,
							    sizeof(*p->names), compare_layer);

		if (layer)
			add_class(&a, p, layer->class);
	}
	return a;
}

static struct decision answers_decide(const struct program *p, const struct answers *a,
				      uint32_t l4_key)
{
	struct cell cell = *class_cell(a->list[0], l4_key);

	for (size_t i = 1; i < a->n; i++)
		cell_merge(&cell, class_cell(a->list[i], l4_key));
	return cell_decide(p, &cell);
}

struct decision program_decide(const struct program *p, const struct compiled *c,
			       const struct program_dst *dst, uint32_t l4_key)
{
	struct answers a = answers_of(p, c, dst);
	struct decision d = answers_decide(p, &a, l4_key);

	free(a.list);
	return d;
}

static int compare_u32(const void *va, const void *vb)
{
	const uint32_t *a = va, *b = vb;

	return *a < *b ? -1 : *a > *b;
}

static uint32_t *edges_of(const struct answers *a, size_t *ret_n)
{
	uint32_t *edges = NULL;
	size_t n = 0;

	for (size_t i = 0; i < a->n; i++) {
		for (size_t j = 0; j < a->list[i]->n; j++) {
			MEM_GROW(edges, n);
			edges[n++] = a->list[i]->ranges[j].lo;
		}
	}
	qsort(edges, n, sizeof(*edges), compare_u32);
	*ret_n = n;
	return edges;
}

void program_ranges(const struct program *p, const struct compiled *c,
		    const struct program_dst *dst, struct program_range **ret, size_t *ret_n)
{
	struct answers a = answers_of(p, c, dst);
	struct program_range *list = NULL;
	size_t n_edges, n = 0;
	__cleanup_free uint32_t *edges = edges_of(&a, &n_edges);

	for (size_t i = 0; i < n_edges; i++) {
		struct decision d = answers_decide(p, &a, edges[i]);

		if (n && list[n - 1].decision.verdict == d.verdict &&
		    list[n - 1].decision.identity == d.identity)
			continue;
		MEM_GROW(list, n);
		list[n++] = (struct program_range){edges[i], d};
	}
	free(a.list);
	*ret = list;
	*ret_n = n;
}

/* ---- intervals ---- */

struct sweep {
	struct program_interval *list;
	size_t n;
	struct {
		struct addr last;
		uint32_t class;
	} stack[130]; /* lengths 0..128 */
	size_t depth;
};

/* From here on; what began at the same place is nowhere. */
static void begin(struct sweep *s, struct addr first, uint32_t class)
{
	if (s->n && addr_eq(s->list[s->n - 1].first, first))
		s->n--;
	if (s->n && s->list[s->n - 1].class == class)
		return;
	MEM_GROW(s->list, s->n);
	s->list[s->n++] = (struct program_interval){first, class};
}

/* Ends what ends before a. */
static void end_before(struct sweep *s, struct addr a)
{
	while (s->depth && addr_cmp(s->stack[s->depth - 1].last, a) < 0) {
		struct addr next = addr_next(s->stack[--s->depth].last);

		begin(s, next, s->stack[s->depth - 1].class); /* ::/0 never ends */
	}
}

static void sweep_entries(struct sweep *s, const struct program *p, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++) {
		const struct program_entry *e = &p->entries[i];

		end_before(s, e->prefix.addr);
		begin(s, e->prefix.addr, e->class);
		s->stack[s->depth].last = cidr_last(e->prefix);
		s->stack[s->depth++].class = e->class;
	}
}

void program_intervals(const struct program *p, struct program_interval **ret, size_t *ret_n)
{
	struct sweep s = {};
	struct addr top;
	size_t behind = p->first_v6;

	while (behind < p->n_entries &&
	       cidr_cmp(p->entries[behind].prefix, p->entries[0].prefix) < 0)
		behind++;
	sweep_entries(&s, p, p->first_v6, behind);
	sweep_entries(&s, p, 0, p->first_v6);
	sweep_entries(&s, p, behind, p->n_entries);
	memset(top.b, 0xff, sizeof(top.b));
	end_before(&s, top);
	*ret = s.list;
	*ret_n = s.n;
}
