/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#pragma once
/*
 * What a policy says about a destination, layer by layer (abi.h): a tree gives a class,
 * a class and the packet's protocol and port give a cell, cells are merged. Each step is
 * a global function, so that the verifier checks it once. What cannot be followed to its
 * end (a node, class or rule that is not there) is NO_POLICY: closed.
 */
#include "bpf/parse.bpf.h"

#define RANGE_STEPS 18 /* 2^18 = SLU_MAX_RANGES */
#define NO_VALUE    SLU_TREE_CHILD

/*
 * Fetches what will be asked for soon. A processor waits for one line of memory after the other
 * where each says which the next one is, and for all at once where it can know them before.
 */
static __always_inline void touch(const void *at)
{
	__u32 word = *(const volatile __u32 *)at;

	barrier_var(word);
}

/* 1 if key <= word, without a branch: half of them would be guessed wrong. */
static __always_inline __u64 reached(__u32 key, __u64 word)
{
	__u64 below = key - word - 1;

	barrier_var(below);
	return below >> 63;
}

static __always_inline __u32 node_next(const struct slu_tree_node *node, __u64 word)
{
	const __u32 *k = node->key;
	__u64 way;

	touch(node->value);
	way = (reached(k[4], word) + reached(k[8], word) + reached(k[12], word)) << 2;

	if (way > SLU_TREE_WAYS - 4) /* cannot be; the verifier does not know it */
		return NO_VALUE;
	way += reached(k[way + 1], word) + reached(k[way + 2], word) + reached(k[way + 3], word);
	barrier_var(way); /* clang knows it is below 16; Linux 6.1 must be told */
	return way < SLU_TREE_WAYS ? node->value[way] : NO_VALUE;
}

static __always_inline struct slu_tree_node *node_get(__u32 number)
{
	__u32 chunk = number / SLU_CHUNK_NODES, at = number % SLU_CHUNK_NODES;
	void *nodes = bpf_map_lookup_elem(&tree, &chunk);

	return nodes ? bpf_map_lookup_elem(nodes, &at) : NULL;
}

/* The value of the address's interval; NO_VALUE: the tree is broken. */
__noinline __u32 slu_tree_find(struct slu_addr *a, __u32 root)
{
	__u32 value = root, word = 0;

	if (!a)
		return NO_VALUE;
	if (addr_v4(a)) {
		value--;
		word = 3;
	}
	for (int i = 0; i < SLU_TREE_DEPTH; i++) {
		struct slu_tree_node *node = node_get(value & SLU_TREE_VALUE);

		if (!node)
			return NO_VALUE;
		value = node_next(node, bpf_ntohl(a->w[word & 3]));
		if (!(value & SLU_TREE_CHILD))
			return value;
		word += value / SLU_TREE_WORD & 1;
	}
	return NO_VALUE;
}

/* The policy's first node and first rules. */
static __always_inline void policy_touch(const struct slu_policy *policy, const struct pkt *p)
{
	struct slu_tree_node *node = node_get(policy->root - addr_v4(&p->dst));
	__u32 first = policy->first_rule;
	struct slu_rule *rule = bpf_map_lookup_elem(&rules, &first);

	if (node) {
		touch(node->key);
		touch(node->value);
	}
	if (rule)
		touch(rule);
}

static __always_inline void cell_clear(struct slu_cell *c)
{
	__builtin_memset(c, 0xff, sizeof(*c));
}

static __always_inline void cell_merge(struct slu_cell *to, const struct slu_cell *c)
{
#pragma unroll
	for (int i = 0; i < SLU_STEPS; i++) {
		if (c->verdict[i] < to->verdict[i])
			to->verdict[i] = c->verdict[i];
	}
	if (c->identity < to->identity)
		to->identity = c->identity;
}

/* Of the class's ranges, the last whose lo is not above the key: its cell goes into *to. */
__noinline int slu_class_merge(struct slu_cell *to, __u32 class, __u32 key)
{
	struct slu_range *r = bpf_map_lookup_elem(&ranges, &class);
	__u32 first = class, n;

	if (!to || !r)
		return SLU_DROP_NO_POLICY;
	n = r->lo;
	for (int i = 0; i < RANGE_STEPS && n > 1; i++) {
		__u32 half = n >> 1, mid = first + half;
		struct slu_range *m = bpf_map_lookup_elem(&ranges, &mid);

		if (!m)
			return SLU_DROP_NO_POLICY;
		if (m->lo <= key) {
			first = mid;
			r = m;
			n -= half;
		} else {
			n = half;
		}
	}
	cell_merge(to, &r->cell);
	return 0;
}

/* The policy's own prefixes and the sets it refers to. */
__noinline int slu_layers(struct slu_cell *to, struct slu_policy *policy, struct pkt *p)
{
	__u32 value;
	int reason;

	if (!to || !policy || !p)
		return SLU_DROP_NO_POLICY;
	value = slu_tree_find(&p->dst, policy->root);
	if (value == NO_VALUE)
		return SLU_DROP_NO_POLICY;
	reason = slu_class_merge(to, value, p->key);
	for (__u32 i = 0; i < SLU_MAX_SETS && i < policy->n_sets && !reason; i++) {
		value = slu_tree_find(&p->dst, policy->sets[i].root);
		if (value == NO_VALUE)
			return SLU_DROP_NO_POLICY;
		if (value)
			reason = slu_class_merge(to, policy->sets[i].class, p->key);
	}
	return reason;
}
