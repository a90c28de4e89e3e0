/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Reads from the kernel what is ours, as a model that plan.h compares with the
 * desired one. Changes nothing.
 */
#include "dataplane/model.h"

struct bpf_pins;

/* The doors a pass works through; borrowed. */
struct dp_kernel {
	struct rtnl *rtnl;
	struct nft *nft;
	struct bpf_pins *pins;
};

struct dp_observe_in {
	const struct dp_model
		*want; /* for comparisons the kernel side makes: sluice0's kind, nft */
	const struct dp_model
		*known;		    /* maps only we write: taken from here; NULL = read them too */
	const struct ifaddr *addrs; /* every address of the node */
	size_t n_addrs;
};

/* -EEXIST when a routing table of ours holds routes of somebody else. */
int dp_observe(const struct dp_kernel *k, const struct dp_observe_in *in, struct dp_model **ret,
	       struct err *e);
