/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A set of other sets' objects, and sets as a whole: sorted, each object once. A set that
 * shares most of its parts with a finished one is made of that one's order: what is gone is
 * left out, what has come is put in its place, and only that is looked at.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "policy/doc_priv.h"

struct doc_set *doc_set_ref(struct doc_set *set)
{
	set->n_shared++;
	return set;
}

void doc_set_add_part(struct doc_set *set, struct doc_set *part)
{
	MEM_GROW(set->parts, set->n_parts);
	set->parts[set->n_parts++] = doc_set_ref(part);
}

void doc_set_move(struct doc_set *set, int before)
{
	for (size_t i = 0; i < set->n_files; i++)
		set->files[i]->before = before;
}

/* ---- the sets that have objects of their own ---- */

struct leaves {
	const struct doc_set **list;
	size_t n;
};

static void leaves_add(struct leaves *l, const struct doc_set *set)
{
	for (size_t i = 0; i < set->n_parts; i++)
		leaves_add(l, set->parts[i]);
	if (set->n_parts)
		return;
	MEM_GROW(l->list, l->n);
	l->list[l->n++] = set;
}

#define FEW_PARTS 64 /* with more of them changed, sorting anew is cheaper than asking */

/* Its index in other, from `from` on and then from the start: most stand in the same order. */
static size_t part_find(const struct doc_set *other, const struct doc_set *part, size_t from)
{
	for (size_t i = from; i < other->n_parts; i++)
		if (other->parts[i] == part)
			return i;
	for (size_t i = 0; i < from; i++)
		if (other->parts[i] == part)
			return i;
	return SIZE_MAX;
}

/* Of the parts that other does not have. False: there are many. */
static bool leaves_beyond(struct leaves *l, const struct doc_set *set, const struct doc_set *other)
{
	size_t from = 0, n = 0;

	for (size_t i = 0; i < set->n_parts; i++) {
		size_t at = part_find(other, set->parts[i], from);

		if (at != SIZE_MAX) {
			from = at + 1;
			continue;
		}
		if (++n > FEW_PARTS)
			return false;
		leaves_add(l, set->parts[i]);
	}
	return true;
}

static void leaves_done(struct leaves *l)
{
	free(l->list);
}
#define __cleanup_leaves __cleanup(leaves_done)

/* A copy of all their objects of a kind, in their order. */
static struct doc_array leaves_array(const struct leaves *l, const struct doc_kind_info *k)
{
	struct doc_array all = {0};
	char *out;

	for (size_t i = 0; i < l->n; i++)
		all.n += doc_array_get(l->list[i], k).n;
	if (all.n == 0)
		return all;
	all.items = out = mem_resize(NULL, all.n, k->size);
	for (size_t i = 0; i < l->n; i++) {
		struct doc_array a = doc_array_get(l->list[i], k);

		if (a.n)
			out = mempcpy(out, a.items, a.n * k->size);
	}
	return all;
}

/* ---- in order ---- */

/* All that is of the kind or shares its array: each array once. */
static bool kind_is_first(size_t kind)
{
	return kind == 0 || doc_kinds[kind].items != doc_kinds[kind - 1].items;
}

static int cmp_names(const struct doc_meta *x, const struct doc_meta *y)
{
	int c = strcmp(x->namespace, y->namespace);

	return c ? c : strcmp(x->name, y->name);
}

static int cmp_metas(const void *a, const void *b)
{
	const struct doc_meta *x = a, *y = b;
	int c = cmp_names(x, y);

	if (c == 0)
		c = strcmp(doc_src_file(&x->src), doc_src_file(&y->src));
	return c ? c : doc_src_line(&x->src) - doc_src_line(&y->src);
}

static int cmp_apart(const void *a, const void *b)
{
	return cmp_metas(*(const struct doc_meta *const *)a, *(const struct doc_meta *const *)b);
}

static void array_sort(struct doc_array a, const struct doc_kind_info *k)
{
	if (a.n)
		qsort(a.items, a.n, k->size, k->apart ? cmp_apart : cmp_metas);
}

