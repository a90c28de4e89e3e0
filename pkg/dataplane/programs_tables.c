/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/programs_tables.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/hash.h"
#include "base/mem.h"

struct dp_tables *tables_new(void)
{
	struct dp_tables *t = mem_alloc0(sizeof(*t));

	space_init(&t->spaces[PLACE_NODE], SLU_CHUNK_NODES, SLU_MAX_CHUNKS * SLU_CHUNK_NODES);
	space_init(&t->spaces[PLACE_RANGE], SLU_MAX_RANGES, SLU_MAX_RANGES);
	space_init(&t->spaces[PLACE_RULE], SLU_MAX_RULES, SLU_MAX_RULES);
	space_init(&t->spaces[PLACE_PICK], SLU_MAX_PICKS, SLU_MAX_PICKS);
	space_init(&t->spaces[PLACE_IDENTITY], SLU_MAX_IDENTITIES, SLU_MAX_IDENTITIES);
	t->identities = mem_alloc0(SLU_MAX_IDENTITIES * sizeof(*t->identities));
	space_mark(&t->spaces[PLACE_NODE], 0, 1);     /* never used */
	space_mark(&t->spaces[PLACE_IDENTITY], 0, 1); /* "as the node" */
	return t;
}

void policy_free(struct table_policy *p)
{
	if (!p)
		return;
	free(p->nodes.items);
	free(p->classes);
	free(p->identities);
	free(p->names);
	free(p->counters);
	free(p);
}

void tree_free(struct table_tree *t)
{
	if (!t)
		return;
	free(t->nodes.items);
	free(t);
}

void tables_free(struct dp_tables *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->n_policies; i++)
		policy_free(t->policies[i]);
	for (size_t i = 0; i < t->n_trees; i++)
		tree_free(t->trees[i]);
	for (int i = 0; i < PLACE_COUNT; i++)
		space_done(&t->spaces[i]);
	free(t->policies);
	class_table_done(&t->classes);
	free(t->trees);
	free(t->identities);
	free(t->old_names);
	free(t);
}

