/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/spans.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "policy/compiled.h"

/* ---- a list of prefixes as ranges: ascending, none touches the next ---- */

struct ranges {
	struct addr_range *list;
	size_t n;
	size_t at; /* of the sweep: the first that does not end before the place */
};

static void ranges_done(struct ranges *r)
{
	free(r->list);
}

static void ranges_add(struct ranges *r, struct addr first, struct addr last)
{
	MEM_GROW(r->list, r->n);
	r->list[r->n++] = (struct addr_range){first, last};
}

static struct addr addr_before(struct addr a)
{
	for (int i = 15; i >= 0 && a.b[i]-- == 0; i--)
		;
	return a;
}

/* ::/0 and what else lies around ::ffff:0:0/96 does not hold IPv4. */
static void ranges_add_cidr(struct ranges *r, struct cidr c)
{
	struct cidr v4 = cidr_all(true);
	struct addr last = cidr_last(c);

	if (cidr_is_v4(c) || addr_cmp(c.addr, v4.addr) > 0 || addr_cmp(last, v4.addr) < 0) {
		ranges_add(r, c.addr, last);
		return;
	}
	ranges_add(r, c.addr, addr_before(v4.addr));
	ranges_add(r, addr_next(cidr_last(v4)), last);
}

static int cmp_ranges(const void *a, const void *b)
{
	return addr_cmp(((const struct addr_range *)a)->first,
			((const struct addr_range *)b)->first);
}

static void ranges_merge(struct ranges *r)
{
	size_t n = 0;

	if (r->n)
		qsort(r->list, r->n, sizeof(*r->list), cmp_ranges);
	for (size_t i = 0; i < r->n; i++) {
		struct addr_range *last = n ? &r->list[n - 1] : NULL;

		if (last && (addr_cmp(r->list[i].first, last->last) <= 0 ||
			     addr_eq(r->list[i].first, addr_next(last->last)))) {
			if (addr_cmp(r->list[i].last, last->last) > 0)
				last->last = r->list[i].last;
			continue;
		}
		r->list[n++] = r->list[i];
	}
	r->n = n;
}

static bool ranges_hold(struct ranges *r, struct addr a)
{
	while (r->at < r->n && addr_cmp(r->list[r->at].last, a) < 0)
		r->at++;
	return r->at < r->n && addr_cmp(r->list[r->at].first, a) <= 0;
}

static void ranges_add_texts(struct ranges *r, const char *const *texts, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct cidr cidr;

		if (cidr_parse(texts[i], &cidr) == 0)
			ranges_add_cidr(r, cidr);
	}
}

static struct ranges link_local_ranges(void)
{
	static const char *const local[] = {"169.254.0.0/16", "fe80::/10"};
	struct ranges r = {0};

	ranges_add_texts(&r, local, 2);
	ranges_merge(&r);
	return r;
}

/* Whatever c->inside says, and what is never touched (EXPLAIN_UNTOUCHED). */
static struct ranges inside_ranges(const struct compiled *c)
{
	static const char *const untouched[] = {"127.0.0.0/8", "224.0.0.0/4", "255.255.255.255/32",
						"0.0.0.0/32",  "::1/128",     "ff00::/8",
						"::/128"};
	struct ranges r = {0};

	ranges_add_texts(&r, untouched, sizeof(untouched) / sizeof(untouched[0]));
	for (size_t i = 0; i < c->n_inside; i++)
		ranges_add_cidr(&r, c->inside[i]);
	ranges_merge(&r);
	return r;
}

static struct ranges set_ranges(const struct compiled_set *set)
{
	struct ranges r = {0};

	for (size_t i = 0; i < set->n; i++)
		ranges_add_cidr(&r, set->cidrs[i]);
	ranges_merge(&r);
	return r;
}

/* ---- the sweep ---- */

struct sweep {
	struct program_interval *own;
	size_t n_own, at;
	struct ranges inside, link_local, sets[PROGRAM_MAX_SETS];
	size_t n_sets;
	struct addr *edges;
	size_t n_edges;
};

static void add_edge(struct sweep *s, struct addr a)
{
	MEM_GROW(s->edges, s->n_edges);
	s->edges[s->n_edges++] = a;
}

static void add_edges(struct sweep *s, const struct ranges *r)
{
	for (size_t i = 0; i < r->n; i++) {
		struct addr behind = addr_next(r->list[i].last);

		add_edge(s, r->list[i].first);
		if (!addr_is_zero(behind))
			add_edge(s, behind);
	}
}

static struct span span_at(struct sweep *s, struct addr a)
{
	struct span span = {.first = a,
			    .outside = !ranges_hold(&s->inside, a),
			    .link_local = ranges_hold(&s->link_local, a)};

	while (s->at + 1 < s->n_own && addr_cmp(s->own[s->at + 1].first, a) <= 0)
		s->at++;
	span.class = s->own[s->at].class;
	for (size_t i = 0; i < s->n_sets; i++)
		if (ranges_hold(&s->sets[i], a))
			span.sets |= (uint16_t)(1u << i);
	return span;
}

static bool alike(const struct span *a, const struct span *b)
{
	return a->class == b->class && a->sets == b->sets && a->outside == b->outside &&
	       a->link_local == b->link_local;
}

