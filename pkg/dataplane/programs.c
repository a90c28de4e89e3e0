/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables remember what stands in the kernel: for each policy a hash of its whole
 * meaning (destinations, ranges, rules, identities down to address ids, sets, names) and
 * the places it occupies. A restart reads the meaning back and finds nothing to do; an
 * edit finds the policies whose meaning changed, and its cost is theirs.
 */
#include "dataplane/programs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "dataplane/programs_priv.h"

static const size_t element_sizes[PLACE_COUNT] = {
	[PLACE_NODE] = sizeof(struct slu_tree_node),	[PLACE_RANGE] = sizeof(struct slu_range),
	[PLACE_RULE] = sizeof(struct slu_rule),		[PLACE_PICK] = sizeof(uint32_t),
	[PLACE_IDENTITY] = sizeof(struct slu_identity),
};

struct dp_identity *dp_identities_new(const struct compiled *c, const uint32_t *addr_ids,
				      size_t *ret_n)
{
	const struct identity *list = compiled_identities(c, ret_n);
	struct dp_identity *ret = mem_alloc0(*ret_n * sizeof(*ret));

	for (size_t i = 0; i < *ret_n; i++) {
		struct dp_identity *to = &ret[i];

		to->or_node = list[i].or_node;
		to->by_flow = list[i].per_flow;
		for (int f = 0; f < 2; f++) {
			to->n[f] = (uint16_t)list[i].n_picks[f];
			to->none[f] = list[i].none[f];
			to->picks[f] = mem_alloc0(to->n[f] * sizeof(uint32_t));
			for (size_t k = 0; k < to->n[f]; k++)
				to->picks[f][k] = addr_ids[list[i].picks[f][k]];
		}
	}
	return ret;
}

void dp_identities_free(struct dp_identity *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(list[i].picks[0]);
		free(list[i].picks[1]);
	}
	free(list);
}

void *writes_add(struct writes *w, uint32_t first, uint32_t n)
{
	void *at;

	if (w->n + n > w->room) {
		w->room = (w->n + n) * 2;
		w->values = mem_resize(w->values, w->room, w->size);
	}
	at = w->values + w->n * w->size;
	w->n += n;
	runs_add(&w->runs, first, n);
	return at;
}

int places_take(struct planner *pl, enum place_kind kind, uint32_t n, uint32_t *ret_first)
{
	static const char *const full[PLACE_COUNT] = {
		[PLACE_NODE] = "map tree: more than %u nodes in use",
		[PLACE_RANGE] = "map ranges: more than %u port ranges in use",
		[PLACE_RULE] = "map rules: more than %u rules in use",
		[PLACE_PICK] = "map picks: more than %u addresses to pick from",
		[PLACE_IDENTITY] = "map identities: more than %u identities in use",
	};
	const struct space *s = &pl->p->spaces[kind];

	if (space_take(&pl->p->spaces[kind], n, ret_first))
		return 0;
	return err_set(pl->e, -ENOSPC, full[kind], s->max);
}

/* ---- the plan ---- */

static int program_plan(struct planner *pl, const struct dp_program *d)
{
	const struct table_policy *have = tables_find(pl->t, d->id);
	__cleanup(draft_done) struct draft dr = {0};
	struct programs_plan *p = pl->p;
	int r = draft_make(pl, d, &dr);

	if (r < 0 || (have && have->meaning == dr.meaning))
		return r;
	if (!have && pl->t->n_policies + p->n_added == SLU_MAX_POLICIES)
		return err_set(pl->e, -ENOSPC, "map policies: more than %u combinations in use",
			       SLU_MAX_POLICIES);
	p->n_added += !have;
	MEM_GROW(p->sets, p->n_sets);
	p->sets[p->n_sets] = mem_alloc0(sizeof(struct table_policy));
	return draft_encode(pl, &dr, p->sets[p->n_sets++]);
}

/* ---- a program for which there is no room ---- */

/* How far the plan had come. What was taken since is what is written since. */
struct mark {
	struct {
		size_t n, runs;
		uint32_t last;	     /* length of the last run */
		uint32_t size, next; /* of the space */
	} writes[PLACE_COUNT];
	size_t n_names, n_sets, n_added, n_identities, n_trees, n_classes;
};

