/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tree is four stages deep, one for each word of the address. A stage is a B-tree of entries
 * (word → value): an interval that begins where the later words are 0 is an entry; intervals
 * that differ in later words alone are a stage of their own, an entry for just that word, with
 * what holds after it as the next entry. Built from the bottom; all nodes but the last of each
 * level are full.
 *
 * IPv4 lies inside IPv6 as ::ffff:0:0/96 but is asked for separately: its intervals are one
 * stage, and the IPv6 tree knows nothing of them.
 */
#include "bpf/tree.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"

#define WORDS 4

struct place { /* where an interval begins, in host order */
	uint32_t w[WORDS];
	uint32_t value;
};

static const struct place v4_first = {.w = {0, 0, 0xffff, 0}};
static const struct place v4_behind = {.w = {0, 0, 0x10000, 0}};

static int place_cmp(const struct place *a, const struct place *b)
{
	for (size_t i = 0; i < WORDS; i++) {
		if (a->w[i] != b->w[i])
			return a->w[i] < b->w[i] ? -1 : 1;
	}
	return 0;
}

static struct place place_make(const struct tree_interval *v)
{
	struct place p = {.value = v->value};

	memcpy(p.w, &v->first, sizeof(p.w));
	for (size_t i = 0; i < WORDS; i++)
		p.w[i] = ntohl(p.w[i]);
	return p;
}

static struct addr place_addr(const struct place *p)
{
	struct addr a;
	uint32_t w[WORDS];

	for (size_t i = 0; i < WORDS; i++)
		w[i] = htonl(p->w[i]);
	memcpy(&a, w, sizeof(a));
	return a;
}

/* ---- building ---- */

struct builder {
	struct slu_tree_node *nodes; /* NULL: only count */
	uint32_t base;
	size_t n;
};

struct entry {
	uint32_t key, value;
};

struct entries {
	struct entry *v;
	size_t n;
};

static void entry_add(struct entries *l, uint32_t key, uint32_t value)
{
	MEM_GROW(l->v, l->n);
	l->v[l->n++] = (struct entry){key, value};
}

static uint32_t node_emit(struct builder *b, const struct slu_tree_node *node)
{
	if (b->nodes)
		b->nodes[b->n] = *node;
	return b->base + (uint32_t)b->n++;
}

static struct slu_tree_node node_make(const struct entry *v, size_t n)
{
	struct slu_tree_node node;

	for (size_t i = 0; i < SLU_TREE_WAYS; i++) {
		node.key[i] = i < n ? v[i].key : UINT32_MAX;
		node.value[i] = v[i < n ? i : n - 1].value;
	}
	return node;
}

/* The B-tree of a stage. Its top is left to the caller to emit. Uses up *l. */
static struct slu_tree_node stage_pack(struct builder *b, struct entries *l)
{
	struct slu_tree_node top;

	while (l->n > SLU_TREE_WAYS) {
		size_t up = 0;

		for (size_t i = 0; i < l->n; i += SLU_TREE_WAYS) {
			size_t n = l->n - i < SLU_TREE_WAYS ? l->n - i : SLU_TREE_WAYS;
			struct slu_tree_node node = node_make(l->v + i, n);

			l->v[up].key = l->v[i].key;
			l->v[up++].value = SLU_TREE_CHILD | node_emit(b, &node);
		}
		l->n = up;
	}
	top = node_make(l->v, l->n);
	free(l->v);
	return top;
}

static bool is_rest_zero(const struct place *p, size_t word)
{
	for (size_t i = word + 1; i < WORDS; i++) {
		if (p->w[i])
			return false;
	}
	return true;
}

/* Places that have all words before this one in common; before: what holds up to the first. */
static struct slu_tree_node stage_build(struct builder *b, const struct place *v, size_t n,
					size_t word, uint32_t before)
{
	struct entries l = {NULL, 0};

	if (!n || v[0].w[word])
		entry_add(&l, 0, before);
	for (size_t i = 0, end; i < n; before = v[end - 1].value, i = end) {
		uint32_t key = v[i].w[word];
		struct slu_tree_node top;

		for (end = i + 1; end < n && v[end].w[word] == key;)
			end++;
		if (end == i + 1 && is_rest_zero(&v[i], word)) {
			entry_add(&l, key, v[i].value);
			continue;
		}
		top = stage_build(b, v + i, end - i, word + 1, before);
		entry_add(&l, key, SLU_TREE_CHILD | SLU_TREE_WORD | node_emit(b, &top));
		if (key != UINT32_MAX && (end == n || v[end].w[word] != key + 1))
			entry_add(&l, key + 1, v[end - 1].value);
	}
	return stage_pack(b, &l);
}

struct places {
	struct place *v;
	size_t n;
};

static void place_add(struct places *l, struct place p)
{
	if (l->n && l->v[l->n - 1].value == p.value)
		return;
	l->v[l->n++] = p;
}

/* From at on, the value that holds there first: intervals [i, end), the one before them lent. */
static void places_cut(struct places *l, struct place at, const struct tree_interval *v, size_t i,
		       size_t end)
{
	at.value = v[i - 1].value;
	if (i == end || addr_cmp(v[i].first, place_addr(&at)))
		place_add(l, at);
	for (; i < end; i++)
		place_add(l, place_make(&v[i]));
}

