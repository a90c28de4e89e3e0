/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All answers of two programs. Stretches of addresses that both programs treat alike are one
 * case, asked once; what differs there is a row, and each stretch of the case is added to its
 * rows. Of addresses that have a name, only what the name makes different is told.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "bpf/drop_reasons.h"
#include "policy/diff_priv.h"
#include "policy/fqdn.h"
#include "policy/hash_index.h"
#include "policy/spans.h"

struct row {
	struct diff_change change;
	struct addr_range *ranges; /* ascending */
	size_t n_ranges;
};

struct row_list {
	uint32_t *items;
	size_t n;
};

struct case_key {
	uint32_t parts[8];
};

struct one_case {
	struct case_key key;
	struct row_list rows;
};

struct compare {
	const struct diff_side *sides;
	uint32_t spread;
	struct diff *d;
	struct row *rows;
	size_t n_rows;
	struct hash_index index; /* of cases: those of the present name */
	struct one_case *cases;
	const char *name;   /* NULL: addresses without a name */
	uint32_t *names[2]; /* patterns that hold it, in each program's compiled */
	size_t n_names[2];
};

/* ---- an answer in words ---- */

static const char *keep_text(struct diff *d, char *text)
{
	for (size_t i = 0; i < d->n_texts; i++)
		if (strcmp(d->texts[i], text) == 0) {
			free(text);
			return d->texts[i];
		}
	MEM_GROW(d->texts, d->n_texts);
	return d->texts[d->n_texts++] = text;
}

#define AS_NODE "Allow as the node"
#define INSIDE	"inside: untouched"

/* What is allowed as the node and what is not touched go the same way. */
static bool goes_alike(const char *before, const char *after)
{
	return before == after || (strcmp(before, AS_NODE) == 0 && strcmp(after, INSIDE) == 0) ||
	       (strcmp(before, INSIDE) == 0 && strcmp(after, AS_NODE) == 0);
}

static const char *reason_name(uint8_t reason)
{
	switch (reason) {
#define X(number, word, name, text) \
	case number:                \
		return name;
		SLU_DROP_REASONS(X)
#undef X
	}
	return "unknown";
}

/* Which ones they are, as far as a line holds them; the number tells other tables apart. */
static char *slots_text(const struct compiled *c, uint32_t identity, size_t f)
{
	const struct identity *id = &c->identities[identity];
	char list[4 * (ADDR_STRLEN + 2) + 8] = "";
	size_t n = 0, len = 0;

	for (uint32_t i = 0; i < id->n_picks[f]; i++) {
		bool seen = false;

		for (uint32_t k = 0; k < i && !seen; k++)
			seen = id->picks[f][k] == id->picks[f][i];
		if (seen || n++ >= 4)
			continue;
		len += (size_t)snprintf(list + len, sizeof(list) - len, "%s%s", len ? ", " : "",
					addr_str(c->addrs[id->picks[f][i]].addr));
	}
	return mem_printf("Allow, by connection, as one of %s%s of %s (%zu, %06x)", list,
			  n > 4 ? " …" : "", id->gateway, n,
			  (unsigned int)(identity_digest(c, identity) & 0xffffff));
}

static char *egress_text(const struct diff_side *s, uint32_t identity, const struct span_pair *at,
			 uint32_t spread)
{
	const struct identity *id = &s->c->identities[identity];
	size_t f = addr_is_v4(at->first) ? 0 : 1;

	if (identity == 0)
		return mem_strdup(AS_NODE);
	if (at->a->link_local)
		return mem_printf("drop: %s", reason_name(SLU_DROP_LINK_LOCAL_VIA));
	if (id->per_flow && id->n_picks[f])
		return slots_text(s->c, identity, f);
	if (id->n_picks[f])
		return mem_printf("Allow as %s of %s",
				  addr_str(s->c->addrs[id->picks[f][spread % id->n_picks[f]]].addr),
				  id->gateway);
	if (id->none[f] == SLU_OK)
		return mem_strdup(AS_NODE);
	return mem_printf("drop: %s (%s)", reason_name(id->none[f]), id->gateway);
}