static int fail_twice(const struct doc_meta *x, const struct doc_meta *y, struct err *e)
{
	return err_set(e, -EEXIST, "%s:%d: metadata.name: %s %s%s%s given already in %s:%d",
		       doc_src_file(&y->src), doc_src_line(&y->src), doc_kinds[y->kind].name,
		       y->namespace, *y->namespace ? "/" : "", y->name, doc_src_file(&x->src),
		       doc_src_line(&x->src));
}

static int sort_kind(struct doc_set *set, const struct doc_kind_info *k, struct err *e)
{
	struct doc_array a = doc_array_get(set, k);

	array_sort(a, k);
	for (size_t i = 1; i < a.n; i++) {
		const struct doc_meta *x = doc_array_at(a, k, i - 1), *y = doc_array_at(a, k, i);

		if (cmp_names(x, y) == 0)
			return fail_twice(x, y, e);
	}
	return 0;
}

/* All of its parts' objects, if it has parts, each kind in order. */
static int sort_all(struct doc_set *set, struct err *e)
{
	__cleanup_leaves struct leaves l = {0};

	leaves_add(&l, set);
	for (size_t i = 0; i < DOC_KINDS; i++) {
		int r;

		if (!kind_is_first(i))
			continue;
		if (set->n_parts)
			doc_array_put(set, &doc_kinds[i], leaves_array(&l, &doc_kinds[i]));
		r = sort_kind(set, &doc_kinds[i], e);
		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- what has changed ---- */

struct change {
	struct leaves gone, come;
	size_t n; /* objects of both */
};

static void change_done(struct change *c)
{
	leaves_done(&c->gone);
	leaves_done(&c->come);
}

static void change_note(struct change *c, struct leaves *l, const struct doc_set *leaf)
{
	MEM_GROW(l->list, l->n);
	l->list[l->n++] = leaf;
	for (size_t i = 0; i < DOC_KINDS; i++)
		if (kind_is_first(i))
			c->n += doc_array_get(leaf, &doc_kinds[i]).n;
}

/*
 * By place, when nothing came or went; else all between what both begin and end with: to take
 * an object out and to put it in again does no harm.
 */
static void change_find(struct change *c, const struct leaves *old, const struct leaves *now)
{
	size_t first = 0, last = 0, least = old->n < now->n ? old->n : now->n;
	bool by_place = old->n == now->n;

	while (first < least && old->list[first] == now->list[first])
		first++;
	while (last < least - first && old->list[old->n - 1 - last] == now->list[now->n - 1 - last])
		last++;
	for (size_t i = first; i < old->n - last; i++)
		if (!by_place || old->list[i] != now->list[i])
			change_note(c, &c->gone, old->list[i]);
	for (size_t i = first; i < now->n - last; i++)
		if (!by_place || old->list[i] != now->list[i])
			change_note(c, &c->come, now->list[i]);
}

static bool leaves_say_gateways(const struct leaves *l)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->list[i]->n_gateways)
			return true;
	return false;
}

/* ---- the old order, without what is gone and with what has come ---- */

struct merge {
	const struct doc_kind_info *k;
	struct doc_array old, gone, come; /* sorted */
	size_t next_old, next_gone;	  /* what is to be copied, what is to be left out */
	char *out;
};

static void merge_done(struct merge *m)
{
	free(m->gone.items);
	free(m->come.items);
}

static void merge_copy(struct merge *m, size_t upto)
{
	size_t n = upto - m->next_old;

	if (n)
		m->out = mempcpy(m->out, m->old.items + m->next_old * m->k->size, n * m->k->size);
	m->next_old = upto;
}