static void sweep_init(struct sweep *s, const struct program *p, const struct compiled *c)
{
	struct cidr v4 = cidr_all(true);

	program_intervals(p, &s->own, &s->n_own);
	/* the families stay apart: a stretch of both would have no prefix */
	add_edge(s, (struct addr){0});
	add_edge(s, v4.addr);
	add_edge(s, addr_next(cidr_last(v4)));
	for (size_t i = 0; i < s->n_own; i++)
		add_edge(s, s->own[i].first);
	s->inside = inside_ranges(c);
	add_edges(s, &s->inside);
	s->link_local = link_local_ranges();
	add_edges(s, &s->link_local);
	for (s->n_sets = 0; s->n_sets < p->n_sets; s->n_sets++) {
		s->sets[s->n_sets] = set_ranges(&c->sets[p->sets[s->n_sets].index]);
		add_edges(s, &s->sets[s->n_sets]);
	}
	qsort(s->edges, s->n_edges, sizeof(*s->edges), addr_order);
}

static void sweep_done(struct sweep *s)
{
	for (size_t i = 0; i < s->n_sets; i++)
		ranges_done(&s->sets[i]);
	ranges_done(&s->inside);
	ranges_done(&s->link_local);
	free(s->edges);
	free(s->own);
}

struct spans program_spans(const struct program *p, const struct compiled *c)
{
	__cleanup(sweep_done) struct sweep s = {0};
	struct span *list = NULL;
	size_t n = 0;

	sweep_init(&s, p, c);
	for (size_t i = 0; i < s.n_edges; i++) {
		struct span span;

		if (i && addr_eq(s.edges[i], s.edges[i - 1]))
			continue;
		span = span_at(&s, s.edges[i]);
		if (n && alike(&list[n - 1], &span) &&
		    addr_is_v4(list[n - 1].first) == addr_is_v4(span.first))
			continue;
		MEM_GROW(list, n);
		list[n++] = span;
	}
	return (struct spans){list, n};
}

static struct addr span_last(const struct span *list, size_t n, size_t i)
{
	struct addr top;

	memset(top.b, 0xff, sizeof(top.b));
	return i + 1 < n ? addr_before(list[i + 1].first) : top;
}

void spans_pair(const struct spans *a, const struct spans *b, span_pair_fn *fn, void *data)
{
	size_t i = 0, k = 0;
	struct addr first = {0};

	while (i < a->n && k < b->n) {
		struct addr x = span_last(a->list, a->n, i), y = span_last(b->list, b->n, k);
		struct addr last = addr_cmp(x, y) < 0 ? x : y;
		struct span_pair pair = {first, last, &a->list[i], &b->list[k]};

		fn(&pair, data);
		i += addr_eq(x, last);
		k += addr_eq(y, last);
		first = addr_next(last);
	}
}

/* ---- ports ---- */

static int cmp_u32(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static const struct program_layer *layer_find(const struct program *p, uint32_t name)
{
	for (size_t i = 0; i < p->n_names; i++)
		if (p->names[i].index == name)
			return &p->names[i];
	return NULL;
}

struct classes {
	const struct class **list;
	size_t n;
};

static void classes_add(struct classes *l, const struct program *p, uint32_t class)
{
	MEM_GROW(l->list, l->n);
	l->list[l->n++] = &p->classes[class];
}

static struct classes classes_of(const struct program *p, const struct span *s,
				 const uint32_t *names, size_t n_names)
{
	struct classes l = {0};

	classes_add(&l, p, s->class);
	for (size_t i = 0; i < p->n_sets; i++)
		if (s->sets >> i & 1)
			classes_add(&l, p, p->sets[i].class);
	for (size_t i = 0; i < n_names; i++) {
		const struct program_layer *layer = layer_find(p, names[i]);

		if (layer)
			classes_add(&l, p, layer->class);
	}
	return l;
}

static struct cell merged(const struct classes *l, uint32_t key)
{
	struct cell cell = *class_cell(l->list[0], key);

	for (size_t i = 1; i < l->n; i++)
		cell_merge(&cell, class_cell(l->list[i], key));
	return cell;
}

struct port_cells span_cells(const struct program *p, const struct span *s, const uint32_t *names,
			     size_t n_names)
{
	struct classes l = classes_of(p, s, names, n_names);
	__cleanup_free uint32_t *edges = NULL;
	struct port_cell *list = NULL;
	size_t n_edges = 0, n = 0;

	for (size_t i = 0; i < l.n; i++)
		for (size_t k = 0; k < l.list[i]->n; k++) {
			MEM_GROW(edges, n_edges);
			edges[n_edges++] = l.list[i]->ranges[k].lo;
		}
	qsort(edges, n_edges, sizeof(*edges), cmp_u32);
	for (size_t i = 0; i < n_edges; i++) {
		struct cell cell = merged(&l, edges[i]);

		if (n && memcmp(&list[n - 1].cell, &cell, sizeof(cell)) == 0)
			continue;
		MEM_GROW(list, n);
		list[n++] = (struct port_cell){edges[i], cell};
	}
	free(l.list);
	return (struct port_cells){list, n};
}
