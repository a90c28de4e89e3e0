/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Everything Sluice has in the kernel of one node, as data. The desired model is
 * computed from compiled policies and records; observe() reads the same from the
 * kernel; plan() is the difference; apply() makes it so, in the order in which no
 * packet meets half of it. ADD is the plan for one attachment, CHECK is "the plan
 * is empty", DEL is desired = nothing, the daemon does the same over all.
 *
 * Kernel objects (SLU_RTPROT etc. mark what is ours):
 *   link sluice0 (VXLAN external, SLU_MAC_DEVICE), up, mtu; 169.254.83.1/32 and
 *     fe80::53:1/128 on it; conf/sluice0/rp_filter = 2; tc: to_tunnel, from_tunnel
 *   neighbours on sluice0: 169.254.83.2, fe80::53:2 → SLU_MAC_DEVICE, permanent
 *   rule 999  fwmark REPLY/M  → table TABLE_REPLY;  rule 1000  fwmark DIVERT/DIVERT → TABLE_DIVERT
 *   TABLE_DIVERT: throw <inside CIDRs>, default via neighbour dev sluice0 onlink (v6: mtu),
 *     unreachable default metric 4096
 *   rule 1001  fwmark id/M  → table TABLE_WAY + n: on-link prefixes of an interface, default by it,
 *     unreachable default metric 4096, for addresses that leave by another way than the default
 *   TABLE_REPLY: <cluster CIDRs> via neighbour dev sluice0 onlink; no default: a reverse
 *     path look-up of an outside source must fall through to main
 *   egress addresses owned here, /32 or /128 on their interface (IFA_PROTO)
 *   nft table (kernel/nft.h); BPF maps (bpf/abi.h)
 *   per pod: map entry, then from_pod on the host side of its veth
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "bpf/abi.h"
#include "inet/addr.h"
#include "inet/cidr.h"
#include "kernel/nft.h"
#include "kernel/rtnl.h"

#define DP_LINK		"sluice0"
#define DP_TABLE_DIVERT 5347
#define DP_TABLE_REPLY	5348
#define DP_RULE_REPLY	999
#define DP_RULE_DIVERT	1000
#define DP_METRIC_LAST	4096 /* of the unreachable default */
#define DP_RULE_WAY	1001 /* an address that does not leave by the node's default route */
#define DP_TABLE_WAY	5349 /* and those behind it: one for each interface and next hop */
#define DP_MAX_WAYS	16

/* One pod interface: what ADD programs and CHECK compares. */
struct dp_attachment {
	bool macvlan;
	uint32_t ifindex; /* host side veth, or macvlan parent */
	struct slu_pod pod;
	bool names; /* a veth whose policy has names: slu_to_pod as well */
};

/* In every list below ifindex DP_TUNNEL stands for sluice0, whatever its number is. */
#define DP_TUNNEL 0

struct dp_link {      /* sluice0 */
	bool present; /* and a VXLAN device as we make it; observed only: wrong = something else has
			 the name */
	bool wrong;
	bool up;
	uint16_t port;
	uint32_t mtu;
	int rp_filter;
	bool to_tunnel, from_tunnel; /* the programs are attached and reached */
};

struct dp_inside {
	struct slu_lpm_key key;
	uint32_t flags; /* SLU_INSIDE_* */
};

struct dp_service {
	struct slu_endpoint at;
	struct slu_service to;
};

struct dp_sender {
	struct slu_addr addr;
	uint32_t node;
};

struct dp_owned {
	struct slu_owned_key key;
	uint32_t id;
};

struct dp_pod {
	struct dp_attachment a;
	bool attached; /* observed: all its programs are there and reached */
};

/*
 * Desired and observed alike. Lists are sorted by dp_model_sort() and unique by key;
 * addrs holds sluice0's own addresses and our egress addresses.
 */
struct dp_model {
	struct dp_link link;
	struct ifaddr *addrs;
	size_t n_addrs;
	struct neigh *neighs;
	size_t n_neighs;
	struct fib_rule *rules;
	size_t n_rules;
	struct route *routes; /* of both tables */
	size_t n_routes;
	struct slu_config config;
	struct dp_inside *inside;
	size_t n_inside;
	struct dp_service *services;
	size_t n_services;
	struct dp_sender *senders;
	size_t n_senders;
	struct dp_owned *owned;
	size_t n_owned;
	struct dp_pod *pods;
	size_t n_pods;
	struct slu_node nodes[SLU_MAX_NODES];
	struct slu_egress egress[SLU_ID_MAX];
	bool nft;	 /* desired: the table is wanted, as in nft_model */
	int nft_differs; /* observed: nft_observe's answer */
	bool no_guard;	 /* observed: bpf/guard.h's exit guard is missing, and possible here */
	/* desired only; the lists are owned here */
	struct nft_model nft_model;
	struct nft_address *nft_addresses;
	struct nft_limit *nft_limits;
	struct nft_room *nft_rooms;
	uint32_t *nft_nodes;
	struct cidr *nft_inside;
	struct addr *nft_ends, *nft_governed;
	struct nft_service *nft_services;
};

struct dp_model *dp_model_new(void);
void dp_model_free(struct dp_model *m);
DEFINE_CLEANUP(struct dp_model *, dp_model_free);
/* The translations (address and port to endpoint) that these services stand for; malloc'd. */
struct nft_service *dp_translations(const struct dp_service *list, size_t n, size_t *ret_n);
void dp_model_sort(struct dp_model *m);
/* A copy of m's part that is in maps which only we write, without the pods. */
struct dp_model *dp_model_maps(const struct dp_model *m);

int dp_ifaddr_cmp(const void *a, const void *b);
int dp_neigh_cmp(const void *a, const void *b);
int dp_rule_cmp(const void *a, const void *b);
/* By table, destination and metric: of these the kernel has one route. */
int dp_route_cmp(const void *a, const void *b);
int dp_inside_cmp(const void *a, const void *b);
int dp_service_cmp(const void *a, const void *b);
int dp_sender_cmp(const void *a, const void *b);
int dp_owned_cmp(const void *a, const void *b);
int dp_pod_cmp(const void *a, const void *b);