/* The first of the old ones that does not come before it. */
static size_t merge_place(const struct merge *m, const struct doc_meta *meta)
{
	size_t lo = m->next_old, hi = m->old.n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (cmp_names(doc_array_at(m->old, m->k, mid), meta) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* Those that are gone are among the old ones. */
static void merge_upto(struct merge *m, const struct doc_meta *meta)
{
	while (m->next_gone < m->gone.n) {
		const struct doc_meta *gone = doc_array_at(m->gone, m->k, m->next_gone);

		if (meta && cmp_names(gone, meta) > 0)
			break;
		merge_copy(m, merge_place(m, gone));
		m->next_old++;
		m->next_gone++;
	}
	merge_copy(m, meta ? merge_place(m, meta) : m->old.n);
}

/* False: an object is given twice. */
static bool merge_all(struct merge *m)
{
	for (size_t i = 0; i < m->come.n; i++) {
		const struct doc_meta *meta = doc_array_at(m->come, m->k, i);

		merge_upto(m, meta);
		if ((i > 0 && cmp_names(doc_array_at(m->come, m->k, i - 1), meta) == 0) ||
		    (m->next_old < m->old.n &&
		     cmp_names(doc_array_at(m->old, m->k, m->next_old), meta) == 0))
			return false;
		m->out = mempcpy(m->out, m->come.items + i * m->k->size, m->k->size);
	}
	merge_upto(m, NULL);
	return true;
}

static bool merge_kind(struct doc_set *set, const struct doc_set *before,
		       const struct change *change, const struct doc_kind_info *k)
{
	__cleanup(merge_done) struct merge m = {
		.k = k,
		.old = doc_array_get(before, k),
		.gone = leaves_array(&change->gone, k),
		.come = leaves_array(&change->come, k),
	};
	struct doc_array a = {.n = m.old.n + m.come.n - m.gone.n};

	array_sort(m.gone, k);
	array_sort(m.come, k);
	a.items = m.out = mem_resize(NULL, a.n, k->size);
	doc_array_put(set, k, a);
	return merge_all(&m);
}

/* What was right with the same gateways still is. */
static int check_change(const struct doc_set *set, const struct change *change, struct err *e)
{
	const struct doc_kind_info *policies = &doc_kinds[DOC_EGRESS_POLICY];
	struct doc_array come;
	int r = doc_check_overlaps(set, e);

	if (r < 0 || leaves_say_gateways(&change->gone) || leaves_say_gateways(&change->come))
		return r < 0 ? -EINVAL : doc_check_vias(set, e);
	come = leaves_array(&change->come, policies);
	array_sort(come, policies);
	for (size_t i = 0; r == 0 && i < come.n; i++)
		r = doc_check_policy_vias(set, (const void *)doc_array_at(come, policies, i), e);
	free(come.items);
	return r;
}

static void arrays_free(struct doc_set *set)
{
	for (size_t i = 0; i < DOC_KINDS; i++) {
		free(doc_array_get(set, &doc_kinds[i]).items);
		doc_array_put(set, &doc_kinds[i], (struct doc_array){0});
	}
}

/* When more has changed, sorting anew is cheaper. */
static bool change_is_small(const struct change *c, const struct doc_set *before)
{
	return c->n < 16 + before->n_policies / 4;
}

static bool change_since(struct change *c, const struct doc_set *set, const struct doc_set *before)
{
	__cleanup_leaves struct leaves old = {0}, now = {0};

	if (!before || !leaves_beyond(&old, before, set) || !leaves_beyond(&now, set, before))
		return false;
	change_find(c, &old, &now);
	return change_is_small(c, before);
}

/* False: an object is given twice, and set is as it was. */
static bool merge_set(struct doc_set *set, const struct doc_set *before,
		      const struct change *change)
{
	for (size_t i = 0; i < DOC_KINDS; i++) {
		if (!kind_is_first(i) || merge_kind(set, before, change, &doc_kinds[i]))
			continue;
		arrays_free(set);
		return false;
	}
	return true;
}

int doc_set_finish_after(struct doc_set *set, const struct doc_set *before, struct err *e)
{
	__cleanup(change_done) struct change change = {0};
	int r;

	if (change_since(&change, set, before) && merge_set(set, before, &change))
		return check_change(set, &change, e);
	r = sort_all(set, e);
	if (r < 0)
		return r;
	return doc_check_overlaps(set, e) < 0 ? -EINVAL : doc_check_vias(set, e);
}

int doc_set_finish(struct doc_set *set, struct err *e)
{
	return doc_set_finish_after(set, NULL, e);
}
