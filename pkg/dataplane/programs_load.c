/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables as the kernel has them. What makes no sense (a daemon was killed between two
 * writes, somebody else wrote) has no meaning, so that it is written anew or goes.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "dataplane/programs_tables.h"

struct named_class {
	struct slu_name_class key;
	uint32_t class;
	bool used;
};

struct loading {
	struct bpf_pins *pins;
	struct dp_tables *t;
	struct named_class *names; /* sorted by root */
	size_t n_names;
	struct table_class **classes; /* by place */
	struct err *e;
};

/* ---- trees ---- */

struct walk {
	struct bpf_pins *pins;
	uint32_t *places;
	size_t n;
};

static const struct slu_tree_node *walk_node(void *ctx, uint32_t node)
{
	struct walk *w = ctx;

	if (node == 0 || node >= SLU_MAX_CHUNKS * SLU_CHUNK_NODES)
		return NULL;
	MEM_GROW(w->places, w->n);
	w->places[w->n++] = node;
	return bpf_tree_node(w->pins, node);
}

static int tree_load(struct loading *l, uint32_t root, struct runs *ret_places,
		     struct tree_interval **ret, size_t *ret_n)
{
	struct walk w = {.pins = l->pins};

	if (tree_read(walk_node, &w, root, ret, ret_n) < 0) {
		free(w.places);
		return err_set(l->e, -EBADMSG, "tree %u is broken", root);
	}
	qsort(w.places, w.n, sizeof(*w.places), id_cmp);
	for (size_t i = 0; i < w.n; i++)
		runs_add(ret_places, w.places[i], 1);
	free(w.places);
	return 0;
}

static int set_load(struct loading *l, uint32_t root, struct table_tree **ret)
{
	__cleanup_free struct tree_interval *v = NULL;
	struct table_tree *tree;
	size_t n = 0;
	int r;

	for (size_t i = 0; i < l->t->n_trees; i++)
		if (l->t->trees[i]->root == root) {
			*ret = l->t->trees[i];
			return 0;
		}
	tree = mem_alloc0(sizeof(*tree));
	tree->root = root;
	r = tree_load(l, root, &tree->nodes, &v, &n);
	if (r < 0) {
		tree_free(tree);
		return r;
	}
	for (size_t i = 0; i < n; i++)
		tree->meaning = meaning_interval(tree->meaning, v[i].first, v[i].value);
	tree->meaning += !tree->meaning;
	tables_tree_add(l->t, tree);
	*ret = tree;
	return 0;
}

/* ---- rules ---- */

static int picks_load(struct loading *l, uint32_t first, uint16_t n, uint32_t *ret)
{
	if (n == 0)
		return 0;
	if (first >= SLU_MAX_PICKS || n > SLU_MAX_PICKS - first)
		return err_set(l->e, -EBADMSG, "picks %u+%u are out of range", first, n);
	return bpf_map_read(l->pins, BPF_MAP_PICKS, first, ret, n, l->e);
}

static int identity_load(struct loading *l, uint32_t slot)
{
	struct table_identity *id = &l->t->identities[slot];
	struct slu_identity *v = &id->v;
	__cleanup_free uint32_t *picks = NULL;
	struct dp_identity d = {0};
	int r;

	if (id->meaning)
		return 0;
	r = bpf_map_read(l->pins, BPF_MAP_IDENTITIES, slot, v, 1, l->e);
	if (r < 0)
		return r;
	picks = mem_alloc0(((size_t)v->n[0] + v->n[1]) * sizeof(uint32_t));
	d = (struct dp_identity){.picks = {picks, picks + v->n[0]},
				 .n = {v->n[0], v->n[1]},
				 .none = {v->none[0], v->none[1]},
				 .or_node = v->or_node,
				 .by_flow = v->by_flow};
	for (int f = 0; r == 0 && f < 2; f++)
		r = picks_load(l, v->first[f], v->n[f], d.picks[f]);
	if (r == 0)
		id->meaning = meaning_identity(&d);
	return r;
}

