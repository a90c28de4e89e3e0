/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * This node as it is now: interfaces and addresses, read once a pass, and what the
 * compiler must know of them.
 */
#include <stdbool.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "kernel/rtnl.h"
#include "policy/compile.h"
#include "state/record.h"

struct node_state {
	struct link_info *links; /* sorted by ifindex */
	size_t n_links;
	struct ifaddr *addrs;
	size_t n_addrs;
	/* for the compiler: without sluice0, without egress addresses that we put there */
	struct node_iface *ifaces;
	size_t n_ifaces;
	uint64_t digest; /* of ifaces */
	bool ipv6;	 /* the kernel has it, and new interfaces get it */
};

int node_observe(struct rtnl *r, struct node_state **ret, struct err *e);
void node_free(struct node_state *n);
DEFINE_CLEANUP(struct node_state *, node_free);

const struct link_info *node_link(const struct node_state *n, uint32_t ifindex);
const struct link_info *node_link_name(const struct node_state *n, const char *name);
/* The address, ours or not, on that interface; NULL = not there. */
const struct ifaddr *node_addr(const struct node_state *n, uint32_t ifindex, struct addr addr);

/*
 * Where nobody said what the cluster's prefixes are: the subnets of this node's
 * bridges, which is where a chain puts its pods, and the recorded pods' addresses
 * that are in none of them. Sorted, malloc'd.
 */
void node_derive_cidrs(const struct node_state *n, struct record *const *records, size_t n_records,
		       struct cidr **ret, size_t *ret_n);
