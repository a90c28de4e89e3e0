/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Which nodes may carry what of a gateway, as the ranking wants it (policy/rank.h). */
#include "policy/compiled.h"

struct candidates {
	const char **names;
	size_t *nodes;	/* indexes into compiled.nodes */
	uint8_t *tiers; /* enum rank_tier */
	size_t n;
	bool self; /* this node is one */
};

struct candidates candidates_get(const struct compiled *c, const struct node_view *view,
				 const struct doc_gateway *gw);
void candidates_done(struct candidates *cand);

/* Ranges that any candidate may hold alike are one class, each other one is a class of its own. */
struct classes {
	uint32_t *of;		  /* by address, in the order of the ranges */
	bool *eligible, *prefers; /* [class * candidates + candidate] */
	bool any_prefers;
	size_t n;
};

struct classes classes_get(const struct compiled *c, const struct doc_gateway *gw,
			   const struct candidates *cand, size_t n_addrs);
void classes_done(struct classes *k);