static size_t count_below(const struct tree_interval *v, size_t n, const struct place *p)
{
	struct addr a = place_addr(p);
	size_t i = 0;

	while (i < n && addr_cmp(v[i].first, a) < 0)
		i++;
	return i;
}

static void build(struct builder *b, const struct tree_interval *v, size_t n)
{
	__cleanup_free struct place *four_v = mem_resize(NULL, n + 1, sizeof(*four_v));
	__cleanup_free struct place *six_v = mem_resize(NULL, n + 1, sizeof(*six_v));
	size_t first = count_below(v, n, &v4_first), behind = count_below(v, n, &v4_behind);
	struct places four = {four_v, 0}, six = {six_v, 0};
	struct slu_tree_node top4, top6;

	for (size_t i = 0; i < first; i++)
		place_add(&six, place_make(&v[i]));
	places_cut(&four, v4_first, v, first, behind);
	places_cut(&six, v4_behind, v, behind, n);
	for (size_t i = 0; i < four.n; i++)
		four.v[i].w[0] = four.v[i].w[1] = four.v[i].w[2] = 0;
	top4 = stage_build(b, four.v, four.n, WORDS - 1, 0);
	top6 = stage_build(b, six.v, six.n, 0, 0);
	node_emit(b, &top4);
	node_emit(b, &top6);
}

size_t tree_size(const struct tree_interval *v, size_t n)
{
	struct builder b = {};

	build(&b, v, n);
	return b.n;
}

void tree_build(const struct tree_interval *v, size_t n, uint32_t base, struct slu_tree_node *ret)
{
	struct builder b = {.nodes = ret, .base = base};

	build(&b, v, n);
}

/* ---- reading ---- */

struct reading {
	tree_node_fn node;
	void *ctx;
	struct tree_interval *v;
	size_t n;
	struct place seen; /* the last place, also of those that begin nothing new */
	bool any;
};

/* Strictly ascending: so a tree that leads back into itself comes to an end at once. */
static int reading_add(struct reading *r, const struct place *p)
{
	if (r->any && place_cmp(&r->seen, p) >= 0)
		return -EINVAL;
	r->seen = *p;
	r->any = true;
	if (r->n && r->v[r->n - 1].value == p->value)
		return 0;
	MEM_GROW(r->v, r->n);
	r->v[r->n++] = (struct tree_interval){place_addr(p), p->value};
	return 0;
}

static bool is_padding(const struct slu_tree_node *node, size_t i)
{
	return i && node->key[i] == UINT32_MAX && node->value[i] == node->value[i - 1];
}

/* at: the words before this one. */
static int read_below(struct reading *r, uint32_t number, struct place at, size_t word,
		      unsigned int depth)
{
	const struct slu_tree_node *node = r->node(r->ctx, number);
	struct slu_tree_node copy;
	int rc = 0;

	if (!node || depth == SLU_TREE_DEPTH || word == WORDS)
		return -EINVAL;
	copy = *node; /* the next question may end the life of this answer */
	for (size_t i = 0; !rc && i < SLU_TREE_WAYS && !is_padding(&copy, i); i++) {
		size_t below = copy.value[i] & SLU_TREE_WORD ? word + 1 : word;

		at.w[word] = copy.key[i];
		at.value = copy.value[i] & SLU_TREE_VALUE;
		if (copy.value[i] & SLU_TREE_CHILD)
			rc = read_below(r, at.value, at, below, depth + 1);
		else
			rc = reading_add(r, &at);
	}
	return rc;
}

/* The IPv4 intervals in their place; what holds behind them is what IPv6 says. */
static int merge(struct reading *all, const struct reading *six, uint32_t root)
{
	struct place behind = v4_behind, p;
	size_t i = 0;
	int rc = 0;

	for (; !rc && i < six->n; i++) {
		p = place_make(&six->v[i]);
		if (place_cmp(&p, &v4_first) >= 0)
			break;
		behind.value = p.value;
		rc = reading_add(all, &p);
	}
	if (!rc)
		rc = read_below(all, root, v4_first, WORDS - 1, 0);
	if (!rc && (i == six->n || place_cmp(&p, &v4_behind)))
		rc = reading_add(all, &behind);
	for (; !rc && i < six->n; i++) {
		p = place_make(&six->v[i]);
		rc = reading_add(all, &p);
	}
	return rc;
}

int tree_read(tree_node_fn node, void *ctx, uint32_t root, struct tree_interval **ret,
	      size_t *ret_n)
{
	struct reading six = {.node = node, .ctx = ctx}, all = six;
	int rc = read_below(&six, root, (struct place){}, 0, 0);

	if (!rc && (!root || !addr_is_zero(six.v[0].first)))
		rc = -EINVAL;
	if (!rc)
		rc = merge(&all, &six, root - 1);
	free(six.v);
	if (rc) {
		free(all.v);
		return rc;
	}
	*ret = all.v;
	*ret_n = all.n;
	return 0;
}
