/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A policy's destinations as the kernel's search tree (abi.h, map "tree"): from sorted
 * intervals to nodes and back. PURE: who places and writes the nodes is dataplane.
 */
#include <stddef.h>
#include <stdint.h>

#include "bpf/abi.h"
#include "inet/addr.h"

/* From first up to the next one's first, the last one up to the highest address. */
struct tree_interval {
	struct addr first;
	uint32_t value; /* up to SLU_TREE_VALUE */
};

/*
 * Intervals: at least one, ascending, the first one begins at ::, neighbours differ in value.
 * The nodes are numbered from base on, in the order in which they are written to ret; what a
 * policy or set calls its root is the last of them, base + size - 1.
 */
size_t tree_size(const struct tree_interval *v, size_t n); /* how many nodes they take */
void tree_build(const struct tree_interval *v, size_t n, uint32_t base, struct slu_tree_node *ret);

/*
 * The intervals of a tree that is there; node() gives a node by its number, NULL when it is not
 * there, and is asked for each node of the tree once. *ret malloc'd. -EINVAL: no tree, or broken.
 */
typedef const struct slu_tree_node *(*tree_node_fn)(void *ctx, uint32_t node);
int tree_read(tree_node_fn node, void *ctx, uint32_t root, struct tree_interval **ret,
	      size_t *ret_n);
