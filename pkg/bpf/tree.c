/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Built from the bottom: the intervals in groups are the leaves, a level is the first keys
 * of the level below, until one node is left. All nodes but the last of each level are full.
 */
#include "bpf/tree.h"

#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"

static void node_key(struct slu_tree_node *node, size_t i, struct addr a)
{
	uint64_t half[2];

	memcpy(half, &a, sizeof(half));
	node->key[i].hi = be64toh(half[0]);
	node->key[i].lo = be64toh(half[1]);
}

static struct addr key_addr(const struct slu_tree_node *node, size_t i)
{
	uint64_t half[2] = {htobe64(node->key[i].hi), htobe64(node->key[i].lo)};
	struct addr a;

	memcpy(&a, half, sizeof(a));
	return a;
}

static size_t level_size(size_t n)
{
	return (n + SLU_TREE_WAYS - 1) / SLU_TREE_WAYS;
}

size_t tree_size(const struct tree_interval *v, size_t n)
{
	size_t total = 0;

	do {
		n = level_size(n);
		total += n;
	} while (n > 1);
	return total;
}

/* Places without a key: found for the highest address alone, to which the last key belongs. */
static void node_pad(struct slu_tree_node *node, size_t used)
{
	for (size_t i = used; i < SLU_TREE_WAYS; i++) {
		node->key[i].hi = node->key[i].lo = UINT64_MAX;
		node->value[i] = node->value[used - 1];
	}
}

void tree_build(const struct tree_interval *v, size_t n, uint32_t base, struct slu_tree_node *ret)
{
	size_t below = 0, width = level_size(n);

	for (size_t i = 0; i < n; i++) {
		node_key(&ret[i / SLU_TREE_WAYS], i % SLU_TREE_WAYS, v[i].first);
		ret[i / SLU_TREE_WAYS].value[i % SLU_TREE_WAYS] = v[i].value;
	}
	node_pad(&ret[width - 1], n - (width - 1) * SLU_TREE_WAYS);
	while (width > 1) {
		size_t level = below + width, up = level_size(width);

		for (size_t i = 0; i < width; i++) {
			struct slu_tree_node *node = &ret[level + i / SLU_TREE_WAYS];

			node->key[i % SLU_TREE_WAYS] = ret[below + i].key[0];
			node->value[i % SLU_TREE_WAYS] = SLU_TREE_CHILD |
							 (base + (uint32_t)(below + i));
		}
		node_pad(&ret[level + up - 1], width - (up - 1) * SLU_TREE_WAYS);
		below = level;
		width = up;
	}
}

struct reading {
	tree_node_fn node;
	void *ctx;
	struct tree_interval *v;
	size_t n;
};

/* Strictly ascending: so a tree that leads back into itself comes to an end at once. */
static int reading_add(struct reading *r, struct addr first, uint32_t value)
{
	if (r->n ? addr_cmp(r->v[r->n - 1].first, first) >= 0 : !addr_is_zero(first))
		return -EINVAL;
	if (r->n && r->v[r->n - 1].value == value)
		return -EINVAL;
	MEM_GROW(r->v, r->n);
	r->v[r->n++] = (struct tree_interval){first, value};
	return 0;
}

static bool is_padding(const struct slu_tree_node *node, size_t i)
{
	return i && node->key[i].hi == UINT64_MAX && node->key[i].lo == UINT64_MAX &&
	       node->value[i] == node->value[i - 1];
}

static int read_below(struct reading *r, uint32_t number, unsigned int depth)
{
	const struct slu_tree_node *node = r->node(r->ctx, number);
	struct slu_tree_node copy;
	int rc = 0;

	if (!node || depth == SLU_TREE_DEPTH)
		return -EINVAL;
	copy = *node; /* the next question may end the life of this answer */
	for (size_t i = 0; !rc && i < SLU_TREE_WAYS && !is_padding(&copy, i); i++) {
		if (copy.value[i] & SLU_TREE_CHILD)
			rc = read_below(r, copy.value[i] & ~SLU_TREE_CHILD, depth + 1);
		else
			rc = reading_add(r, key_addr(&copy, i), copy.value[i]);
	}
	return rc;
}

int tree_read(tree_node_fn node, void *ctx, uint32_t root, struct tree_interval **ret,
	      size_t *ret_n)
{
	struct reading r = {.node = node, .ctx = ctx};
	int rc = read_below(&r, root, 0);

	if (rc) {
		free(r.v);
		return rc;
	}
	*ret = r.v;
	*ret_n = r.n;
	return 0;
}