static void mark_make(const struct programs_plan *p, struct mark *ret)
{
	*ret = (struct mark){.n_names = p->n_names,
			     .n_sets = p->n_sets,
			     .n_added = p->n_added,
			     .n_identities = p->n_identities,
			     .n_trees = p->n_trees,
			     .n_classes = p->n_classes};
	for (int i = 0; i < PLACE_COUNT; i++) {
		const struct runs *runs = &p->writes[i].runs;

		ret->writes[i].n = p->writes[i].n;
		ret->writes[i].runs = runs->n;
		ret->writes[i].last = runs->n ? runs->items[runs->n - 1].n : 0;
		ret->writes[i].size = p->spaces[i].size;
		ret->writes[i].next = p->spaces[i].next;
	}
}

static void places_undo(struct programs_plan *p, const struct mark *m, int kind)
{
	struct runs *runs = &p->writes[kind].runs;
	size_t had = m->writes[kind].runs;

	for (size_t i = had ? had - 1 : 0; i < runs->n; i++) {
		uint32_t stays = i + 1 == had ? m->writes[kind].last : 0;

		space_give_back(&p->spaces[kind], runs->items[i].first + stays,
				runs->items[i].n - stays);
		runs->items[i].n = stays;
	}
	runs->n = had;
	p->spaces[kind].size = m->writes[kind].size;
	p->spaces[kind].next = m->writes[kind].next;
	p->writes[kind].n = m->writes[kind].n;
}

static void trees_undo(struct planner *pl, size_t had)
{
	struct programs_plan *p = pl->p;

	for (; p->n_trees > had; p->n_trees--) {
		struct plan_tree *t = &p->trees[p->n_trees - 1];

		for (size_t i = 0; i < pl->want->n_sets; i++)
			if (pl->trees[i] == t->tree)
				pl->trees[i] = NULL;
		if (t->fresh)
			tree_free(t->tree);
	}
}

static void classes_undo(struct programs_plan *p, size_t had)
{
	for (; p->n_classes > had; p->n_classes--) {
		class_table_remove(&p->class_index, p->classes[p->n_classes - 1]);
		free(p->classes[p->n_classes - 1]);
	}
}

static void plan_undo(struct planner *pl, const struct mark *m)
{
	struct programs_plan *p = pl->p;

	for (int i = 0; i < PLACE_COUNT; i++)
		places_undo(p, m, i);
	trees_undo(pl, m->n_trees);
	classes_undo(p, m->n_classes);
	while (p->n_sets > m->n_sets)
		policy_free(p->sets[--p->n_sets]);
	p->n_added = m->n_added;
	p->n_names = m->n_names;
	p->n_identities = m->n_identities;
	if (pl->want->n_identities) /* they are found again, or made */
		memset(pl->slots, 0, pl->want->n_identities * sizeof(*pl->slots));
}

static void plan_refuse(struct programs_plan *p, uint32_t id, const struct err *e)
{
	if (!p->n_refused)
		p->refusal = *e;
	MEM_GROW(p->refused, p->n_refused);
	p->refused[p->n_refused++] = id;
}

static int program_try(struct planner *pl, const struct dp_program *d)
{
	struct err local = {0}, *e = pl->e;
	struct mark m;
	int r;

	mark_make(pl->p, &m);
	pl->e = &local;
	r = program_plan(pl, d);
	pl->e = e;
	if (r == -ENOSPC) {
		plan_undo(pl, &m);
		plan_refuse(pl->p, d->id, &local);
		return 0;
	}
	if (r < 0 && e)
		*e = local;
	return r;
}

static bool id_in(const uint32_t *sorted, size_t n, uint32_t id)
{
	return n && bsearch(&id, sorted, n, sizeof(id), id_cmp);
}

