/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables remember what stands in the kernel: for each policy a hash of its whole
 * meaning (prefixes, ranges, verdicts, identities down to address ids) and the places
 * it occupies. A restart reads the meaning back and finds nothing to do; an edit finds
 * the policies whose meaning changed.
 *
 * A program's ranges are one block. Identities are shared between programs, found by
 * content. Places are given out next-fit, so one that was freed rests the longest.
 */
#include "dataplane/programs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "dataplane/programs_tables.h"

struct array_write {
	uint32_t index;
	union {
		struct slu_range range;
		struct slu_identity identity;
		uint32_t pick;
	};
};

struct writes {
	struct array_write *items;
	size_t n;
};

struct policy_write {
	struct slu_lpm_key *keys;
	struct slu_class *classes;
	size_t n;
	struct table_policy place; /* becomes the tables' entry */
};

struct programs_plan {
	struct writes ranges, picks, identities;
	struct policy_write *sets;
	size_t n_sets;
	uint32_t *retires;
	size_t n_retires;
	/* the tables' occupation with everything old and new in it */
	struct table_space space;
};

/* What one run of the planner works on. */
struct planner {
	const struct dp_tables *t;
	const struct dp_programs *want;
	struct programs_plan *p;
	uint32_t *slots;   /* by compiled identity: its place, 0 = not looked for yet */
	uint64_t *meaning; /* by compiled identity: hash of its content, 0 = not yet */
};

static struct array_write *write_add(struct writes *w, uint32_t index)
{
	MEM_GROW(w->items, w->n);
	w->items[w->n] = (struct array_write){.index = index};
	return &w->items[w->n++];
}

/* ---- identities ---- */

static uint64_t identity_meaning(struct planner *pl, uint32_t i)
{
	const struct dp_identity *d = &pl->want->identities[i];

	if (i == 0)
		return 0;
	if (!pl->meaning[i])
		pl->meaning[i] = table_identity_hash(d);
	return pl->meaning[i];
}

static int picks_place(struct planner *pl, const struct dp_identity *d, int family, uint32_t *ret)
{
	uint32_t n = d->n[family], first;

	*ret = 0;
	if (n == 0)
		return 0;
	if (!space_take(&pl->p->space.picks, n, &first))
		return -ENOSPC;
	for (uint32_t k = 0; k < n; k++)
		write_add(&pl->p->picks, first + k)->pick = d->picks[family][k];
	*ret = first;
	return 0;
}

static int identity_place(struct planner *pl, uint32_t i, uint32_t *ret, struct err *e)
{
	const struct dp_identity *d = &pl->want->identities[i];
	uint64_t meaning = identity_meaning(pl, i);
	struct slu_identity v = {
		.n = {d->n[0], d->n[1]}, .none = {d->none[0], d->none[1]}, .or_node = d->or_node};
	uint32_t slot;

	*ret = pl->slots[i];
	if (i == 0 || *ret)
		return 0;
	slot = space_find_identity(&pl->p->space, meaning);
	if (slot) {
		pl->slots[i] = *ret = slot;
		return 0;
	}
	if (!space_take(&pl->p->space.identities, 1, &slot))
		return err_set(e, -ENOSPC, "map identities: more than %u identities in use",
			       SLU_MAX_IDENTITIES);
	if (picks_place(pl, d, 0, &v.first[0]) < 0 || picks_place(pl, d, 1, &v.first[1]) < 0)
		return err_set(e, -ENOSPC, "map picks: more than %u addresses to pick from",
			       SLU_MAX_PICKS);
	write_add(&pl->p->identities, slot)->identity = v;
	pl->p->space.identity[slot] = v;
	pl->p->space.identity_meaning[slot] = meaning;
	pl->slots[i] = *ret = slot;
	return 0;
}

/* ---- programs ---- */

static uint64_t class_meaning(struct planner *pl, const struct class *c)
{
	uint64_t h = 0;

	for (size_t i = 0; i < c->n; i++)
		h = table_range_hash(h, c->ranges[i].lo, c->ranges[i].decision.verdict,
				     identity_meaning(pl, c->ranges[i].decision.identity));
	return h;
}