static int rules_load(struct loading *l, struct table_policy *p, struct meaning *m)
{
	__cleanup_free struct slu_rule *rules = NULL;
	int r = 0;

	if (p->v.first_rule > SLU_MAX_RULES || p->v.n_rules > SLU_MAX_RULES - p->v.first_rule)
		return err_set(l->e, -EBADMSG, "rules are out of range");
	rules = mem_alloc0(p->v.n_rules * sizeof(*rules));
	p->counters = mem_alloc0(p->v.n_rules * sizeof(*p->counters));
	if (p->v.n_rules)
		r = bpf_map_read(l->pins, BPF_MAP_RULES, p->v.first_rule, rules, p->v.n_rules,
				 l->e);
	for (uint32_t i = 0; r == 0 && i < p->v.n_rules; i++) {
		uint32_t slot = rules[i].identity;

		if (slot >= SLU_MAX_IDENTITIES)
			return err_set(l->e, -EBADMSG, "identity %u is out of range", slot);
		if (slot) {
			r = identity_load(l, slot);
			policy_refers(p, slot);
		}
		p->counters[i] = rules[i].counter;
		meaning_rule(m, &rules[i], slot ? l->t->identities[slot].meaning : 0);
	}
	return r;
}

/* ---- classes ---- */

struct class_hash {
	uint32_t class;
	uint64_t hash;
};

struct classes { /* sorted, unique: a policy may have a million destinations and three classes */
	struct class_hash *items;
	size_t n;
};

static int class_cmp(const void *a, const void *b)
{
	return id_cmp(&((const struct class_hash *)a)->class,
		      &((const struct class_hash *)b)->class);
}

static void classes_add(struct classes *c, uint32_t class)
{
	if (c->n && c->items[c->n - 1].class == class)
		return;
	MEM_GROW(c->items, c->n);
	c->items[c->n++] = (struct class_hash){.class = class};
}

static uint64_t classes_hash(const struct classes *c, uint32_t class)
{
	const struct class_hash key = {.class = class}, *found;

	found = bsearch(&key, c->items, c->n, sizeof(key), class_cmp);
	return found ? found->hash : 0;
}

/* What two places say alike is told apart by the places: who edits shares the first one found. */
static int class_load(struct loading *l, struct class_hash *c, struct table_policy *p)
{
	struct table_class *class;
	int r = 0;

	if (c->class >= SLU_MAX_RANGES)
		return err_set(l->e, -EBADMSG, "class %u is out of range", c->class);
	class = l->classes[c->class];
	if (!class) {
		r = class_read(l->pins, c->class, &class, l->e);
		if (r < 0)
			return r;
		l->classes[c->class] = class;
		class_table_add(&l->t->classes, class);
	}
	c->hash = class->meaning;
	MEM_GROW(p->classes, p->n_classes);
	p->classes[p->n_classes++] = class;
	return 0;
}

static int classes_load(struct loading *l, struct classes *c, struct table_policy *p)
{
	size_t kept = 0;
	int r = 0;

	qsort(c->items, c->n, sizeof(*c->items), class_cmp);
	for (size_t i = 0; r == 0 && i < c->n; i++) {
		if (kept && c->items[kept - 1].class == c->items[i].class)
			continue;
		c->items[kept] = c->items[i];
		r = class_load(l, &c->items[kept++], p);
	}
	c->n = kept;
	return r;
}

/* ---- names ---- */

static int named_cmp(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct slu_name_class));
}

