/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One program: first what it means, from which it shows whether the kernel has it
 * already; then, if not, its rules, classes, destinations, sets and names in new places.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "dataplane/programs_priv.h"

_Static_assert(sizeof(struct cell) == sizeof(struct slu_cell), "one representation");
_Static_assert(CELL_NONE == SLU_NO_RULE && CELL_STEPS == SLU_STEPS, "one representation");
_Static_assert(PROGRAM_MAX_SETS <= SLU_MAX_SETS, "a policy has room for all");
_Static_assert((int)ACTION_NONE == SLU_NO_ACTION && (int)ACTION_ALLOW == SLU_ALLOW &&
		       (int)ACTION_DENY == SLU_DENY && (int)ACTION_REJECT == SLU_REJECT &&
		       (int)ACTION_PASS == SLU_PASS,
	       "one numbering");

static struct slu_cell cell_make(const struct cell *c)
{
	struct slu_cell v;

	memcpy(&v, c, sizeof(v));
	return v;
}

/* ---- meaning ---- */

static uint64_t identity_meaning(struct planner *pl, uint32_t i)
{
	if (i == 0 || i == IDENTITY_NONE)
		return 0;
	if (!pl->meaning[i])
		pl->meaning[i] = meaning_identity(&pl->want->identities[i]);
	return pl->meaning[i];
}

static struct slu_rule rule_make(const struct flat_rule *f, uint32_t counter)
{
	struct slu_rule v = {.counter = counter};

	v.action = (uint8_t)(f->rule ? f->rule->action : f->policy->default_action);
	if (f->rule && f->rule->log)
		v.flags |= SLU_RULE_LOG;
	if (f->identity != IDENTITY_NONE)
		v.flags |= SLU_RULE_VIA;
	return v;
}

static void rules_draft(struct planner *pl, struct draft *dr, struct meaning *m)
{
	const struct program *prog = dr->d->program;

	dr->rules = mem_alloc0(prog->n_rules * sizeof(*dr->rules));
	for (size_t i = 0; i < prog->n_rules; i++) {
		dr->rules[i] = rule_make(prog->rules[i], dr->d->counters ? dr->d->counters[i] : 0);
		meaning_rule(m, &dr->rules[i], identity_meaning(pl, prog->rules[i]->identity));
	}
}

static uint64_t class_meaning(const struct class *c)
{
	uint64_t h = 0;

	for (size_t i = 0; i < c->n; i++) {
		struct slu_cell cell = cell_make(&c->ranges[i].cell);

		h = meaning_range(h, c->ranges[i].lo, &cell);
	}
	return h;
}

int draft_make(struct planner *pl, const struct dp_program *d, struct draft *ret)
{
	const struct program *prog = d->program;
	struct meaning m = {0};

	*ret = (struct draft){.d = d};
	rules_draft(pl, ret, &m);
	ret->classes = mem_alloc0(prog->n_classes * sizeof(*ret->classes));
	for (size_t i = 0; i < prog->n_classes; i++)
		ret->classes[i] = class_meaning(&prog->classes[i]);
	program_intervals(prog, &ret->dests, &ret->n_dests);
	for (size_t i = 0; i < ret->n_dests; i++)
		m.dests = meaning_interval(m.dests, ret->dests[i].first,
					   ret->classes[ret->dests[i].class]);
	for (size_t i = 0; i < prog->n_sets; i++) {
		struct table_tree *tree;
		int r = set_tree(pl, prog->sets[i].index, &tree);

		if (r < 0)
			return r;
		meaning_set(&m, tree->meaning, ret->classes[prog->sets[i].class]);
	}
	for (size_t i = 0; i < prog->n_names; i++) {
		uint32_t name = pl->want->names[prog->names[i].index];

		if (!name)
			return err_set(pl->e, -ENOSPC, "map patterns: more than %u names of rules",
				       SLU_MAX_PATTERNS);
		meaning_name(&m, name, ret->classes[prog->names[i].class]);
	}
	ret->meaning = meaning_end(&m);
	return 0;
}

void draft_done(struct draft *d)
{
	free(d->dests);
	free(d->rules);
	free(d->classes);
	*d = (struct draft){0};
}

