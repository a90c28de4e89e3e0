/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A binding's rules → prefix → class. Every CIDR and every exception is an edge of
 * the set of rules that match; between edges the set is constant. Walking the
 * sorted prefixes as a tree, each edge is applied on the way in and taken back on
 * the way out, so the set at a prefix is known without looking at the rules again,
 * and a Zobrist hash of the set (one XOR per edge) finds its class in a memo.
 *
 * IPv4 and IPv6 are two trees: ::/0 never matches IPv4, although ::ffff:0:0/96
 * lies under it bit by bit.
 */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "policy/compiled.h"
#include "policy/hash_index.h"

#define MAX_DEPTH 130 /* lengths 0..128, and the empty stack */

/* One CIDR or node address of a rule's `to`. */
struct item {
	uint32_t rule;
	uint32_t excepted; /* how many exceptions we are inside of; more than one when they nest */
	bool inside;
};

struct edge {
	struct cidr prefix;
	uint32_t item;
	bool except;
};

struct frame {
	struct cidr prefix;
	size_t first, end; /* edges to take back */
	uint32_t class, entry;
};

struct memo {
	uint64_t *set;
	uint32_t class;
};

struct flattener {
	struct ruleset rules;
	struct item *items;
	size_t n_items;
	struct edge *edges;
	size_t n_edges;
	uint32_t *active; /* by rule: items that match here */
	uint64_t *matching;
	uint64_t set_hash;
	struct memo *memos;
	size_t n_memos;
	struct hash_index memo_index, class_index;
	struct frame stack[MAX_DEPTH];
	size_t depth;
	struct program *program;
};

static void flattener_done(struct flattener *f)
{
	for (size_t i = 0; i < f->n_memos; i++)
		free(f->memos[i].set);
	free(f->memos);
	free(f->items);
	free(f->edges);
	free(f->active);
	free(f->matching);
	hash_index_done(&f->memo_index);
	hash_index_done(&f->class_index);
	ruleset_done(&f->rules);
}

/* ---- the set of matching rules ---- */

static void rule_change(struct flattener *f, uint32_t rule, bool on)
{
	bool before = f->active[rule] > 0;

	f->active[rule] += on ? 1u : UINT32_MAX; /* wraps to - 1 */
	if (before == (f->active[rule] > 0))
		return;
	f->matching[rule / 64] ^= 1ull << rule % 64;
	f->set_hash ^= hash_bytes(&rule, sizeof(rule), 0);
}

static void edge_apply(struct flattener *f, const struct edge *e, bool enter)
{
	struct item *item = &f->items[e->item];
	bool before = item->inside && !item->excepted, after;

	if (e->except)
		item->excepted += enter ? 1u : UINT32_MAX;
	else
		item->inside = enter;
	after = item->inside && !item->excepted;
	if (before != after)
		rule_change(f, item->rule, after);
}

static void add_edge(struct flattener *f, struct cidr prefix, bool except)
{
	MEM_GROW(f->edges, f->n_edges);
	f->edges[f->n_edges++] = (struct edge){prefix, (uint32_t)f->n_items, except};
}

static void add_item(struct flattener *f, uint32_t rule, struct cidr prefix)
{
	add_edge(f, prefix, false);
	MEM_GROW(f->items, f->n_items);
	f->items[f->n_items++] = (struct item){.rule = rule};
}

static void add_rule(struct flattener *f, uint32_t index)
{
	const struct flat_rule *r = f->rules.rules[index];

	if (r->to_all) {
		rule_change(f, index, true);
		return;
	}
	for (size_t i = 0; i < r->rule->n_to; i++) {
		const struct doc_to *to = &r->rule->to[i];

		if (to->kind != TO_CIDR)
			continue;
		for (size_t j = 0; j < to->n_except; j++)
			add_edge(f, to->except[j], true);
		add_item(f, index, to->cidr);
	}
	for (size_t i = 0; i < r->n_nodes; i++)
		add_item(f, index, r->nodes[i]);
}

static int compare_edges(const void *va, const void *vb)
{
	const struct edge *a = va, *b = vb;
	int order;

	if (cidr_is_v4(a->prefix) != cidr_is_v4(b->prefix))
		return cidr_is_v4(a->prefix) ? -1 : 1;
	order = cidr_cmp(a->prefix, b->prefix);
	if (order)
		return order;
	return a->item < b->item ? -1 : a->item > b->item;
}

/* ---- classes ---- */

/* Different sets often give one answer: keep one class for it. */
static uint32_t class_intern(struct flattener *f, struct class *take)
{
	struct program *p = f->program;
	uint64_t hash = class_hash(take);

	for (uint32_t i = hash_index_first(&f->class_index, hash); i != HASH_INDEX_END;
	     i = hash_index_next(&f->class_index, i)) {
		if (class_equal(&p->classes[i], take)) {
			free(take->ranges);
			return i;
		}
	}
	MEM_GROW(p->classes, p->n_classes);
	p->classes[p->n_classes++] = *take;
	return hash_index_add(&f->class_index, hash);
}

