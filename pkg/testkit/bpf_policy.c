/* SPDX-License-Identifier: Apache-2.0 */
/* The policies of a world: places are given out once and never again. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/tree.h"
#include "testkit/bpf_fixture.h"
#include "testkit/netns_fixture.h"

static uint32_t next_node = 1, next_range = 7, next_rule = 13;

struct building {
	struct tree_interval *v;
	size_t n;
};

static void from_here(struct building *b, struct addr first, uint32_t value)
{
	if (b->n && addr_eq(b->v[b->n - 1].first, first))
		b->n--;
	if (!b->n || b->v[b->n - 1].value != value)
		b->v[b->n++] = (struct tree_interval){first, value};
}

static int by_prefix(const void *a, const void *b)
{
	const struct world_prefix *x = a, *y = b;
	int rc = memcmp(&x->prefix.addr, &y->prefix.addr, sizeof(x->prefix.addr));

	return rc ? rc
		  : (x->prefix.prefixlen > y->prefix.prefixlen) -
			       (x->prefix.prefixlen < y->prefix.prefixlen);
}

static struct addr last_of(const struct world_prefix *p)
{
	return cidr_last(cidr_make(slu_addr_get(p->prefix.addr), (uint8_t)p->prefix.prefixlen));
}

/* Prefixes that hold others stay open until the first address behind them. */
static size_t close_before(struct building *b, struct world_prefix *const *open, size_t depth,
			   const struct world_prefix *next)
{
	while (depth) {
		struct addr last = last_of(open[depth - 1]), behind = addr_next(last);

		if (next && addr_cmp(last, slu_addr_get(next->prefix.addr)) >= 0)
			break;
		depth--;
		if (!addr_is_zero(behind))
			from_here(b, behind, depth ? open[depth - 1]->value : 0);
	}
	return depth;
}

uint32_t world_tree(const struct world_prefix *v, size_t n)
{
	struct world_prefix *sorted = calloc(n + 1, sizeof(*sorted)), *open[129];
	struct building b = {calloc(2 * n + 1, sizeof(*b.v)), 0};
	struct slu_tree_node *nodes;
	struct err e = {};
	size_t size, depth = 0;

	if (n)
		memcpy(sorted, v, n * sizeof(*v));
	qsort(sorted, n, sizeof(*sorted), by_prefix);
	from_here(&b, (struct addr){}, 0);
	for (size_t i = 0; i < n; i++) {
		depth = close_before(&b, open, depth, &sorted[i]);
		open[depth++] = &sorted[i];
		from_here(&b, slu_addr_get(sorted[i].prefix.addr), sorted[i].value);
	}
	close_before(&b, open, depth, NULL);
	size = tree_size(b.v, b.n);
	nodes = calloc(size, sizeof(*nodes));
	tree_build(b.v, b.n, next_node, nodes);
	expect_ok(bpf_tree_write(world_pins(), next_node, nodes, size, &e), &e);
	next_node += (uint32_t)size;
	free(nodes);
	free(b.v);
	free(sorted);
	return next_node - 1;
}

uint32_t world_class(const struct slu_range *v, size_t n)
{
	uint32_t class = next_range;
	struct slu_range first = v[0];
	struct err e = {};

	first.lo = (uint32_t)n;
	expect_ok(bpf_map_write(world_pins(), BPF_MAP_RANGES, class, &first, 1, &e), &e);
	expect_ok(bpf_map_write(world_pins(), BPF_MAP_RANGES, class + 1, v + 1, n - 1, &e), &e);
	next_range += (uint32_t)n;
	return class;
}

uint32_t world_class_one(struct slu_cell cell)
{
	struct slu_range r = {0, cell};

	return world_class(&r, 1);
}

uint32_t world_rules(const struct slu_rule *v, size_t n)
{
	struct err e = {};

	expect_ok(bpf_map_write(world_pins(), BPF_MAP_RULES, next_rule, v, n, &e), &e);
	next_rule += (uint32_t)n;
	return next_rule - (uint32_t)n;
}

struct slu_cell world_cell(unsigned int step, uint16_t rule, uint16_t via)
{
	struct slu_cell cell;

	memset(&cell, 0xff, sizeof(cell));
	cell.verdict[step] = rule;
	cell.identity = via;
	return cell;
}

void world_epoch(void)
{
	struct err e = {};

	expect_ok(bpf_epoch_bump(world_pins(), &e), &e);
}

void world_policy(uint32_t id, const struct slu_policy *policy)
{
	struct err e = {};

	expect_ok(bpf_map_set(world_pins(), BPF_MAP_POLICIES, &id, policy, &e), &e);
	world_epoch();
}

void world_policy_delete(uint32_t id)
{
	struct err e = {};

	expect_ok(bpf_map_delete(world_pins(), BPF_MAP_POLICIES, &id, &e), &e);
	world_epoch();
}

void world_pod_of(uint32_t policy, uint32_t audit)
{
	struct slu_pod pod = world_pod_make(POD_GOVERNED, 0);
	uint32_t lo = 1;
	struct err e = {};

	pod.policy = policy;
	pod.audit = audit;
	expect_ok(bpf_map_set(world_pins(), BPF_MAP_PODS, &lo, &pod, &e), &e);
}

/* Rule i has actions[i], and if it has the letter in capitals the identity REMOTE. */
static uint32_t rules_of(const char *actions, uint32_t counter)
{
	static const char letters[] = "-adrp"; /* enum slu_action */
	struct slu_rule rules[32];
	size_t n = strlen(actions);

	for (size_t i = 0; i < n; i++) {
		const char *at = strchr(letters, actions[i] | 0x20);

		rules[i] = (struct slu_rule){.action = (uint8_t)(at ? at - letters : 0)};
		if (!(actions[i] & 0x20)) {
			rules[i].flags = SLU_RULE_VIA;
			rules[i].identity = NET_REMOTE;
		}
		if (counter)
			rules[i].counter = counter + (uint32_t)i;
	}
	return world_rules(rules, n);
}

/* The whole of both families is one cell; sets are added by the caller. */
struct slu_policy world_policy_of(const char *actions, uint32_t counter, struct slu_cell cell)
{
	struct world_prefix all = {world_prefix("::", 0), world_class_one(cell)};

	return (struct slu_policy){.root = world_tree(&all, 1),
				   .first_rule = rules_of(actions, counter),
				   .n_rules = (uint32_t)strlen(actions)};
}

void world_policy_one(uint32_t id, const char *actions, struct slu_cell cell)
{
	struct slu_policy policy = world_policy_of(actions, 0, cell);

	world_policy(id, &policy);
}

struct slu_cell world_no_rule(void)
{
	return world_cell(0, SLU_NO_RULE, SLU_NO_RULE);
}