/* ---- identities ---- */

static int picks_place(struct planner *pl, const struct dp_identity *d, int family, uint32_t *ret)
{
	uint32_t n = d->n[family];
	int r;

	*ret = 0;
	if (n == 0)
		return 0;
	r = places_take(pl, PLACE_PICK, n, ret);
	if (r == 0)
		memcpy(writes_add(&pl->p->writes[PLACE_PICK], *ret, n), d->picks[family],
		       n * sizeof(uint32_t));
	return r;
}

static uint32_t identity_find(const struct planner *pl, uint64_t meaning)
{
	const struct programs_plan *p = pl->p;

	for (size_t i = 0; i < p->n_identities; i++)
		if (p->identities[i].meaning == meaning)
			return p->identities[i].slot;
	return tables_identity(pl->t, meaning);
}

static int identity_new(struct planner *pl, uint32_t i, uint32_t *ret)
{
	const struct dp_identity *d = &pl->want->identities[i];
	struct plan_identity id = {
		.meaning = identity_meaning(pl, i),
		.v = {.n = {d->n[0], d->n[1]},
		      .none = {d->none[0], d->none[1]},
		      .or_node = d->or_node,
		      .by_flow = d->by_flow},
	};
	void *to;
	int r = places_take(pl, PLACE_IDENTITY, 1, &id.slot);

	if (r < 0)
		return r;
	to = writes_add(&pl->p->writes[PLACE_IDENTITY], id.slot, 1);
	for (int f = 0; r == 0 && f < 2; f++)
		r = picks_place(pl, d, f, &id.v.first[f]);
	if (r < 0)
		return r;
	memcpy(to, &id.v, sizeof(id.v));
	MEM_GROW(pl->p->identities, pl->p->n_identities);
	pl->p->identities[pl->p->n_identities++] = id;
	*ret = id.slot;
	return 0;
}

static int identity_place(struct planner *pl, uint32_t i, uint32_t *ret)
{
	int r = 0;

	*ret = 0;
	if (i == 0 || i == IDENTITY_NONE)
		return 0;
	if (!pl->slots[i])
		pl->slots[i] = identity_find(pl, identity_meaning(pl, i));
	if (!pl->slots[i])
		r = identity_new(pl, i, &pl->slots[i]);
	*ret = pl->slots[i];
	return r;
}

/* ---- the program ---- */

static int rules_encode(struct planner *pl, const struct draft *dr, struct table_policy *ret)
{
	const struct program *prog = dr->d->program;
	struct slu_rule *to;
	int r;

	ret->v.n_rules = (uint32_t)prog->n_rules;
	ret->counters = mem_alloc0(prog->n_rules * sizeof(*ret->counters));
	if (prog->n_rules == 0)
		return 0;
	r = places_take(pl, PLACE_RULE, ret->v.n_rules, &ret->v.first_rule);
	if (r < 0)
		return r;
	to = writes_add(&pl->p->writes[PLACE_RULE], ret->v.first_rule, ret->v.n_rules);
	for (size_t i = 0; i < prog->n_rules; i++) {
		uint32_t slot;

		r = identity_place(pl, prog->rules[i]->identity, &slot);
		if (r < 0)
			return r;
		if (slot)
			policy_refers(ret, slot);
		to[i] = dr->rules[i];
		to[i].identity = (uint16_t)slot;
		ret->counters[i] = to[i].counter;
	}
	return 0;
}

static int class_new(struct planner *pl, const struct class *c, uint64_t meaning,
		     struct table_class **ret)
{
	struct programs_plan *p = pl->p;
	struct table_class v = {.meaning = meaning, .n = (uint32_t)c->n};
	struct slu_range *to;
	int r = places_take(pl, PLACE_RANGE, v.n, &v.first);

	if (r < 0)
		return r;
	to = writes_add(&p->writes[PLACE_RANGE], v.first, v.n);
	for (size_t i = 0; i < c->n; i++)
		to[i] = (struct slu_range){
			.lo = i ? c->ranges[i].lo : v.n,
			.cell = cell_make(&c->ranges[i].cell),
		};
	*ret = mem_dup(&v, sizeof(v));
	MEM_GROW(p->classes, p->n_classes);
	p->classes[p->n_classes++] = *ret;
	class_table_add(&p->class_index, *ret);
	return 0;
}

