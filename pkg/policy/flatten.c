/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A binding's rules → layers. The own layer is prefix → class: every CIDR and every
 * exception is an edge of the set of rules that match; between edges the set is constant. Walking
 * the sorted prefixes as a tree, each edge is applied on the way in and taken back on the way out,
 * so the set at a prefix is known without looking at the rules again, and a Zobrist hash of the set
 * (one XOR per edge) finds its class in a memo.
 *
 * IPv4 and IPv6 are two trees: ::/0 never matches IPv4, although ::ffff:0:0/96
 * lies under it bit by bit.
 *
 * A large set and a name are layers of their own: the class of the rules that have it,
 * whatever is in it. So a set that a hundred policies use costs each of them one class.
 */
#include <errno.h>
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
	size_t n_ranges, work; /* PROGRAM_MAX_… */
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

static bool is_layer(const struct flattener *f, uint32_t set)
{
	for (size_t i = 0; i < f->program->n_sets; i++)
		if (f->program->sets[i].index == set)
			return true;
	return false;
}

/* Of the items of `to`, what has a place in the own layer. */
static void add_own_items(struct flattener *f, uint32_t index)
{
	const struct flat_rule *r = f->rules.rules[index];

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

static void add_rule(struct flattener *f, const struct compiled *c, uint32_t index)
{
	const struct flat_rule *r = f->rules.rules[index];

	if (r->to_all) {
		rule_change(f, index, true);
		return;
	}
	if (r->items)
		add_own_items(f, index);
	for (size_t i = 0; i < r->n_cidrs; i++)
		add_item(f, index, r->cidrs[i]);
	for (size_t i = 0; i < r->n_sets; i++) {
		const struct compiled_set *set = &c->sets[r->sets[i]];

		for (size_t j = 0; !is_layer(f, r->sets[i]) && j < set->n; j++)
			add_item(f, index, set->cidrs[j]);
	}
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
	f->n_ranges += take->n;
	MEM_GROW(p->classes, p->n_classes);
	p->classes[p->n_classes++] = *take;
	return hash_index_add(&f->class_index, hash);
}

static bool too_large(const struct flattener *f)
{
	return f->n_ranges > PROGRAM_MAX_RANGES || f->work > PROGRAM_MAX_WORK;
}

/* Of the rules in f->matching; any, once it is too large. */
static uint32_t class_here(struct flattener *f)
{
	size_t size = f->rules.words * sizeof(*f->matching);
	struct class class;
	uint32_t i;

	if (too_large(f))
		return 0;
	for (i = hash_index_first(&f->memo_index, f->set_hash); i != HASH_INDEX_END;
	     i = hash_index_next(&f->memo_index, i))
		if (memcmp(f->memos[i].set, f->matching, size) == 0)
			return f->memos[i].class;
	f->work += class_build(&f->rules, f->matching, &class) + 1;
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

/* ---- the layers of sets and names ---- */

struct use { /* of a set, or a name, by a rule */
	uint32_t index, rule;
};

static int compare_uses(const void *va, const void *vb)
{
	const struct use *a = va, *b = vb;

	if (a->index != b->index)
		return a->index < b->index ? -1 : 1;
	return a->rule < b->rule ? -1 : a->rule > b->rule;
}

/* Sorted by index, then rule. */
static struct use *uses_of(const struct program *p, bool names, size_t *ret_n)
{
	struct use *uses = NULL;
	size_t n = 0;

	for (uint32_t i = 0; i < p->n_rules; i++) {
		const struct flat_rule *r = p->rules[i];
		const uint32_t *list = names ? r->names : r->sets;

		for (size_t j = 0; j < (names ? r->n_names : r->n_sets); j++) {
			MEM_GROW(uses, n);
			uses[n++] = (struct use){list[j], i};
		}
	}
	if (n)
		qsort(uses, n, sizeof(*uses), compare_uses);
	*ret_n = n;
	return uses;
}

/* One layer for each index; their classes are not known yet. */
static struct program_layer *layers_of(const struct use *uses, size_t n, size_t *ret_n)
{
	struct program_layer *layers = NULL;

	*ret_n = 0;
	for (size_t i = 0; i < n; i++) {
		if (i && uses[i].index == uses[i - 1].index)
			continue;
		MEM_GROW(layers, *ret_n);
		layers[(*ret_n)++] = (struct program_layer){.index = uses[i].index};
	}
	return layers;
}

/* Nothing but these rules matches while their class is made. */
static void layers_classify(struct flattener *f, const struct use *uses, size_t n,
			    struct program_layer *layers, size_t n_layers)
{
	for (size_t i = 0, from = 0, end; i < n_layers; i++, from = end) {
		while (uses[from].index != layers[i].index)
			from++; /* of a set that is not a layer */
		for (end = from; end < n && uses[end].index == layers[i].index; end++)
			rule_change(f, uses[end].rule, true);
		layers[i].class = class_here(f);
		for (size_t j = from; j < end; j++)
			rule_change(f, uses[j].rule, false);
	}
}

static size_t set_size(const struct compiled *c, const struct program_layer *l)
{
	return c->sets[l->index].n;
}

/* What is beyond the kernel's bound goes among the prefixes: the smallest ones, as they are copied.
 */
static void keep_largest(const struct compiled *c, struct program *p)
{
	while (p->n_sets > PROGRAM_MAX_SETS) {
		size_t least = 0;

		for (size_t i = 1; i < p->n_sets; i++)
			if (set_size(c, &p->sets[i]) < set_size(c, &p->sets[least]))
				least = i;
		p->n_sets--;
		memmove(p->sets + least, p->sets + least + 1,
			(p->n_sets - least) * sizeof(*p->sets));
	}
}

static void layers_build(struct flattener *f, const struct compiled *c)
{
	struct program *p = f->program;
	size_t n_set_uses, n_name_uses;
	__cleanup_free struct use *sets = uses_of(p, false, &n_set_uses);
	__cleanup_free struct use *names = uses_of(p, true, &n_name_uses);

	p->sets = layers_of(sets, n_set_uses, &p->n_sets);
	p->names = layers_of(names, n_name_uses, &p->n_names);
	keep_largest(c, p);
	layers_classify(f, sets, n_set_uses, p->sets, p->n_sets);
	layers_classify(f, names, n_name_uses, p->names, p->n_names);
}

/* ---- the whole ---- */

static void add_program_rule(struct program *p, const struct flat_rule *r)
{
	MEM_GROW(p->rules, p->n_rules);
	p->rules[p->n_rules++] = r;
}

static int compare_defaults(const void *va, const void *vb)
{
	const struct flat_rule *const *a = va, *const *b = vb;

	return doc_policy_order((*a)->policy, (*b)->policy);
}

/* By step, policy, position. Policies on pods and on services share one step of defaults. */
static void collect_rules(struct program *p, const struct compiled *c, const struct binding *b)
{
	for (uint8_t step = STEP_ADMIN; step <= STEP_BASELINE; step++) {
		size_t first = p->n_rules;

		for (size_t i = 0; i < b->n; i++) {
			const struct compiled_policy *policy = &c->policies[b->policies[i]];

			for (size_t j = 0; j < policy->n_rules; j++)
				if (policy->rules[j].step == step)
					add_program_rule(p, &policy->rules[j]);
		}
		if (step == STEP_DEFAULTS && p->n_rules > first)
			qsort(p->rules + first, p->n_rules - first, sizeof(*p->rules),
			      compare_defaults);
	}
}

static void entries_build(struct flattener *f, const struct compiled *c)
{
	struct program *p = f->program;
	size_t n_v4;

	for (uint32_t i = 0; i < p->n_rules; i++)
		add_rule(f, c, i);
	if (f->n_edges)
		qsort(f->edges, f->n_edges, sizeof(*f->edges), compare_edges);
	n_v4 = count_v4(f);
	walk(f, true, 0, n_v4);
	p->first_v6 = p->n_entries;
	walk(f, false, n_v4, f->n_edges);
}

int policy_flatten(const struct compiled *c, const struct binding *b, struct program **ret)
{
	struct flattener f = {.program = mem_alloc0(sizeof(*f.program))};
	struct program *p = f.program;
	int r;

	p->key = b->key;
	collect_rules(p, c, b);
	if (p->n_rules > PROGRAM_MAX_RULES) {
		program_free(p);
		return -E2BIG;
	}
	ruleset_init(&f.rules, p->rules, p->n_rules);
	f.active = mem_alloc0(p->n_rules * sizeof(*f.active));
	f.matching = mem_alloc0(f.rules.words * sizeof(*f.matching));
	layers_build(&f, c);
	entries_build(&f, c);
	r = too_large(&f) ? -E2BIG : 0;
	flattener_done(&f);
	if (r < 0)
		program_free(p);
	else
		*ret = p;
	return r;
}
