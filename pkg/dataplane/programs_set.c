/* SPDX-License-Identifier: Apache-2.0 */
/* Trees: a program's own, and those of large sets. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "dataplane/programs_priv.h"

#define TOPS 2 /* nodes where a search can begin, for each family one */

static void node_place(struct slu_tree_node *node, const uint32_t *places)
{
	for (int i = 0; i < SLU_TREE_WAYS; i++)
		if (node->value[i] & SLU_TREE_CHILD)
			node->value[i] = (node->value[i] & ~SLU_TREE_VALUE) |
					 places[node->value[i] & SLU_TREE_VALUE];
}

static uint32_t *places_list(const struct runs *r, size_t n)
{
	uint32_t *list = mem_alloc0(n * sizeof(*list));
	size_t k = 0;

	for (size_t i = 0; i < r->n; i++)
		for (uint32_t j = 0; j < r->items[i].n; j++)
			list[k++] = r->items[i].first + j;
	return list;
}

/* Built as if they began at 0, then told where they really are. */
static void nodes_write(struct planner *pl, const struct tree_interval *v, size_t n,
			const struct runs *runs, size_t size)
{
	__cleanup_free struct slu_tree_node *nodes = mem_alloc0(size * sizeof(*nodes));
	__cleanup_free uint32_t *places = places_list(runs, size);
	size_t done = 0;

	tree_build(v, n, 0, nodes);
	for (size_t i = 0; i < size; i++)
		node_place(&nodes[i], places);
	for (size_t i = 0; i < runs->n; i++) {
		const struct run *r = &runs->items[i];

		memcpy(writes_add(&pl->p->writes[PLACE_NODE], r->first, r->n), nodes + done,
		       r->n * sizeof(*nodes));
		done += r->n;
	}
}

/* The last two stay side by side: IPv4's top is the root's neighbour (abi.h). */
int tree_place(struct planner *pl, const struct tree_interval *v, size_t n, struct runs *ret,
	       uint32_t *ret_root)
{
	struct space *s = &pl->p->spaces[PLACE_NODE];
	size_t size = tree_size(v, n);
	uint32_t tops;

	if (size > s->max || !space_grow(s, (uint32_t)size, SLU_CHUNK_NODES) ||
	    (!space_take(s, TOPS, &tops) &&
	     (!space_grow(s, (uint32_t)(s->size - s->used) + 1, SLU_CHUNK_NODES) ||
	      !space_take(s, TOPS, &tops))))
		return err_set(pl->e, -ENOSPC, "map tree: more than %u nodes in use", s->max);
	space_take_some(s, (uint32_t)size - TOPS, ret);
	runs_add(ret, tops, TOPS);
	nodes_write(pl, v, n, ret, size);
	*ret_root = tops + TOPS - 1;
	return 0;
}

static uint64_t tree_meaning(const struct tree_interval *v, size_t n)
{
	uint64_t h = 0;

	for (size_t i = 0; i < n; i++)
		h = meaning_interval(h, v[i].first, v[i].value);
	return h ? h : 1;
}

/* ---- a set ---- */

static int range_cmp(const void *a, const void *b)
{
	return addr_cmp(((const struct addr_range *)a)->first,
			((const struct addr_range *)b)->first);
}

static struct addr addr_before(struct addr a)
{
	for (int i = 15; i >= 0 && a.b[i]-- == 0; i--)
		;
	return a;
}

/* Sorted and disjoint; an IPv6 prefix around the place of IPv4 does not mean IPv4. */
static struct addr_range *set_ranges(const struct compiled_set *set, size_t *ret_n)
{
	struct addr_range *list = mem_alloc0((set->n + 1) * sizeof(*list));
	const struct cidr v4 = cidr_all(true);
	struct addr v4_last = cidr_last(v4);
	bool split = false;
	size_t n = 0;

	for (size_t i = 0; i < set->n; i++) {
		struct addr first = set->cidrs[i].addr, last = cidr_last(set->cidrs[i]);

		if (!cidr_is_v4(set->cidrs[i]) && addr_cmp(first, v4.addr) < 0 &&
		    addr_cmp(last, v4_last) > 0) {
			list[n++] = (struct addr_range){first, addr_before(v4.addr)};
			list[n++] = (struct addr_range){addr_next(v4_last), last};
			split = true;
		} else {
			list[n++] = (struct addr_range){first, last};
		}
	}
	if (split)
		qsort(list, n, sizeof(*list), range_cmp);
	*ret_n = n;
	return list;
}

static struct tree_interval *set_intervals(const struct compiled_set *set, size_t *ret_n)
{
	size_t n_ranges, n = 0;
	__cleanup_free struct addr_range *ranges = set_ranges(set, &n_ranges);
	struct tree_interval *v = mem_alloc0((2 * n_ranges + 1) * sizeof(*v));

	v[n++] = (struct tree_interval){.value = 0};
	for (size_t i = 0; i < n_ranges; i++) {
		struct addr after = addr_next(ranges[i].last);

		if (addr_eq(v[n - 1].first, ranges[i].first)) /* touches the one before, or is :: */
			n--;
		if (n == 0 || v[n - 1].value == 0)
			v[n++] = (struct tree_interval){ranges[i].first, 1};
		if (!addr_is_zero(after))
			v[n++] = (struct tree_interval){after, 0};
	}
	*ret_n = n;
	return v;
}

static struct table_tree *plan_tree_find(const struct programs_plan *p, uint64_t meaning)
{
	for (size_t i = 0; i < p->n_trees; i++)
		if (p->trees[i].tree->meaning == meaning)
			return p->trees[i].tree;
	return NULL;
}

static void plan_tree_add(struct planner *pl, uint64_t key, struct table_tree *tree, bool fresh)
{
	struct programs_plan *p = pl->p;

	MEM_GROW(p->trees, p->n_trees);
	p->trees[p->n_trees++] = (struct plan_tree){key, tree, fresh};
}

static int set_tree_new(struct planner *pl, const struct compiled_set *set, struct table_tree **ret)
{
	size_t n;
	__cleanup_free struct tree_interval *v = set_intervals(set, &n);
	uint64_t meaning = tree_meaning(v, n);
	struct table_tree *tree = tables_tree(pl->t, 0, meaning);
	bool fresh = false;
	int r;

	if (!tree)
		tree = plan_tree_find(pl->p, meaning);
	if (!tree) {
		tree = mem_alloc0(sizeof(*tree));
		tree->meaning = meaning;
		r = tree_place(pl, v, n, &tree->nodes, &tree->root);
		if (r < 0) {
			tree_free(tree);
			err_wrap(pl->e, "%s", set->name);
			return r;
		}
		fresh = true;
	}
	plan_tree_add(pl, set->key, tree, fresh);
	*ret = tree;
	return 0;
}

int set_tree(struct planner *pl, uint32_t index, struct table_tree **ret)
{
	const struct compiled_set *set = &pl->want->sets[index];
	int r = 0;

	if (!pl->trees[index])
		pl->trees[index] = tables_tree(pl->t, set->key, 0);
	if (!pl->trees[index])
		r = set_tree_new(pl, set, &pl->trees[index]);
	*ret = pl->trees[index];
	return r;
}
