/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the kernel of this node is to hold, from compiled policies, the node as it is
 * and the ids given out. PURE but for new ids. Pods and programs come from pods.h.
 */
#include "base/cleanup.h"
#include "dataplane/model.h"
#include "dataplane/programs.h"
#include "policy/compile.h"
#include "reconcile/claims.h"
#include "reconcile/node.h"
#include "state/ids.h"

/* How packets under an address leave. */
struct way {
	uint32_t ifindex; /* 0: as the routing table says */
	struct addr via;
};

struct desired_in {
	const struct compiled *compiled;
	const struct node_state *node;
	const char *node_name;
	struct ids *ids;
	uint32_t path_mtu; /* the smallest towards a tunnel's end, 0 = none is known */
	/* By compiled_addrs index. Local addresses that are not held stay NO_OWNER; those that
	 * leave are still LOCAL, and those that come still REMOTE. */
	const struct place *places;
	const struct way *ways; /* by the same; NULL: none has one of its own */
};

struct desired {
	struct dp_model *model;
	uint32_t *addr_ids; /* by compiled address; 0 = no id was free, or a spare one without */
	struct dp_identity *identities;
	size_t n_identities;
	size_t n_with_id, n_without_id;
};

void desired_build(const struct desired_in *in, struct desired **ret);
void desired_free(struct desired *d);
DEFINE_CLEANUP(struct desired *, desired_free);
#define DESIRED_MTU_DEFAULT 1500

/* ---- desired_ways.c: what is LOCAL in the model, and has a way of its own ---- */
void desired_ways(struct desired *d, const struct desired_in *in);

/* ---- desired_inside.c ---- */
void desired_inside(const struct compiled *c, const struct node_state *node, struct dp_model *m);
/* A sorted list without what lies in another of it; malloc'd. */
struct cidr *desired_cidrs_merge(const struct cidr *in, size_t n, size_t *ret_n);