int id_cmp(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* Where the policy is, or would be. */
static size_t policy_seek(const struct dp_tables *t, uint32_t id)
{
	size_t lo = 0, hi = t->n_policies;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (t->policies[mid]->id < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

struct table_policy *tables_find(const struct dp_tables *t, uint32_t id)
{
	size_t at = policy_seek(t, id);

	return at < t->n_policies && t->policies[at]->id == id ? t->policies[at] : NULL;
}

uint32_t tables_last(const struct dp_tables *t)
{
	return t->n_policies ? t->policies[t->n_policies - 1]->id : 0;
}

bool tables_has(const struct dp_tables *t, uint32_t policy)
{
	return tables_find(t, policy) != NULL;
}

bool tables_resting(const struct dp_tables *t)
{
	for (int i = 0; i < PLACE_COUNT; i++)
		if (t->spaces[i].resting.n)
			return true;
	return t->n_old_names > 0;
}

void tables_numbers(const struct dp_tables *t, number_fn counter, number_fn name, void *data)
{
	for (size_t i = 0; i < t->n_policies; i++) {
		const struct table_policy *p = t->policies[i];

		for (uint32_t k = 0; p->counters && k < p->v.n_rules; k++)
			if (p->counters[k])
				counter(p->counters[k], data);
		for (size_t k = 0; k < p->n_names; k++)
			name(p->names[k], data);
	}
}

uint32_t tables_identity(const struct dp_tables *t, uint64_t meaning)
{
	for (uint32_t i = 1; i < SLU_MAX_IDENTITIES; i++)
		if (t->identities[i].users && t->identities[i].meaning == meaning)
			return i;
	return 0;
}

struct table_tree *tables_tree(const struct dp_tables *t, uint64_t key, uint64_t meaning)
{
	for (size_t i = 0; i < t->n_trees; i++)
		if ((key && t->trees[i]->key == key) ||
		    (meaning && t->trees[i]->meaning == meaning))
			return t->trees[i];
	return NULL;
}

void tables_tree_add(struct dp_tables *t, struct table_tree *take)
{
	MEM_GROW(t->trees, t->n_trees);
	t->trees[t->n_trees++] = take;
}

void policy_refers(struct table_policy *p, uint32_t identity)
{
	for (size_t i = 0; i < p->n_identities; i++)
		if (p->identities[i] == identity)
			return;
	MEM_GROW(p->identities, p->n_identities);
	p->identities[p->n_identities++] = (uint16_t)identity;
}

/* ---- in and out ---- */

static void policy_hold(struct dp_tables *t, const struct table_policy *p)
{
	for (size_t i = 0; i < p->n_identities; i++)
		t->identities[p->identities[i]].users++;
	for (size_t i = 0; i < p->n_classes; i++)
		p->classes[i]->users++;
	for (uint32_t i = 0; i < p->v.n_sets; i++)
		if (p->trees[i])
			p->trees[i]->users++;
}

static void runs_rest(struct space *s, const struct runs *r)
{
	for (size_t i = 0; i < r->n; i++)
		space_rest(s, r->items[i].first, r->items[i].n);
}

static void identity_leave(struct dp_tables *t, uint32_t slot)
{
	struct table_identity *id = &t->identities[slot];

	if (--id->users)
		return;
	space_rest(&t->spaces[PLACE_IDENTITY], slot, 1);
	for (int f = 0; f < 2; f++)
		space_rest(&t->spaces[PLACE_PICK], id->v.first[f], id->v.n[f]);
	*id = (struct table_identity){0};
}

static void tree_leave(struct dp_tables *t, struct table_tree *tree)
{
	size_t i = 0;

	if (--tree->users)
		return;
	runs_rest(&t->spaces[PLACE_NODE], &tree->nodes);
	while (t->trees[i] != tree)
		i++;
	t->trees[i] = t->trees[--t->n_trees];
	tree_free(tree);
}

static void class_leave(struct dp_tables *t, struct table_class *class)
{
	if (--class->users)
		return;
	space_rest(&t->spaces[PLACE_RANGE], class->first, class->n);
	class_table_remove(&t->classes, class);
	free(class);
}

static void names_leave(struct dp_tables *t, const struct table_policy *p)
{
	for (size_t i = 0; i < p->n_names; i++) {
		MEM_GROW(t->old_names, t->n_old_names);
		t->old_names[t->n_old_names++] = (struct slu_name_class){p->v.root, p->names[i]};
	}
}

static void policy_leave(struct dp_tables *t, struct table_policy *p)
{
	runs_rest(&t->spaces[PLACE_NODE], &p->nodes);
	for (size_t i = 0; i < p->n_classes; i++)
		class_leave(t, p->classes[i]);
	space_rest(&t->spaces[PLACE_RULE], p->v.first_rule, p->v.n_rules);
	names_leave(t, p);
	for (size_t i = 0; i < p->n_identities; i++)
		identity_leave(t, p->identities[i]);
	for (uint32_t i = 0; i < p->v.n_sets; i++)
		if (p->trees[i])
			tree_leave(t, p->trees[i]);
	policy_free(p);
}

static int policy_order(const void *a, const void *b)
{
	return id_cmp(&(*(struct table_policy *const *)a)->id,
		      &(*(struct table_policy *const *)b)->id);
}

void tables_put(struct dp_tables *t, struct table_policy **take, size_t n)
{
	size_t had = t->n_policies;
	bool sorted = true;

	for (size_t i = 0; i < n; i++)
		policy_hold(t, take[i]);
	for (size_t i = 0; i < n; i++) {
		struct table_policy **have = NULL;
		size_t at = policy_seek(t, take[i]->id);

		if (at < had && t->policies[at]->id == take[i]->id)
			have = &t->policies[at];
		if (have) {
			policy_leave(t, *have);
			*have = take[i];
		}
	}
	for (size_t i = 0; i < n; i++) {
		if (tables_find(t, take[i]->id) == take[i])
			continue;
		MEM_GROW(t->policies, had);
		sorted &= had == 0 || t->policies[had - 1]->id < take[i]->id;
		t->policies[had++] = take[i];
	}
	if (!sorted) /* a new id is higher than all others, as a rule */
		qsort(t->policies, had, sizeof(*t->policies), policy_order);
	t->n_policies = had;
}

void tables_remove(struct dp_tables *t, const uint32_t *ids, size_t n)
{
	size_t kept = 0;

	for (size_t i = 0; i < t->n_policies; i++) {
		struct table_policy *p = t->policies[i];

		if (n && bsearch(&p->id, ids, n, sizeof(*ids), id_cmp))
			policy_leave(t, p);
		else
			t->policies[kept++] = p;
	}
	t->n_policies = kept;
}

/* ---- meaning ---- */

/* Of this process: what it compares is all its own, and nobody can know what will be equal. */
static uint64_t secret(void)
{
	static uint64_t v;

	while (!v)
		if (getrandom(&v, sizeof(v), 0) < 0 && errno != EINTR)
			v = (uint64_t)(uintptr_t)&v; /* seccomp: at least where we lie */
	return v;
}

uint64_t meaning_identity(const struct dp_identity *d)
{
	uint64_t h = hash_bytes(d->n, sizeof(d->n), secret());

	h = hash_bytes(d->none, sizeof(d->none), h);
	h = hash_bytes(&d->or_node, sizeof(d->or_node), h);
	h = hash_bytes(&d->by_flow, sizeof(d->by_flow), h);
	for (int f = 0; f < 2; f++)
		h = hash_bytes(d->picks[f] ? d->picks[f] : (const void *)"",
			       d->n[f] * sizeof(uint32_t), h);
	return h ? h : 1;
}

void meaning_rule(struct meaning *m, const struct slu_rule *r, uint64_t identity)
{
	const uint64_t v[4] = {r->action, r->flags, r->counter, identity};

	m->rules = hash_bytes(v, sizeof(v), m->rules ^ secret());
}

uint64_t meaning_range(uint64_t before, uint32_t lo, const struct slu_cell *cell)
{
	return hash_bytes(cell, sizeof(*cell), hash_bytes(&lo, sizeof(lo), before ^ secret()));
}

uint64_t meaning_interval(uint64_t before, struct addr first, uint64_t value)
{
	struct {
		struct addr first;
		uint64_t value;
	} v = {first, value};

	return hash_bytes(&v, sizeof(v), before ^ secret());
}

void meaning_set(struct meaning *m, uint64_t tree, uint64_t class_hash)
{
	m->layers += hash_bytes(&tree, sizeof(tree), class_hash ^ secret());
}

void meaning_name(struct meaning *m, uint32_t name, uint64_t class_hash)
{
	m->layers += hash_bytes(&name, sizeof(name), ~class_hash ^ secret());
}

uint64_t meaning_end(const struct meaning *m)
{
	uint64_t h = hash_bytes(m, sizeof(*m), secret());

	return h ? h : 1;
}