static void retires_plan(struct planner *pl)
{
	const struct dp_programs *want = pl->want;
	__cleanup_free uint32_t *ids = mem_alloc0(want->n * sizeof(*ids));
	struct programs_plan *p = pl->p;

	if (want->keep_all)
		return;
	for (size_t i = 0; i < want->n; i++)
		ids[i] = want->items[i].id;
	if (want->n)
		qsort(ids, want->n, sizeof(*ids), id_cmp);
	for (size_t i = 0; i < pl->t->n_policies; i++) {
		uint32_t id = pl->t->policies[i]->id;

		if (id_in(ids, want->n, id) || id_in(want->keep, want->n_keep, id))
			continue;
		MEM_GROW(p->retires, p->n_retires);
		p->retires[p->n_retires++] = id;
	}
}

int programs_plan_new(const struct dp_tables *t, const struct dp_programs *want,
		      struct programs_plan **ret, struct err *e)
{
	__cleanup(programs_plan_freep) struct programs_plan *p = mem_alloc0(sizeof(*p));
	__cleanup_free uint32_t *slots = mem_alloc0(want->n_identities * sizeof(*slots));
	__cleanup_free uint64_t *meaning = mem_alloc0(want->n_identities * sizeof(*meaning));
	__cleanup_free struct table_tree **trees = mem_alloc0(want->n_sets * sizeof(*trees));
	struct planner pl = {t, want, p, slots, meaning, trees, e};

	for (int i = 0; i < PLACE_COUNT; i++) {
		p->spaces[i] = space_plan(&t->spaces[i]);
		p->writes[i].size = element_sizes[i];
	}
	for (size_t i = 0; i < want->n; i++) {
		int r = program_try(&pl, &want->items[i]);

		if (r < 0)
			return r;
	}
	retires_plan(&pl);
	*ret = TAKE(p);
	return 0;
}

void programs_plan_free(struct programs_plan *p)
{
	if (!p)
		return;
	for (int i = 0; i < PLACE_COUNT; i++) {
		space_done(&p->spaces[i]);
		free(p->writes[i].runs.items);
		free(p->writes[i].values);
	}
	for (size_t i = 0; i < p->n_sets; i++)
		policy_free(p->sets[i]);
	for (size_t i = 0; i < p->n_trees; i++)
		if (p->trees[i].fresh)
			tree_free(p->trees[i].tree);
	class_table_done(&p->class_index);
	free(p->classes);
	free(p->names);
	free(p->sets);
	free(p->identities);
	free(p->trees);
	free(p->retires);
	free(p->refused);
	free(p);
}

size_t programs_plan_sets(const struct programs_plan *p)
{
	return p->n_sets;
}

bool programs_plan_has(const struct programs_plan *p, uint32_t policy)
{
	for (size_t i = 0; i < p->n_sets; i++)
		if (p->sets[i]->id == policy)
			return true;
	return false;
}

size_t programs_plan_refused(const struct programs_plan *p, struct err *e)
{
	if (p->n_refused && e)
		*e = p->refusal;
	return p->n_refused;
}

bool programs_plan_refuses(const struct programs_plan *p, uint32_t policy)
{
	for (size_t i = 0; i < p->n_refused; i++)
		if (p->refused[i] == policy)
			return true;
	return false;
}

size_t programs_plan_retires(const struct programs_plan *p)
{
	return p->n_retires;
}

void programs_commit(struct dp_tables *t, struct programs_plan *p)
{
	for (int i = 0; i < PLACE_COUNT; i++)
		space_adopt(&t->spaces[i], &p->spaces[i]);
	for (size_t i = 0; i < p->n_identities; i++)
		t->identities[p->identities[i].slot] = (struct table_identity){
			.v = p->identities[i].v, .meaning = p->identities[i].meaning};
	for (size_t i = 0; i < p->n_trees; i++) {
		p->trees[i].tree->key = p->trees[i].key;
		if (p->trees[i].fresh)
			tables_tree_add(t, p->trees[i].tree);
		p->trees[i].fresh = false;
	}
	for (size_t i = 0; i < p->n_classes; i++) {
		class_table_remove(&p->class_index, p->classes[i]);
		class_table_add(&t->classes, p->classes[i]);
	}
	p->n_classes = 0;
	tables_put(t, p->sets, p->n_sets);
	p->n_sets = 0;
	tables_remove(t, p->retires, p->n_retires);
}