static uint32_t class_here(struct flattener *f)
{
	size_t size = f->rules.words * sizeof(*f->matching);
	struct class class;
	uint32_t i;

	for (i = hash_index_first(&f->memo_index, f->set_hash); i != HASH_INDEX_END;
	     i = hash_index_next(&f->memo_index, i))
		if (memcmp(f->memos[i].set, f->matching, size) == 0)
			return f->memos[i].class;
	class_build(&f->rules, f->matching, &class);
	MEM_GROW(f->memos, f->n_memos);
	f->memos[f->n_memos++] = (struct memo){
		.set = mem_dup(f->matching, size),
		.class = class_intern(f, &class),
	};
	i = hash_index_add(&f->memo_index, f->set_hash);
	return f->memos[i].class;
}

/* ---- the walk ---- */

static void leave(struct flattener *f)
{
	struct frame *top = &f->stack[--f->depth];

	for (size_t i = top->end; i-- > top->first;)
		edge_apply(f, &f->edges[i], false);
}

/* edges[first..end) all have this prefix. */
static void enter(struct flattener *f, struct cidr prefix, size_t first, size_t end)
{
	struct program *p = f->program;
	const struct frame *up = f->depth ? &f->stack[f->depth - 1] : NULL;
	struct frame *top = &f->stack[f->depth++];

	for (size_t i = first; i < end; i++)
		edge_apply(f, &f->edges[i], true);
	*top = (struct frame){prefix, first, end, class_here(f), (uint32_t)p->n_entries};
	if (up && up->class == top->class) {
		top->entry = up->entry;
		return;
	}
	MEM_GROW(p->entries, p->n_entries);
	p->entries[p->n_entries++] = (struct program_entry){prefix, top->class,
							    up ? up->entry : top->entry};
}

/* One family's tree; edges[first..end) are its own. */
static void walk(struct flattener *f, bool v4, size_t first, size_t end)
{
	struct cidr root = cidr_all(v4);

	for (size_t i = first, next; i < end || !f->depth; i = next) {
		struct cidr prefix = i < end ? f->edges[i].prefix : root;

		if (!f->depth && cidr_cmp(prefix, root) != 0) {
			enter(f, root, i, i);
			next = i;
			continue;
		}
		for (next = i; next < end && cidr_cmp(f->edges[next].prefix, prefix) == 0;)
			next++;
		while (f->depth && !cidr_contains(f->stack[f->depth - 1].prefix, prefix))
			leave(f);
		enter(f, prefix, i, next);
	}
	while (f->depth)
		leave(f);
}

static size_t count_v4(const struct flattener *f)
{
	size_t n = 0;

	while (n < f->n_edges && cidr_is_v4(f->edges[n].prefix))
		n++;
	return n;
}

static void collect_rules(struct program *p, const struct compiled *c, const struct binding *b)
{
	for (uint8_t step = STEP_ADMIN; step <= STEP_BASELINE; step++) {
		for (size_t i = 0; i < b->n; i++) {
			const struct compiled_policy *policy = &c->policies[b->policies[i]];

			for (size_t j = 0; j < policy->n_rules; j++) {
				if (policy->rules[j].step != step)
					continue;
				MEM_GROW(p->rules, p->n_rules);
				p->rules[p->n_rules++] = &policy->rules[j];
			}
		}
	}
}

int policy_flatten(const struct compiled *c, const struct binding *b, struct program **ret)
{
	struct flattener f = {.program = mem_alloc0(sizeof(*f.program))};
	struct program *p = f.program;
	size_t n_v4;

	p->key = b->key;
	collect_rules(p, c, b);
	ruleset_init(&f.rules, p->rules, p->n_rules);
	f.active = mem_alloc0(p->n_rules * sizeof(*f.active));
	f.matching = mem_alloc0(f.rules.words * sizeof(*f.matching));
	for (uint32_t i = 0; i < p->n_rules; i++)
		add_rule(&f, i);
	if (f.n_edges)
		qsort(f.edges, f.n_edges, sizeof(*f.edges), compare_edges);
	n_v4 = count_v4(&f);
	walk(&f, true, 0, n_v4);
	p->first_v6 = p->n_entries;
	walk(&f, false, n_v4, f.n_edges);
	flattener_done(&f);
	*ret = p;
	return 0;
}

void program_free(struct program *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->n_classes; i++)
		free(p->classes[i].ranges);
	free(p->classes);
	free(p->rules);
	free(p->entries);
	free(p);
}

/* ---- look-up ---- */

/* The last entry of the family that does not lie behind a. */
static size_t entry_before(const struct program *p, struct addr a)
{
	struct cidr host = cidr_host(a);
	size_t lo = addr_is_v4(a) ? 0 : p->first_v6;
	size_t hi = addr_is_v4(a) ? p->first_v6 : p->n_entries;

	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;

		if (cidr_cmp(p->entries[mid].prefix, host) <= 0)
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}

const struct class *program_class(const struct program *p, struct addr dst)
{
	const struct program_entry *entry = &p->entries[entry_before(p, dst)];

	/* entries are sorted parents first: whoever holds dst is this one or above it */
	while (!cidr_contains_addr(entry->prefix, dst))
		entry = &p->entries[entry->parent];
	return &p->classes[entry->class];
}

const struct decision *program_decide(const struct program *p, struct addr dst, uint32_t l4_key)
{
	const struct class *class = program_class(p, dst);
	size_t lo = 0, hi;

	for (hi = class->n; hi - lo > 1;) {
		size_t mid = lo + (hi - lo) / 2;

		if (class->ranges[mid].lo <= l4_key)
			lo = mid;
		else
			hi = mid;
	}
	return &class->ranges[lo].decision;
}