static const char *answer(struct compare *k, int side, const struct cell *cell,
			  const struct span_pair *at)
{
	const struct diff_side *s = &k->sides[side];
	struct decision d;

	if (!(side ? at->b : at->a)->outside)
		return keep_text(k->d, mem_strdup(INSIDE));
	d = cell_decide(s->p, cell);
	if (d.verdict != VERDICT_ALLOW)
		return keep_text(k->d, mem_strdup(d.verdict == VERDICT_DENY ? "Deny" : "Reject"));
	return keep_text(k->d, egress_text(s, d.identity, at, k->spread));
}

/* ---- a case: for each range of ports what was and what will be ---- */

struct port_change {
	uint32_t lo; /* up to the next one's */
	const char *before, *after;
};

struct port_changes {
	struct port_change *list;
	size_t n;
};

static struct port_changes ask(struct compare *k, const struct span_pair *at, bool named)
{
	struct port_cells a = span_cells(k->sides[0].p, at->a, k->names[0],
					 named ? k->n_names[0] : 0);
	struct port_cells b = span_cells(k->sides[1].p, at->b, k->names[1],
					 named ? k->n_names[1] : 0);
	struct port_changes all = {0};

	for (size_t i = 0, j = 0; i < a.n && j < b.n;) {
		uint32_t x = i + 1 < a.n ? a.list[i + 1].lo : UINT32_MAX;
		uint32_t y = j + 1 < b.n ? b.list[j + 1].lo : UINT32_MAX;
		uint32_t lo = a.list[i].lo > b.list[j].lo ? a.list[i].lo : b.list[j].lo;
		struct port_change change = {lo, answer(k, 0, &a.list[i].cell, at),
					     answer(k, 1, &b.list[j].cell, at)};
		const struct port_change *last = all.n ? &all.list[all.n - 1] : NULL;

		/* equal texts are one string */
		if (!last || last->before != change.before || last->after != change.after) {
			MEM_GROW(all.list, all.n);
			all.list[all.n++] = change;
		}
		i += x <= y;
		j += y <= x;
	}
	free(a.list);
	free(b.list);
	return all;
}

static uint32_t row_get(struct compare *k, const struct diff_change *c)
{
	for (size_t i = 0; i < k->n_rows; i++) {
		const struct diff_change *r = &k->rows[i].change;

		if (r->name == c->name && r->lo == c->lo && r->hi == c->hi &&
		    r->before == c->before && r->after == c->after)
			return (uint32_t)i;
	}
	MEM_GROW(k->rows, k->n_rows);
	k->rows[k->n_rows] = (struct row){.change = *c};
	return (uint32_t)k->n_rows++;
}

static bool equal(const struct port_changes *a, const struct port_changes *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (a->list[i].lo != b->list[i].lo || a->list[i].before != b->list[i].before ||
		    a->list[i].after != b->list[i].after)
			return false;
	return true;
}

static uint32_t hi_of(const struct port_changes *l, size_t i)
{
	return i + 1 < l->n ? l->list[i + 1].lo - 1 : L4_MAX;
}

static bool changes_in(const struct port_changes *l, uint32_t lo, uint32_t hi)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->list[i].lo <= hi && hi_of(l, i) >= lo &&
		    !goes_alike(l->list[i].before, l->list[i].after))
			return true;
	return false;
}

/* Where a name spares from a change that is told without it, a row says so: it stays. */
static struct row_list rows_of(struct compare *k, const struct span_pair *at)
{
	struct port_changes named = ask(k, at, true), plain = {0};
	struct row_list list = {0};
	bool told = false;

