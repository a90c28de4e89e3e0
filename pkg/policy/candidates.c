/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/candidates.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "policy/rank.h"

void candidates_done(struct candidates *cand)
{
	free(cand->names);
	free(cand->nodes);
	free(cand->tiers);
}

static int compare_tier(const void *key, const void *tier)
{
	return strcmp(key, ((const struct node_tier *)tier)->name);
}

/* Who is not heard of is there: without heartbeats objects alone decide. */
static uint8_t tier_of(const struct node_view *view, const char *name)
{
	const struct node_tier *t = view->n_tiers ? bsearch(name, view->tiers, view->n_tiers,
							    sizeof(*view->tiers), compare_tier)
						  : NULL;

	return t ? t->tier : RANK_LIVE;
}

/*
 * What the Node object adds. One that is to be taken away is worth what one that joins is: its
 * addresses go, as planned, to whom else there is. One that its kubelet does not speak for is
 * only away if its heartbeats say so, and keeps what it has, but takes in nothing of others;
 * where there are no heartbeats, that word is all there is.
 */
static uint8_t tier_with_object(const struct node_view *view, const struct doc_node *doc,
				uint8_t tier)
{
	uint8_t most = RANK_LIVE;

	if (doc && (doc->leaving || (doc->not_ready && !view->n_tiers)))
		most = RANK_JOINING;
	else if (doc && doc->not_ready)
		most = RANK_KEEPING;
	return tier < most ? tier : most;
}

struct candidates candidates_get(const struct compiled *c, const struct node_view *view,
				 const struct doc_gateway *gw)
{
	struct candidates cand = {
		.names = mem_alloc0(c->n_nodes * sizeof(*cand.names)),
		.nodes = mem_alloc0(c->n_nodes * sizeof(*cand.nodes)),
		.tiers = mem_alloc0(c->n_nodes),
	};

	for (size_t i = 0; i < c->n_nodes; i++) {
		if (!compiled_node_selected(c, i, &gw->node_selector))
			continue;
		if (!c->node_docs[i] && c->set->n_nodes)
			continue; /* this one, whose object was deleted: the others know no such */
		cand.names[cand.n] = c->nodes[i].name;
		cand.tiers[cand.n] = tier_with_object(view, c->node_docs[i],
						      tier_of(view, c->nodes[i].name));
		cand.nodes[cand.n++] = i;
		cand.self = cand.self || i == c->self;
	}
	return cand;
}

void classes_done(struct classes *k)
{
	free(k->of);
	free(k->eligible);
	free(k->prefers);
}

static void class_add(const struct compiled *c, const struct candidates *cand,
		      const struct gateway_range *range, struct classes *k)
{
	size_t row = k->n++ * cand->n;

	for (size_t i = 0; i < cand->n; i++) {
		k->eligible[row + i] = compiled_node_selected(c, cand->nodes[i],
							      &range->node_selector);
		k->prefers[row + i] = range->preferred_nodes.present &&
				      compiled_node_selected(c, cand->nodes[i],
							     &range->preferred_nodes);
		k->any_prefers = k->any_prefers || k->prefers[row + i];
	}
}

struct classes classes_get(const struct compiled *c, const struct doc_gateway *gw,
			   const struct candidates *cand, size_t n_addrs)
{
	struct classes k = {
		.of = mem_alloc0(n_addrs * sizeof(*k.of)),
		.eligible = mem_alloc0(gw->n_ranges * cand->n),
		.prefers = mem_alloc0(gw->n_ranges * cand->n),
	};
	size_t at = 0;
	long free_class = -1;

	for (size_t i = 0; i < gw->n_ranges; i++) {
		const struct gateway_range *range = &gw->ranges[i];
		uint64_t count = addr_range_count(range->range);
		bool is_free = !range->node_selector.present && !range->preferred_nodes.present;
		size_t row = is_free && free_class >= 0 ? (size_t)free_class : k.n;

		for (uint64_t j = 0; j < count && j < DOC_MAX_GATEWAY_ADDRS; j++)
			k.of[at++] = (uint32_t)row;
		if (row != k.n)
			continue;
		if (is_free)
			free_class = (long)row;
		class_add(c, cand, range, &k);
	}
	return k;
}