/* One that the kernel has, if there is one that says the same. */
static int class_place(struct planner *pl, const struct class *c, uint64_t meaning,
		       struct table_class **ret)
{
	*ret = class_table_find(&pl->t->classes, meaning, (uint32_t)c->n);
	if (!*ret)
		*ret = class_table_find(&pl->p->class_index, meaning, (uint32_t)c->n);
	return *ret ? 0 : class_new(pl, c, meaning, ret);
}

static int classes_encode(struct planner *pl, const struct draft *dr, uint32_t *classes,
			  struct table_policy *ret)
{
	const struct program *prog = dr->d->program;

	ret->classes = mem_alloc0(prog->n_classes * sizeof(struct table_class *));
	for (size_t i = 0; i < prog->n_classes; i++) {
		int r = class_place(pl, &prog->classes[i], dr->classes[i], &ret->classes[i]);

		if (r < 0)
			return r;
		ret->n_classes++;
		classes[i] = ret->classes[i]->first;
	}
	return 0;
}

static int dests_encode(struct planner *pl, const struct draft *dr, const uint32_t *classes,
			struct table_policy *ret)
{
	__cleanup_free struct tree_interval *v = mem_alloc0(dr->n_dests * sizeof(*v));

	for (size_t i = 0; i < dr->n_dests; i++)
		v[i] = (struct tree_interval){dr->dests[i].first, classes[dr->dests[i].class]};
	return tree_place(pl, v, dr->n_dests, &ret->nodes, &ret->v.root);
}

static int sets_encode(struct planner *pl, const struct program *prog, const uint32_t *classes,
		       struct table_policy *ret)
{
	for (size_t i = 0; i < prog->n_sets; i++) {
		int r = set_tree(pl, prog->sets[i].index, &ret->trees[i]);

		if (r < 0)
			return r;
		ret->v.sets[i] = (struct slu_set_ref){ret->trees[i]->root,
						      classes[prog->sets[i].class]};
	}
	ret->v.n_sets = (uint32_t)prog->n_sets;
	return 0;
}

/* Old and new ones are there side by side until the old ones are let go. */
static size_t names_used(const struct planner *pl)
{
	size_t n = pl->t->n_old_names + pl->p->n_names;

	for (size_t i = 0; i < pl->t->n_policies; i++)
		n += pl->t->policies[i]->n_names;
	return n;
}

static int names_encode(struct planner *pl, const struct program *prog, const uint32_t *classes,
			struct table_policy *ret)
{
	struct programs_plan *p = pl->p;

	if (prog->n_names && names_used(pl) + prog->n_names > SLU_MAX_NAME_CLASSES)
		return err_set(pl->e, -ENOSPC, "map name_classes: more than %u names of policies",
			       SLU_MAX_NAME_CLASSES);
	if (prog->n_names)
		ret->v.flags |= SLU_POLICY_NAMES;
	for (size_t i = 0; i < prog->n_names; i++) {
		uint32_t name = pl->want->names[prog->names[i].index];

		MEM_GROW(p->names, p->n_names);
		p->names[p->n_names++] = (struct name_write){{ret->v.root, name},
							     classes[prog->names[i].class]};
		MEM_GROW(ret->names, ret->n_names);
		ret->names[ret->n_names++] = name;
	}
	return 0;
}

int draft_encode(struct planner *pl, const struct draft *dr, struct table_policy *ret)
{
	const struct program *prog = dr->d->program;
	__cleanup_free uint32_t *classes = mem_alloc0(prog->n_classes * sizeof(*classes));
	int r;

	ret->id = dr->d->id;
	ret->meaning = dr->meaning;
	r = rules_encode(pl, dr, ret);
	if (r == 0)
		r = classes_encode(pl, dr, classes, ret);
	if (r == 0)
		r = dests_encode(pl, dr, classes, ret);
	if (r == 0)
		r = sets_encode(pl, prog, classes, ret);
	return r < 0 ? r : names_encode(pl, prog, classes, ret);
}