	if (k->name) {
		plain = ask(k, at, false);
		told = equal(&named, &plain);
	}
	for (size_t i = 0; !told && i < named.n; i++) {
		const struct port_change *p = &named.list[i];
		struct diff_change c = {
			.name = k->name,
			.lo = p->lo,
			.hi = hi_of(&named, i),
			.before = p->before,
			.after = p->after,
		};

		if (goes_alike(p->before, p->after) && !changes_in(&plain, c.lo, c.hi))
			continue;
		MEM_GROW(list.items, list.n);
		list.items[list.n++] = row_get(k, &c);
	}
	free(named.list);
	free(plain.list);
	return list;
}

static struct case_key key_of(const struct span_pair *at)
{
	return (struct case_key){{at->a->class, at->a->sets, at->a->outside, at->b->class,
				  at->b->sets, at->b->outside, at->a->link_local,
				  addr_is_v4(at->first)}};
}

static const struct row_list *case_get(struct compare *k, const struct span_pair *at)
{
	struct case_key key = key_of(at);
	uint64_t hash = hash_bytes(&key, sizeof(key), 0);
	uint32_t i = hash_index_first(&k->index, hash);

	for (; i != HASH_INDEX_END; i = hash_index_next(&k->index, i))
		if (memcmp(&k->cases[i].key, &key, sizeof(key)) == 0)
			return &k->cases[i].rows;
	i = hash_index_add(&k->index, hash);
	MEM_GROW(k->cases, i);
	k->cases[i] = (struct one_case){key, rows_of(k, at)};
	return &k->cases[i].rows;
}

/* ---- stretches ---- */

struct walk {
	struct compare *k;
	struct addr gap; /* from here up to the present pair all lies inside, on both sides */
};

/* To what changes, an inside stretch between two others is no break: nobody means it. */
static void row_add(struct row *r, struct addr gap, struct addr_range range)
{
	struct addr_range *last = r->n_ranges ? &r->ranges[r->n_ranges - 1] : NULL;

	if (last && addr_eq(addr_next(last->last), gap) &&
	    addr_is_v4(last->first) == addr_is_v4(range.first)) {
		last->last = range.last;
		return;
	}
	MEM_GROW(r->ranges, r->n_ranges);
	r->ranges[r->n_ranges++] = range;
}

static struct addr v4_first(void)
{
	return cidr_all(true).addr;
}

static struct addr v4_behind(void)
{
	return addr_next(cidr_last(cidr_all(true)));
}

/* Inside up to the end of the family: it belongs to what stands before it. */
static void rows_end(struct compare *k, struct addr gap, struct addr last)
{
	for (size_t i = 0; i < k->n_rows; i++) {
		struct row *r = &k->rows[i];

		if (r->n_ranges && r->change.name == k->name &&
		    addr_eq(addr_next(r->ranges[r->n_ranges - 1].last), gap))
			r->ranges[r->n_ranges - 1].last = last;
	}
}

static void add_pair(const struct span_pair *at, void *data)
{
	struct walk *w = data;
	struct addr behind = addr_next(at->last);
	struct addr_range range = {at->first, at->last};
	const struct row_list *rows;

	if (addr_eq(at->first, v4_first()) || addr_eq(at->first, v4_behind()))
		w->gap = at->first;
	if (!at->a->outside && !at->b->outside) {
		if (addr_is_zero(behind) || addr_eq(behind, v4_behind()))
			rows_end(w->k, w->gap, at->last);
		return;
	}
	rows = case_get(w->k, at);
	if (addr_is_zero(w->gap) || addr_eq(w->gap, v4_first()))
		range.first = w->gap; /* inside since the family began */
	for (size_t i = 0; i < rows->n; i++)
		row_add(&w->k->rows[rows->items[i]], w->gap, range);
	w->gap = behind;
}

static void cases_done(struct compare *k)
{
	for (size_t i = 0; i < k->index.n; i++)
		free(k->cases[i].rows.items);
	free(k->cases);
	hash_index_done(&k->index);
	k->index = (struct hash_index){0};
	k->cases = NULL;
}