static int names_load(struct loading *l)
{
	__cleanup_free void *keys = NULL;
	__cleanup_free void *values = NULL;
	size_t n = 0;
	int r = bpf_map_dump(l->pins, BPF_MAP_NAME_CLASSES, &keys, &values, &n, l->e);

	if (r < 0)
		return r;
	l->names = mem_alloc0(n * sizeof(*l->names));
	l->n_names = n;
	for (size_t i = 0; i < n; i++)
		l->names[i] = (struct named_class){
			.key = ((const struct slu_name_class *)keys)[i],
			.class = ((const uint32_t *)values)[i],
		};
	if (n)
		qsort(l->names, n, sizeof(*l->names), named_cmp);
	return 0;
}

/* The first entry of this root or a higher one. */
static size_t names_seek(const struct loading *l, uint32_t root)
{
	const struct slu_name_class key = {.root = root};
	size_t lo = 0, hi = l->n_names;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (memcmp(&l->names[mid].key.root, &key.root, sizeof(key.root)) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static void names_leave(struct loading *l)
{
	for (size_t i = 0; i < l->n_names; i++) {
		if (l->names[i].used)
			continue;
		MEM_GROW(l->t->old_names, l->t->n_old_names);
		l->t->old_names[l->t->n_old_names++] = l->names[i].key;
	}
	free(l->names);
}

/* ---- policies ---- */

static int layers_load(struct loading *l, struct table_policy *p, struct classes *c)
{
	if (p->v.n_sets > SLU_MAX_SETS)
		return err_set(l->e, -EBADMSG, "%u sets", p->v.n_sets);
	for (uint32_t i = 0; i < p->v.n_sets; i++) {
		int r = set_load(l, p->v.sets[i].root, &p->trees[i]);

		if (r < 0)
			return r;
		classes_add(c, p->v.sets[i].class);
	}
	for (size_t i = names_seek(l, p->v.root);
	     i < l->n_names && l->names[i].key.root == p->v.root; i++) {
		MEM_GROW(p->names, p->n_names);
		p->names[p->n_names++] = l->names[i].key.name;
		classes_add(c, l->names[i].class);
	}
	return 0;
}

static void layers_mean(struct loading *l, const struct table_policy *p, const struct classes *c,
			struct meaning *m)
{
	size_t at = names_seek(l, p->v.root);

	for (uint32_t i = 0; i < p->v.n_sets; i++)
		meaning_set(m, p->trees[i]->meaning, classes_hash(c, p->v.sets[i].class));
	for (size_t i = 0; i < p->n_names; i++) {
		struct named_class *n = &l->names[at + i];

		meaning_name(m, n->key.name, classes_hash(c, n->class));
		n->used = true;
	}
}

static int policy_load(struct loading *l, struct table_policy *p)
{
	__cleanup_free struct tree_interval *v = NULL;
	struct classes c = {0};
	struct meaning m = {0};
	size_t n = 0;
	int r;

	r = rules_load(l, p, &m);
	if (r == 0)
		r = tree_load(l, p->v.root, &p->nodes, &v, &n);
	for (size_t i = 0; r == 0 && i < n; i++)
		classes_add(&c, v[i].value);
	if (r == 0)
		r = layers_load(l, p, &c);
	if (r == 0)
		r = classes_load(l, &c, p);
	for (size_t i = 0; r == 0 && i < n; i++)
		m.dests = meaning_interval(m.dests, v[i].first, classes_hash(&c, v[i].value));
	if (r == 0) {
		layers_mean(l, p, &c, &m);
		p->meaning = meaning_end(&m);
	}
	free(c.items);
	return r;
}

/* Its id is known, and that it means nothing that could be wanted. */
static struct table_policy *policy_unknown(struct table_policy *p)
{
	struct table_policy *bare = mem_alloc0(sizeof(*bare));

	bare->id = p->id;
	policy_free(p);
	return bare;
}

/* A policy that cannot be read at all ends it; one that makes no sense is read as such. */
static int policy_read(struct loading *l, uint32_t id, const struct slu_policy *v,
		       struct table_policy **ret)
{
	struct table_policy *p = mem_alloc0(sizeof(*p));
	struct err *e = l->e, own = {0};
	int r;

	p->id = id;
	p->v = *v;
	l->e = &own;
	r = policy_load(l, p);
	l->e = e;
	if (r < 0 && r != -EBADMSG) {
		policy_free(p);
		if (e)
			*e = own;
		err_wrap(e, "policy %u", id);
		return r;
	}
	*ret = r < 0 ? policy_unknown(p) : p;
	return 0;
}

static int policies_load(struct loading *l)
{
	__cleanup_free struct table_policy **list = NULL;
	__cleanup_free void *keys = NULL;
	__cleanup_free void *values = NULL;
	size_t n = 0, done = 0;
	int r = bpf_map_dump(l->pins, BPF_MAP_POLICIES, &keys, &values, &n, l->e);

	if (r < 0)
		return r;
	list = mem_alloc0(n * sizeof(*list));
	while (r == 0 && done < n) {
		r = policy_read(l, ((const uint32_t *)keys)[done],
				&((const struct slu_policy *)values)[done], &list[done]);
		done += r == 0;
	}
	tables_put(l->t, list, done);
	return r;
}

/* ---- places ---- */

static void runs_mark(struct space *s, const struct runs *r)
{
	for (size_t i = 0; i < r->n; i++)
		space_mark(s, r->items[i].first, r->items[i].n);
}

static void chunks_count(struct bpf_pins *pins, struct space *s)
{
	uint32_t n = 1;

	while (n < SLU_MAX_CHUNKS && bpf_tree_node(pins, n * SLU_CHUNK_NODES))
		n++;
	space_grow(s, n * SLU_CHUNK_NODES - s->used, SLU_CHUNK_NODES);
}

static void identities_mark(struct dp_tables *t)
{
	for (uint32_t i = 1; i < SLU_MAX_IDENTITIES; i++) {
		const struct table_identity *id = &t->identities[i];

		if (!id->users)
			continue;
		space_mark(&t->spaces[PLACE_IDENTITY], i, 1);
		for (int f = 0; f < 2; f++)
			space_mark(&t->spaces[PLACE_PICK], id->v.first[f], id->v.n[f]);
	}
}

/* Only policies that make no sense have it: they go, or are written anew. */
static void class_mark(struct table_class *v, void *data)
{
	struct dp_tables *t = data;

	if (v->users) {
		space_mark(&t->spaces[PLACE_RANGE], v->first, v->n);
		return;
	}
	class_table_remove(&t->classes, v);
	free(v);
}

static void places_mark(struct dp_tables *t)
{
	size_t kept = 0;

	for (size_t i = 0; i < t->n_trees; i++) {
		if (!t->trees[i]->users) {
			tree_free(t->trees[i]);
			continue;
		}
		runs_mark(&t->spaces[PLACE_NODE], &t->trees[i]->nodes);
		t->trees[kept++] = t->trees[i];
	}
	t->n_trees = kept;
	for (size_t i = 0; i < t->n_policies; i++) {
		const struct table_policy *p = t->policies[i];

		runs_mark(&t->spaces[PLACE_NODE], &p->nodes);
		space_mark(&t->spaces[PLACE_RULE], p->v.first_rule, p->v.n_rules);
	}
	class_table_each(&t->classes, class_mark, t);
	identities_mark(t);
}

int tables_load(struct bpf_pins *pins, struct dp_tables **ret, struct err *e)
{
	__cleanup(tables_freep) struct dp_tables *t = tables_new();
	__cleanup_free struct table_class **classes = mem_alloc0(SLU_MAX_RANGES *
								 sizeof(struct table_class *));
	struct loading l = {.pins = pins, .t = t, .classes = classes, .e = e};
	int r = names_load(&l);

	chunks_count(pins, &t->spaces[PLACE_NODE]);
	if (r == 0)
		r = policies_load(&l);
	names_leave(&l);
	if (r < 0)
		return r;
	places_mark(t);
	*ret = TAKE(t);
	return 0;
}
