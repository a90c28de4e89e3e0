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
 *   TABLE_REPLY: <cluster CIDRs> via neighbour dev sluice0 onlink; no default: a reverse
 *     path look-up of an outside source must fall through to main
 *   egress addresses owned here, /32 or /128 on their interface (IFA_PROTO)
 *   nft table (kernel/nft.h); BPF maps (bpf/abi.h)
 *   per pod: map entry, then from_pod on the host side of its veth
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "bpf/abi.h"
#include "inet/addr.h"
#include "inet/cidr.h"

#define DP_LINK		"sluice0"
#define DP_TABLE_DIVERT 5347
#define DP_TABLE_REPLY	5348
#define DP_RULE_REPLY	999
#define DP_RULE_DIVERT	1000

/* One pod interface: what ADD programs and CHECK compares. */
struct dp_attachment {
	bool macvlan;
	uint32_t ifindex; /* host side veth, or macvlan parent */
	struct slu_pod pod;
};
