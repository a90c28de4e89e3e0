/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The difference between two models as steps, in the order in which no packet meets
 * half of it. PURE. Steps borrow from both models: keep them until applied.
 *
 *   translations that go, out of nft; then the Services that were judged by them
 *   sluice0, its programs, addresses and neighbours; maps that only describe the
 *   cluster; routes before the rules that lead to them
 *   release: the address's state first
 *   claim:   address on its interface → nft → owned → state LOCAL
 *   the exit guard, which knows all addresses by then
 *   programs (policies), then the pods that use them, then pods that are gone
 *   release: owned → address off its interface; policies and ids nobody uses
 */
#include "base/cleanup.h"
#include "dataplane/model.h"
#include "dataplane/programs.h"

enum dp_op {
	DP_LINK_DEL,
	DP_LINK_ADD,
	DP_LINK_SET, /* mtu, up */
	DP_LINK_RP_FILTER,
	DP_LINK_TO_TUNNEL,
	DP_LINK_FROM_TUNNEL,
	DP_ADDR_ADD,
	DP_ADDR_DEL,
	DP_NEIGH_SET,
	DP_NEIGH_DEL,
	DP_ROUTE_ADD,
	DP_ROUTE_DEL,
	DP_RULE_ADD,
	DP_RULE_DEL,
	DP_CONFIG,
	DP_NODE, /* index */
	DP_SENDER_SET,
	DP_SENDER_DEL,
	DP_INSIDE_SET,
	DP_INSIDE_DEL,
	DP_SERVICE_SET,
	DP_SERVICE_DEL,
	DP_NFT_CLOSE,	 /* translations that are judged as something else from now on */
	DP_EPOCH,	 /* what packets remember of `inside` counts no more */
	DP_EGRESS_STATE, /* index, state: one word of an entry that stands */
	DP_EGRESS_SET,	 /* index: a whole entry, nobody refers to it yet */
	DP_EGRESS_FREE,	 /* index */
	DP_NFT,
	DP_NFT_DEL,
	DP_GUARD, /* the exit guard that is no part of nftables */
	DP_OWNED_SET,
	DP_OWNED_DEL,
	DP_PROGRAMS,
	DP_PROGRAMS_RETIRE,
	DP_POD_ATTACH,
	DP_POD_CLOSE,	/* its record is gone, so it is going: what it still sends is dropped */
	DP_POD_RELEASE, /* all is taken away, and the pod lives on */
	DP_OP_COUNT,
};

struct dp_step {
	enum dp_op op;
	uint32_t index;
	uint32_t state;
	const void *arg; /* element of one of the models' lists */
	bool skip;	 /* the caller's: leave this one out */
	bool done;	 /* dp_apply carried it out */
};

/*
 * Asked before each step on a pod's interface: 0 = go on, and close is called after it;
 * else the step is left out. A pod's own ADD or DEL may be at work on it.
 */
struct dp_gate {
	int (*open)(const struct dp_step *s, void *data);
	void (*close)(void *data);
	void *data;
};

struct dp_plan {
	struct dp_step *steps;
	size_t n;
	const struct dp_model *desired;
	const struct programs_plan *programs; /* NULL: none */
	const struct dp_gate *gate;	      /* NULL: none; set by the caller */
	struct nft_service *closed; /* translations that are no longer judged as they are */
	size_t n_closed;
	struct route *routes_left; /* what a rebuilt sluice0 leaves of the observed ones */
};

/* programs may be NULL or empty. */
struct dp_plan *dp_plan_new(const struct dp_model *desired, const struct dp_model *observed,
			    const struct programs_plan *programs);
void dp_plan_free(struct dp_plan *p);
DEFINE_CLEANUP(struct dp_plan *, dp_plan_free);
const char *dp_op_name(enum dp_op op);
