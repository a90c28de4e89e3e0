/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * existingConnections: which open connections an edit of identity does not concern, and
 * under which address they go on. PURE: a function of the connections (conntrack knows
 * what each began as), the programs and the address ids. What the kernel is told is in
 * keep_apply.c.
 *
 *	began as	the zone of its original direction: an address id, SLU_ID_MAX more when
 *			it went by tunnel; anything else: the node
 *	would be now	the program's decision, its identity, the pod's pick
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/model.h"
#include "dataplane/programs.h"
#include "kernel/conntrack.h"
#include "policy/compile.h"

struct keep_pod { /* one address of a pod */
	struct addr addr;
	const struct program *program; /* NULL: no policy selects it */
	uint32_t spread, flags;	       /* SLU_POD_* */
	uint32_t tenant;	       /* whose names it goes by */
	bool stranger; /* what began otherwise is not known to be the pod's own: forget it */
	bool gap;      /* our table was gone: who has no identity may not have begun as the node */
};

struct kept { /* an entry of the map "kept" */
	struct slu_flow flow;
	uint32_t id;
};

struct keep_in {
	const struct keep_pod *pods; /* sorted by addr, unique */
	size_t n_pods;
	const struct compiled *compiled;
	const struct dp_identity *identities; /* by compiled index */
	const struct dp_model *model;	      /* desired: marks, ids that stand, what is inside */
	const struct addr *resolvers;	      /* whose port 53 is inside */
	size_t n_resolvers;
	const struct kept *kept; /* so far, sorted by kept_cmp */
	size_t n_kept;
	/* The compiled_names that the tenant knows dst under; the answer is valid until the next
	 * question. NULL: nobody knows any. */
	const uint32_t *(*names)(void *data, uint32_t tenant, struct addr dst, size_t *ret_n);
	void *data;
};

enum keep_answer {
	KEEP_NOTHING, /* as it would begin now; or dropped now, whoever it was */
	KEEP_OPEN,    /* goes on under the id it began with */
	KEEP_ANEW,    /* the entry must go, so that it begins anew: Reset, its address is gone, or
			 it is rejected behind a translation */
};

enum keep_answer keep_judge(const struct keep_in *in, const struct ct_flow *flow, uint32_t *ret_id);

struct keep_sets {
	struct kept *open; /* sorted by kept_cmp, unique */
	size_t n_open;
	struct ct_flow *anew;
	size_t n_anew;
};

void keep_select(const struct keep_in *in, const struct ct_flow *flows, size_t n,
		 struct keep_sets *ret);
void keep_sets_done(struct keep_sets *sets);
int kept_cmp(const void *a, const void *b); /* by flow; those of one pod address are together */
/* In a list that is sorted so; NULL: not there. */
const struct kept *kept_find(const struct kept *list, size_t n, const struct slu_flow *flow);
