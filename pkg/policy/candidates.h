/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Which nodes may carry the addresses of a gateway (its candidates), and which of its addresses may
 * go where (their classes): the input of the ranking, policy/rank.h. Lists are the caller's, to be
 * ended by _done; names are borrowed from the compiled.
 */
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

/* A range with a selector of its own is a class of its own; all other ranges are one class. */
struct classes {
	uint32_t *of;		  /* by address, in the order of the ranges */
	bool *eligible, *prefers; /* [class * candidates + candidate] */
	bool any_prefers;
	size_t n;
};

struct classes classes_get(const struct compiled *c, const struct doc_gateway *gw,
			   const struct candidates *cand, size_t n_addrs);
void classes_done(struct classes *k);