static uint64_t program_meaning(struct planner *pl, const struct program *prog)
{
	__cleanup_free uint64_t *classes = mem_alloc0(prog->n_classes * sizeof(*classes));
	uint64_t h = 0;

	for (size_t i = 0; i < prog->n_classes; i++)
		classes[i] = class_meaning(pl, &prog->classes[i]);
	for (size_t i = 0; i < prog->n_entries; i++) {
		struct slu_lpm_key key = slu_lpm_key_make(prog->entries[i].prefix);

		h += table_entry_hash(&key, classes[prog->entries[i].class]);
	}
	return h;
}

static void place_identity(struct table_policy *place, uint32_t slot)
{
	for (size_t i = 0; i < place->n_identities; i++)
		if (place->identities[i] == slot)
			return;
	MEM_GROW(place->identities, place->n_identities);
	place->identities[place->n_identities++] = (uint16_t)slot;
}

static int decision_encode(struct planner *pl, const struct decision *d, struct table_policy *place,
			   uint32_t *ret, struct err *e)
{
	uint32_t slot;
	int r = identity_place(pl, d->identity, &slot, e);

	if (r < 0)
		return r;
	if (slot)
		place_identity(place, slot);
	*ret = SLU_DECISION(d->verdict, slot);
	return 0;
}

/* *next: where the program's block of ranges goes on. */
static int class_encode(struct planner *pl, const struct class *c, struct table_policy *place,
			uint32_t *next, struct slu_class *ret, struct err *e)
{
	int r;

	if (c->n == 1) {
		ret->n = 0;
		return decision_encode(pl, &c->ranges[0].decision, place, &ret->first, e);
	}
	ret->first = *next;
	ret->n = (uint32_t)c->n;
	for (size_t i = 0; i < c->n; i++) {
		struct slu_range v = {.lo = c->ranges[i].lo};

		r = decision_encode(pl, &c->ranges[i].decision, place, &v.decision, e);
		if (r < 0)
			return r;
		write_add(&pl->p->ranges, (*next)++)->range = v;
	}
	return 0;
}

static uint32_t program_ranges(const struct program *prog)
{
	uint32_t n = 0;

	for (size_t i = 0; i < prog->n_classes; i++)
		if (prog->classes[i].n > 1)
			n += (uint32_t)prog->classes[i].n;
	return n;
}

static int program_encode(struct planner *pl, const struct dp_program *d, uint64_t meaning,
			  struct policy_write *w, struct err *e)
{
	const struct program *prog = d->program;
	__cleanup_free struct slu_class *classes = mem_alloc0(prog->n_classes * sizeof(*classes));
	uint32_t next = 0;
	int r = 0;

	w->place = (struct table_policy){.id = d->id, .meaning = meaning};
	w->place.n_ranges = program_ranges(prog);
	if (w->place.n_ranges &&
	    !space_take(&pl->p->space.ranges, w->place.n_ranges, &w->place.first))
		return err_set(e, -ENOSPC, "map ranges: more than %u port ranges in use",
			       SLU_MAX_RANGES);
	next = w->place.first;
	for (size_t i = 0; r == 0 && i < prog->n_classes; i++)
		r = class_encode(pl, &prog->classes[i], &w->place, &next, &classes[i], e);
	if (r < 0)
		return r;
	w->n = prog->n_entries;
	w->keys = mem_alloc0(w->n * sizeof(*w->keys));
	w->classes = mem_alloc0(w->n * sizeof(*w->classes));
	for (size_t i = 0; i < w->n; i++) {
		w->keys[i] = slu_lpm_key_make(prog->entries[i].prefix);
		w->classes[i] = classes[prog->entries[i].class];
	}
	return 0;
}

static int program_plan(struct planner *pl, const struct dp_program *d, struct err *e)
{
	uint64_t meaning = program_meaning(pl, d->program);
	const struct table_policy *have = tables_find(pl->t, d->id);
	struct programs_plan *p = pl->p;

	if (have && have->meaning == meaning)
		return 0;
	MEM_GROW(p->sets, p->n_sets);
	p->sets[p->n_sets] = (struct policy_write){0};
	return program_encode(pl, d, meaning, &p->sets[p->n_sets++], e);
}