/* ---- names ---- */

/* Whoever is known under the name (or under one that a pattern holds) is known under these. */
static void names_find(struct compare *k)
{
	for (int side = 0; side < 2; side++) {
		const struct compiled *c = k->sides[side].c;

		k->n_names[side] = 0;
		for (uint32_t i = 0; i < c->n_names; i++)
			if (fqdn_matches(c->names[i], k->name)) {
				MEM_GROW(k->names[side], k->n_names[side]);
				k->names[side][k->n_names[side]++] = i;
			}
	}
}

static bool uses_name(const struct diff_side *s, const char *name)
{
	for (size_t i = 0; i < s->p->n_names; i++)
		if (strcmp(s->c->names[s->p->names[i].index], name) == 0)
			return true;
	return false;
}

/* ---- prefixes ---- */

static void add_prefixes(struct diff_change *c, struct addr_range r)
{
	while (addr_cmp(r.first, r.last) <= 0) {
		uint8_t len = 128, shortest = addr_is_v4(r.first) ? 96 : 0;
		struct cidr next;

		for (; len > shortest; len--) {
			next = cidr_make(r.first, (uint8_t)(len - 1));
			if (!addr_eq(next.addr, r.first) || addr_cmp(cidr_last(next), r.last) > 0)
				break;
		}
		next = cidr_make(r.first, len);
		MEM_GROW(c->prefixes, c->n_prefixes);
		c->prefixes[c->n_prefixes++] = next;
		r.first = addr_next(cidr_last(next));
		if (addr_is_zero(r.first))
			return;
	}
}

/* The stretches of IPv6 before and behind the place of IPv4 are one: no prefix knows of it. */
static void join_v6(struct row *r)
{
	size_t low = 0, high = 0;

	while (low < r->n_ranges && !addr_eq(addr_next(r->ranges[low].last), v4_first()))
		low++;
	while (high < r->n_ranges && !addr_eq(r->ranges[high].first, v4_behind()))
		high++;
	if (low >= high || high >= r->n_ranges)
		return;
	r->ranges[low].last = r->ranges[high].last;
	memmove(&r->ranges[high], &r->ranges[high + 1],
		(r->n_ranges - high - 1) * sizeof(*r->ranges));
	r->n_ranges--;
}

static void emit(struct compare *k, struct diff_group *g)
{
	for (size_t i = 0; i < k->n_rows; i++) {
		struct row *r = &k->rows[i];

		join_v6(r);
		for (size_t n = 0; n < r->n_ranges; n++)
			add_prefixes(&r->change, r->ranges[n]);
		MEM_GROW(g->changes, g->n_changes);
		g->changes[g->n_changes++] = r->change;
		free(r->ranges);
	}
	free(k->rows);
}

void diff_compare(const struct diff_side sides[2], uint32_t spread, struct diff *d,
		  struct diff_group *g)
{
	struct compare k = {.sides = sides, .spread = spread, .d = d};
	struct spans a = program_spans(sides[0].p, sides[0].c);
	struct spans b = program_spans(sides[1].p, sides[1].c);
	size_t n[2] = {sides[0].p->n_names, sides[1].p->n_names};

	for (size_t i = 0; i < 1 + n[0] + n[1]; i++) {
		struct walk w = {.k = &k};
		const struct diff_side *s = &sides[i > n[0]];

		if (i) {
			const char *name =
				s->c->names[s->p->names[i > n[0] ? i - 1 - n[0] : i - 1].index];

			if (i > n[0] && uses_name(&sides[0], name))
				continue;
			k.name = keep_text(d, mem_strdup(name));
			names_find(&k);
		}
		spans_pair(&a, &b, add_pair, &w);
		cases_done(&k);
	}
	emit(&k, g);
	free(k.names[0]);
	free(k.names[1]);
	free(a.list);
	free(b.list);
}