static int id_cmp(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static bool id_kept(const struct dp_programs *want, uint32_t id)
{
	if (want->keep_all ||
	    (want->n_keep && bsearch(&id, want->keep, want->n_keep, sizeof(id), id_cmp)))
		return true;
	for (size_t i = 0; i < want->n; i++)
		if (want->items[i].id == id)
			return true;
	return false;
}

int programs_plan_new(const struct dp_tables *t, const struct dp_programs *want,
		      struct programs_plan **ret, struct err *e)
{
	__cleanup(programs_plan_freep) struct programs_plan *p = mem_alloc0(sizeof(*p));
	__cleanup_free uint32_t *slots = mem_alloc0(want->n_identities * sizeof(*slots));
	__cleanup_free uint64_t *meaning = mem_alloc0(want->n_identities * sizeof(*meaning));
	struct planner pl = {.t = t, .want = want, .p = p, .slots = slots, .meaning = meaning};
	int r;

	space_copy(&p->space, &t->space);
	for (size_t i = 0; i < want->n; i++) {
		r = program_plan(&pl, &want->items[i], e);
		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < t->n_policies; i++) {
		if (id_kept(want, t->policies[i].id))
			continue;
		MEM_GROW(p->retires, p->n_retires);
		p->retires[p->n_retires++] = t->policies[i].id;
	}
	*ret = TAKE(p);
	return 0;
}

void programs_plan_free(struct programs_plan *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->n_sets; i++) {
		free(p->sets[i].keys);
		free(p->sets[i].classes);
		free(p->sets[i].place.identities);
	}
	free(p->sets);
	free(p->retires);
	free(p->ranges.items);
	free(p->picks.items);
	free(p->identities.items);
	space_done(&p->space);
	free(p);
}

size_t programs_plan_sets(const struct programs_plan *p)
{
	return p->n_sets;
}

bool programs_plan_has(const struct programs_plan *p, uint32_t policy)
{
	for (size_t i = 0; i < p->n_sets; i++)
		if (p->sets[i].place.id == policy)
			return true;
	return false;
}

size_t programs_plan_retires(const struct programs_plan *p)
{
	return p->n_retires;
}

static int writes_apply(struct bpf_pins *pins, enum bpf_map map, const struct writes *w,
			struct err *e)
{
	for (size_t i = 0; i < w->n; i++) {
		int r = bpf_map_set(pins, map, &w->items[i].index, &w->items[i].range, e);

		if (r < 0)
			return r;
	}
	return 0;
}

int programs_apply(struct bpf_pins *pins, const struct programs_plan *p, struct err *e)
{
	int r;

	r = writes_apply(pins, BPF_MAP_RANGES, &p->ranges, e);
	if (r == 0)
		r = writes_apply(pins, BPF_MAP_PICKS, &p->picks, e);
	if (r == 0)
		r = writes_apply(pins, BPF_MAP_IDENTITIES, &p->identities, e);
	for (size_t i = 0; r == 0 && i < p->n_sets; i++) {
		const struct policy_write *w = &p->sets[i];

		r = bpf_policy_set(pins, w->place.id, w->keys, w->classes, w->n, e);
		if (r < 0)
			err_wrap(e, "policy %u", w->place.id);
	}
	return r;
}

int programs_retire(struct bpf_pins *pins, const struct programs_plan *p, struct err *e)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < p->n_retires; i++)
		r = bpf_map_delete(pins, BPF_MAP_POLICIES, &p->retires[i], e);
	return r;
}

void programs_commit(struct dp_tables *t, struct programs_plan *p)
{
	for (size_t i = 0; i < p->n_retires; i++)
		tables_remove(t, p->retires[i]);
	for (size_t i = 0; i < p->n_sets; i++) {
		tables_remove(t, p->sets[i].place.id);
		MEM_GROW(t->policies, t->n_policies);
		t->policies[t->n_policies++] = p->sets[i].place;
		p->sets[i].place.identities = NULL;
	}
	space_done(&t->space);
	t->space = p->space;
	p->space = (struct table_space){0};
	tables_collect(t);
}
