/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#pragma once
/*
 * What the BPF programs and the rest agree on: maps, their keys and values, and
 * the meaning of the mark. Included by both sides; explicit padding; sizes
 * asserted. Any change of layout is a new SLU_ABI, which is part of the pin path
 * (BPFFS/v5/…), so that two versions never share a map.
 *
 * THE MARK. Within mark_mask (default 0xffe00000) the highest bit is DIVERT, the
 * other ten are an id:
 *   0            not ours
 *   1..13        drop reason (drop_reasons.h): nft counts and drops
 *   14 REPLY     gateway: a reply on its way back into sluice0 (table SLU_TABLE_REPLY)
 *   15 CHECK     governed, allowed, as the node; judged again after DNAT, then cleared
 *   16..1023     address id: leave as addrs[id]. With DIVERT: owned elsewhere, go to
 *                sluice0. Without: owned here, snat to it. Conntrack zone of both: id,
 *                with DIVERT 1024 more, so that no connection meets another's binding
 * EVERY packet that a policy decides on leaves from_pod and from_tunnel WITH DIVERT: as it
 * stands it would be routed into sluice0 and dropped there. Where DIVERT is not meant
 * (reasons, CHECK, addresses owned here), nft takes it off first thing, told by skb priority
 * (SLU_PRIORITY_*) or by the device sluice0; so with nft flushed nothing gets out, while
 * traffic inside the cluster, which the routing table throws back, goes on.
 * On sluice0's egress a mark WITHOUT DIVERT is a node index (1..1023): replies.
 * ct mark, same bits: DIVERT alone (pod's node): the connection has an identity, and must not
 * leave without a mark;
 * without DIVERT, nonzero (gateway): node index the connection came from.
 *
 * WHAT IS IMMUTABLE. A tree node, a class, a rule, an identity, a pick and an address
 * id never change while something refers to them: a change makes new ones and then
 * switches one element (a policy's, a pod's, addrs[].state), so a packet sees the old or
 * the new answer, never half of each. A place that was let go is not written again before
 * every packet that was under way has ended (membarrier(2), MEMBARRIER_CMD_GLOBAL).
 */
#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

#ifndef SLU_ABI /* e2e builds another one to upgrade to */
#define SLU_ABI 5
#endif

#define SLU_MARK_MASK_DEFAULT 0xffe00000u

/* What from_pod leaves in the packet's priority, for nft to tell by one comparison. */
#define SLU_PRIORITY_LOCAL   0x534c5550u /* an address that is owned here: DIVERT off */
#define SLU_PRIORITY_TUNNEL  0x534c5551u /* one that is owned elsewhere: DIVERT is meant */
#define SLU_PRIORITY_RELEASE 0x534c5552u /* CHECK: DIVERT off */
#define SLU_PRIORITY_SEEN    0x534c5553u /* no policy decides */
#define SLU_PRIORITY_PROBE   0x534c5554u /* a test run by sluicectl: nothing is counted or told */
#define SLU_PRIORITY_VERDICT 0x534c5555u /* a drop reason: DIVERT off */

/* The same from to_tunnel on what it encapsulates; the low bits are those of the inner packet's. */
#define SLU_PRIORITY_OUTER	0x534c5560u
#define SLU_PRIORITY_OUTER_MASK 0xfffffff0u

/* The group of the device sluice0: cheaper to compare than its name. */
#define SLU_DEVICE_GROUP 5347

#define SLU_ID_REPLY 14
#define SLU_ID_CHECK 15
#define SLU_ID_FIRST 16
#define SLU_ID_MAX   1024 /* ids are < this */

#define SLU_TUNNEL_PORT_DEFAULT 5347
#define SLU_MAX_POD_ADDRS	8
#define SLU_MAX_PODS		4096
#define SLU_MAX_POLICIES	8192
#define SLU_MAX_IDENTITIES	4096
#define SLU_MAX_PICKS		262144
#define SLU_MAX_RANGES		262144
#define SLU_MAX_RULES		262144
#define SLU_MAX_COUNTERS	16384
#define SLU_MAX_CHUNKS		512  /* of the tree */
#define SLU_CHUNK_NODES		4096 /* in each */
#define SLU_MAX_INSIDE		65536
#define SLU_MAX_SERVICES	8192
#define SLU_MAX_ENDPOINTS	16   /* of one Service's port */
#define SLU_MAX_NODES		1024 /* index 0 unused */
#define SLU_MAX_INBOUND		32768

/* VNI of tunnels that end at the egress address, and of every reply (policy/compile.h has the same
 * number). */
#define SLU_VNI_ADDRESS 0x534c55u

/* Inner addresses of sluice0. Its own MAC (destination) and the foreign source MAC, on every node.
 */
#define SLU_MAC_DEVICE                             \
	{                                          \
		0x02, 0x53, 0x4c, 0x55, 0x00, 0x01 \
	}
#define SLU_MAC_SENDER                             \
	{                                          \
		0x02, 0x53, 0x4c, 0x55, 0x00, 0x02 \
	}

struct slu_addr { /* ::ffff:a.b.c.d for IPv4; network order */
	__u32 w[4];
};

/* map "pods": HASH, key __u32 host-side ifindex (macvlan: struct slu_macvlan_key in "macvlans") */
#define SLU_POD_NO_SOURCE_CHECK (1u << 0) /* exempt: and then never an identity */
#define SLU_POD_QUARANTINE	(1u << 1) /* everything outside is dropped with QUARANTINE */
#define SLU_POD_KEEP		(1u << 2) /* an edit changed who it is: look into "kept" first */
struct slu_pod {
	__u32 policy; /* key into "policies"; 0 = no policy selects the pod */
	__u32 audit;  /* the same, with the policies that are in mode Audit; 0 = there are none */
	__u32 flags;
	__u32 spread; /* hash of namespace/name for spread Pod */
	__u32 tenant; /* hash of the namespace: whose names it learns and may go by */
	__u8 mac[6];
	__u16 naddr;
	__u32 check; /* slu_pod_check(); maps.c alone writes it, and shows it as 0 */
	struct slu_addr addr[SLU_MAX_POD_ADDRS];
};

/*
 * The kernel may use a pod's element again for another pod while a packet still reads it. What
 * was read of it counts only if it fits `check`, which a mixture, or another device's, does not.
 * device: the host-side ifindex, of macvlans the parent's. decides: policy, audit, flags, spread,
 * tenant.
 */
#define SLU_POD_DECIDES 5
static inline __u32 slu_pod_check(__u32 device, const __u32 *decides, const __u16 *mac)
{
	__u64 h = ((__u64)decides[0] << 32 | decides[1]) * 0x9e3779b97f4a7c15ull;

	h ^= ((__u64)decides[2] << 32 | decides[3]) * 0xc2b2ae3d27d4eb4full;
	h ^= ((__u64)device << 32 | (__u32)mac[0] << 16 | mac[1]) * 0x165667b19e3779f9ull;
	h = (h ^ h >> 29 ^ ((__u64)decides[4] << 16 | mac[2])) * 0x27d4eb2f165667c5ull;
	return h >> 32;
}

/*
 * What a node would take apart, and send on as if it came from another node: VXLAN (also at
 * flannel's port), Geneve, Weave's, IP in IP, GRE. What is in it was not judged, and whose it is
 * nobody can tell, so no governed pod sends it to what lies inside. Our own port has a guard in
 * nftables. l4_key: protocol << 16 | port.
 */
static inline int slu_tunnelled(__u32 l4_key)
{
	switch (l4_key) {
	case 17u << 16 | 4789:
	case 17u << 16 | 6081:
	case 17u << 16 | 6784:
	case 17u << 16 | 8472:
		return 1;
	}
	switch (l4_key >> 16) {
	case 4:
	case 41:
	case 47:
		return 1;
	}
	return 0;
}

/* map "macvlans": HASH */
struct slu_macvlan_key {
	__u32 parent; /* ifindex */
	__u8 mac[6];
	__u16 pad;
};

/* Key of map "inside". */
struct slu_lpm_key {
	__u32 prefixlen; /* 0..128 */
	struct slu_addr addr;
};

/*
 * WHAT A POLICY SAYS ABOUT A DESTINATION is found in layers that know nothing of each
 * other: the policy's own prefixes, large sets that many policies share, and names.
 * Each layer answers with a cell: of its rules that match the packet, the first one
 * with an action in each step of the ordered list, and the first one with a via. Cells
 * are merged by taking the lower number of each pair; then the steps are walked: the
 * first rule whose action is not Pass decides. So no layer needs to know what the
 * others hold, and none is copied into another.
 *
 * map "policies": HASH, key __u32 policy → struct slu_policy. The kernel may write an element
 * that was replaced or deleted again while a packet still reads it, with BPF_F_NO_PREALLOC
 * too: so "epoch" counts up after each single one, and an answer counts only if the epoch
 * is the same before and after. Its rules are rules[first_rule .. first_rule + n_rules), in
 * evaluation order; a cell counts from first_rule.
 */
#define SLU_MAX_SETS	 8
#define SLU_POLICY_NAMES (1u << 0) /* some of its rules have names: look into "named" */
struct slu_set_ref {
	__u32 root;  /* a tree whose values are 1 (member) and 0 */
	__u32 class; /* of what is in it */
};
struct slu_policy {
	__u32 root; /* a tree whose values are classes */
	__u32 first_rule;
	__u32 n_rules;
	__u32 flags;
	__u32 n_sets;
	struct slu_set_ref sets[SLU_MAX_SETS];
};

/*
 * map "tree": ARRAY_OF_MAPS of SLU_MAX_CHUNKS arrays, SLU_CHUNK_NODES each, made when they
 * are needed; node i is element i % SLU_CHUNK_NODES of chunk i / SLU_CHUNK_NODES. Node 0 is
 * never used (pkg/bpf/tree.h builds and reads trees).
 * A node compares one 32-bit word of the address, in host order. It has up to 16 keys in
 * ascending order; each is where an interval begins, which ends before the next, and the
 * leftmost of a word is 0. Unused places repeat the highest key and the last value. An element
 * is found by going to the last key that is not above the word. 128 bytes: two cache lines, which
 * are fetched together; keys of 32 bits need neither branches nor a second line to be compared.
 * IPv6 begins at node `root` with the first word, IPv4 at node `root` - 1 with the last.
 */
#define SLU_TREE_WAYS  16
#define SLU_TREE_DEPTH 24	  /* nodes on the way to an answer, at most */
#define SLU_TREE_CHILD (1u << 31) /* the value is a node below; else it is the answer */
#define SLU_TREE_WORD  (1u << 30) /* with it: that node compares the next word */
#define SLU_TREE_VALUE (SLU_TREE_WORD - 1)
struct slu_tree_node {
	__u32 key[SLU_TREE_WAYS];
	__u32 value[SLU_TREE_WAYS];
};

/*
 * map "ranges": ARRAY SLU_MAX_RANGES. A class is the index of its first range; there,
 * `lo` is the number of ranges (the first one begins at 0); the others are sorted by lo.
 */
#define SLU_STEPS   5 /* Admin, pods, services, defaults, Baseline */
#define SLU_NO_RULE 0xffffu
struct slu_cell {
	__u16 verdict[SLU_STEPS]; /* rules, or SLU_NO_RULE */
	__u16 identity;
};
struct slu_range {
	__u32 lo; /* protocol << 16 | port (ICMP: type << 8 | code) */
	struct slu_cell cell;
};

/* map "rules": ARRAY SLU_MAX_RULES */
enum slu_action { SLU_NO_ACTION, SLU_ALLOW, SLU_DENY, SLU_REJECT, SLU_PASS };
#define SLU_RULE_LOG (1u << 0)
#define SLU_RULE_VIA (1u << 1)
struct slu_rule {
	__u8 action; /* enum slu_action */
	__u8 flags;
	__u16 identity; /* into "identities", when SLU_RULE_VIA; 0 = as the node */
	__u32 counter;	/* into "hits"; 0 = not counted */
};

/*
 * map "hits": PERCPU_ARRAY SLU_MAX_COUNTERS: what the rule decided on, its verdict and its via;
 * a rule that did both is counted once. Packets inside, and those that fail closed, are nobody's.
 * A reply to a connection from outside is counted as what the rule says of it, though nft lets
 * it pass.
 * connections: TCP: segments with SYN and without ACK. Other protocols: packets to an address,
 * protocol and port (ICMP: type and code) that "recent" did not know, so one for all sources and
 * source ports, and another one after each change and on each CPU.
 */
struct slu_hit {
	__u64 connections;
	__u64 packets, bytes;
};

/*
 * map "named": HASH (BPF_F_NO_PREALLOC), key struct slu_named_key → struct slu_named: which names
 * (ids given out by the daemon for each pattern a rule has) pods of a namespace have been told that
 * an address has, and until when (seconds of CLOCK_BOOTTIME). What one namespace knows is nobody
 * else's: it opens nothing for others, and takes no place from them.
 * map "name_classes": HASH (BPF_F_NO_PREALLOC), key struct slu_name_class → __u32 class, the
 * layer of the rules that have this name. It is keyed by the policy's root and not by its
 * id: a root is of one policy and one content of it, so that whoever has read the old
 * policy finds the old classes, and whoever has read the new one the new.
 */
#define SLU_NAME_GONE	     0xffffffffu /* at[0].name: the element is being deleted */
#define SLU_MAX_NAMED	     65536
#define SLU_MAX_NAMES_AT     12 /* of one address; the one that ends first makes room */
#define SLU_MAX_NAME_CLASSES 65536
struct slu_named_key {
	struct slu_addr addr;
	__u32 tenant; /* slu_pod.tenant */
};
struct slu_named {
	struct {
		__u32 name; /* 0 = free */
		__u32 until;
	} at[SLU_MAX_NAMES_AT];
	__u32 place; /* in the order of its namespace's (shares.bpf.h) */
	__u32 pad;
};
struct slu_name_class {
	__u32 root; /* slu_policy.root */
	__u32 name;
};

/*
 * map "patterns": HASH (BPF_F_NO_PREALLOC), key struct slu_name → struct slu_pattern: which
 * names rules ask for. A name is written backwards in lower case, "moc.elpmaxe.ipa", zeros
 * behind it, so that every name below another one begins like it. The element of the empty
 * name is no pattern: its `exact` is the highest id that was ever given out.
 */
#define SLU_MAX_PATTERNS 131072 /* twice what policies may have: for those that are replaced */
#define SLU_NAME_SIZE	 256
struct slu_name {
	char text[SLU_NAME_SIZE];
};
struct slu_pattern {
	__u32 exact; /* id of the name itself, 0 = no rule has it */
	__u32 below; /* id of "*." in front of it */
};

/*
 * map "name_flows": LRU_HASH, key struct slu_flow as the pod sends it (parent 0; without
 * ports they are 0) → struct slu_name_flow: what was let out because of names. It may go on
 * when their time is over, until it has been silent for too long. TCP: not with a SYN.
 */
#define SLU_MAX_NAME_FLOWS 65536
#define SLU_FLOW_IDLE_TCP  86400 /* seconds */
#define SLU_FLOW_IDLE	   180
struct slu_name_flow {
	__u32 seen;		      /* seconds of CLOCK_BOOTTIME */
	__u32 name[SLU_MAX_NAMES_AT]; /* 0 = none */
};

#define SLU_DNS_MAX 4096 /* bytes of an answer that are looked at */

/* map "name_counts": PERCPU_ARRAY SLU_NAMES_MAX of __u64 */
enum slu_names_count {
	SLU_NAMES_ANSWERS,   /* messages from resolvers */
	SLU_NAMES_LEARNED,   /* addresses that were learned from them, or known for longer */
	SLU_NAMES_FAILED,    /* not an answer, or one that says no */
	SLU_NAMES_TRUNCATED, /* the pod will ask again by TCP */
	SLU_NAMES_MALFORMED,
	SLU_NAMES_LONG,	   /* more than SLU_DNS_MAX bytes, or a fragment: read as far as that */
	SLU_NAMES_FOREIGN, /* from port 53 of an address that is not among dns.resolvers */
	SLU_NAMES_REBOUND, /* an address that no name may lead to: inside, loopback, link-local */
	SLU_NAMES_EXPIRED, /* addresses forgotten because others needed the room */
	SLU_NAMES_PUSHED,  /* forgotten because the namespace has more than its share: its oldest */
	SLU_NAMES_FULL,	   /* not learned: there was no room */
	SLU_NAMES_UNREAD,  /* by TCP, and the beginning had not been seen */
	SLU_NAMES_MAX,
};

/*
 * map "events": RINGBUF. A connection that a rule with `log` decided on, or that audit
 * decides otherwise: once when it begins, and again when the answer changes or it was
 * silent for SLU_FLOW_QUIET. map "told": LRU_HASH, key struct slu_flow as the pod sends it
 * (parent: the device), what was told of it. map "event_limits": PERCPU_ARRAY by the
 * deciding rule's counter: no more than SLU_EVENT_RATE a second from each processor; what
 * is over it, or finds no room, is counted.
 */
#define SLU_EVENTS_SIZE (1u << 20)
#define SLU_MAX_TOLD	65536
#define SLU_EVENT_RATE	50
#define SLU_FLOW_QUIET	180 /* seconds */
struct slu_event {
	__u64 at; /* ns of CLOCK_BOOTTIME */
	struct slu_addr src, dst;
	__u32 ifindex;
	__u32 counter;	     /* of the rule that decided, 0 = none did, or it has none */
	__u32 audit_counter; /* the same of the one that would */
	__u16 sport, dport;  /* network order; ICMP: 0, and type << 8 | code in host order */
	__u8 proto;
	__u8 verdict; /* enum slu_action: what was carried out */
	__u8 would;   /* the same: what audit says */
	__u8 pad;
};
struct slu_told {
	__u32 seen; /* seconds of CLOCK_BOOTTIME */
	__u32 answer;
};
struct slu_event_limit {
	__u64 second, in_second;
	__u64 told, lost;
};

/*
 * map "epoch": ARRAY of one __u32: counts up after every element of "policies" that is
 * written or deleted, after changes of "inside", and when a daemon begins: the one before
 * may have been killed between the two. map "recent": PERCPU_ARRAY SLU_RECENT: the merged
 * cell without names of a destination that was asked for a short while ago, valid within
 * its epoch.
 */
#define SLU_RECENT	  1024	    /* a power of 2 */
#define SLU_RECENT_INSIDE (1u << 0) /* it is inside, the cell says nothing */
#define SLU_RECENT_NAMES  (1u << 1) /* the policy has SLU_POLICY_NAMES */
#define SLU_RECENT_SERVICE                                                     \
	(1u << 5) /* and a Service's address: look into "services" by the port \
		   */
struct slu_recent {
	struct slu_addr dst;
	__u32 l4_key;
	__u32 policy; /* 0: empty */
	__u32 epoch;
	__u32 flags;
	__u32 root;
	__u32 first_rule;
	struct slu_cell cell;
};

/* map "identities": ARRAY; index 0 unused. [0] IPv4, [1] IPv6 */
struct slu_identity {
	__u32 first[2]; /* into "picks" */
	__u16 n[2];	/* 0: drop with none[], or as the node when none[] is SLU_OK */
	__u8 none[2];
	__u8 or_node; /* unavailable: Node: NO_OWNER becomes "as the node" */
	__u8 by_flow; /* spread Connection (0 before there was such a thing) */
};

/* map "picks": ARRAY of __u32 address ids (0 = NO_ID). picks[first + spread % n]; n is 1 unless
 * spread Pod; with by_flow slu_flow_spread() % n */

/*
 * A connection's place: of what the pod sends, before its destination is translated, ports in
 * network order and 0 where there are none. The same on every node and in every version, or
 * connections change their address with it.
 */
static inline __u32 slu_flow_spread(const struct slu_addr *src, const struct slu_addr *dst,
				    __u32 ports, __u32 proto)
{
	__u64 h = ((__u64)src->w[3] << 32 | dst->w[3]) * 0x9e3779b97f4a7c15ull;

	h ^= ((__u64)src->w[2] << 32 | dst->w[2]) * 0xc2b2ae3d27d4eb4full;
	h ^= (h >> 29) ^ ((__u64)dst->w[1] << 32 | dst->w[0]);
	h ^= ((__u64)proto << 32 | ports) * 0x165667b19e3779f9ull;
	h = (h ^ h >> 32) * 0x27d4eb2f165667c5ull;
	return h >> 32;
}
#define SLU_PORTS(sport, dport) ((__u32)(sport) << 16 | (__u16)(dport))

/* map "addrs": ARRAY SLU_ID_MAX */
enum slu_addr_state {
	SLU_ADDR_FREE = 0, /* dropped as NO_ID */
	SLU_ADDR_LOCAL,	   /* owned here and on its interface */
	SLU_ADDR_REMOTE,   /* owned by another node: DIVERT */
	SLU_ADDR_NO_OWNER, /* dropped as NO_OWNER */
};
struct slu_egress {
	__u32 state; /* the one word that changes in place */
	__u32 vni;
	struct slu_addr addr;	  /* what the outside sees */
	struct slu_addr endpoint; /* outer destination of the tunnel */
};

/* map "nodes": ARRAY SLU_MAX_NODES, index → */
struct slu_node {
	struct slu_addr v4, v6; /* zero: none */
};

/* map "senders": HASH, key struct slu_addr (a node's address) → __u32 node index */

/* map "owned": HASH: what arrives here by tunnel as an egress request */
struct slu_owned_key {
	struct slu_addr endpoint;
	__u32 vni;
};
/* → __u32 address id */

/* map "inside": LPM_TRIE, key struct slu_lpm_key → __u32 SLU_INSIDE_* */
#define SLU_INSIDE_ALL (1u << 0)
#define SLU_INSIDE_DNS (1u << 1) /* port 53 only (dns.resolvers) */
#define SLU_INSIDE_POD \
	(1u << 2) /* a cluster CIDR: a tunnel's inner source (and a reply's destination) */
#define SLU_INSIDE_SERVICE \
	(1u << 3) /* a Service that leads outside by some port: look into "services" */
#define SLU_INSIDE_SHARED                                                                        \
	(1u << 4) /* it is not: broadcast or anycast of the node's links, which it takes as well \
		   */
#define SLU_INSIDE_NODE	 (1u << 5) /* nor is this: an ExternalIP of some node */
#define SLU_INSIDE_TAKEN (1u << 6) /* a node's or an egress address, so no pod's; ADD asks */

/*
 * map "services": HASH: what translation will make of a destination. A packet to a Service is
 * judged as one to each of its endpoints outside, which must agree. Those inside are not here:
 * what translation sends there nft leaves alone.
 */
struct slu_endpoint {
	struct slu_addr addr;
	__u32 l4_key; /* protocol << 16 | port */
};
struct slu_service {
	__u32 n; /* 0: closed, there are more than SLU_MAX_ENDPOINTS */
	struct slu_endpoint at[SLU_MAX_ENDPOINTS];
};
/* key: struct slu_endpoint, the Service's own address and port */

/* map "config": ARRAY of one */
struct slu_config {
	__u32 mark_mask;
	__u32 mark_shift;		  /* of the id */
	__u32 divert;			  /* the bit */
	__u32 tunnel_port;		  /* host order */
	struct slu_addr self_v4, self_v6; /* own outer source; zero: none */
	__u8 mac_sender[6];
	__u8 audit; /* the cluster-wide switch: Deny and Reject are counted, and suspended */
	__u8 pad;
	__u32 dns_min_ttl, dns_grace; /* seconds: a name is good for max(TTL, min) + grace */
};

/*
 * map "inbound": LRU_HASH → __u32 SLU_FLOW_*. What a macvlan's parent remembers,
 * since the node's conntrack never sees these packets. Always as the pod would
 * send it: local is the pod. Ports in network order.
 */
#define SLU_FLOW_INBOUND  1u /* the outside spoke first: replies pass */
#define SLU_FLOW_OUTBOUND 2u /* the pod did, allowed: what comes back is no request */
#define SLU_FLOW_FRAGMENT 3u /* the first fragment passed: the others may follow */
struct slu_flow {
	struct slu_addr local, remote;
	__u32 parent;	    /* ifindex */
	__u16 lport, rport; /* echo: the id and 0. Fragments: the two halves of the id */
	__u8 proto;
	__u8 fragment; /* 1: keyed by fragment id */
	__u16 pad;
};

/*
 * map "kept": HASH, key struct slu_flow as the pod sends it (parent 0; TCP, UDP and SCTP)
 * → __u32 address id, 0 = as the node. Connections that were open when an edit gave their
 * pod another identity (existingConnections: Keep); a verdict against them still counts,
 * and a TCP SYN deletes its entry: a new connection with the same ports.
 */
#define SLU_MAX_KEPT 65536

/* map "build": ARRAY of one __u64: digest of the object whose programs are pinned; 0 while they are
 * exchanged */

/* map "drops": PERCPU_ARRAY SLU_REASON_MAX */
struct slu_count {
	__u64 packets, bytes;
};

/*
 * map "audits": PERCPU_ARRAY SLU_AUDIT_MAX of struct slu_count: packets whose verdict would be
 * another if pod.audit were pod.policy, or if config.audit did not suspend it.
 */
enum slu_audit {
	SLU_AUDIT_WOULD_ALLOW,
	SLU_AUDIT_WOULD_DENY, /* or reject */
	SLU_AUDIT_MAX,
};

#ifndef __VMLINUX_H__
_Static_assert(sizeof(struct slu_addr) == 16, "abi");
_Static_assert(sizeof(struct slu_service) == 4 + 20 * SLU_MAX_ENDPOINTS, "abi");
_Static_assert(sizeof(struct slu_pod) == 32 + 16 * SLU_MAX_POD_ADDRS, "abi");
_Static_assert(sizeof(struct slu_macvlan_key) == 12, "abi");
_Static_assert(sizeof(struct slu_lpm_key) == 20, "abi");
_Static_assert(sizeof(struct slu_policy) == 20 + 8 * SLU_MAX_SETS, "abi");
_Static_assert(sizeof(struct slu_tree_node) == 128, "abi");
_Static_assert(sizeof(struct slu_cell) == 12, "abi");
_Static_assert(sizeof(struct slu_range) == 16, "abi");
_Static_assert(sizeof(struct slu_rule) == 8, "abi");
_Static_assert(sizeof(struct slu_hit) == 24, "abi");
_Static_assert(sizeof(struct slu_named_key) == 20, "abi");
_Static_assert(sizeof(struct slu_named) == 8 * SLU_MAX_NAMES_AT + 8, "abi");
_Static_assert(sizeof(struct slu_name_class) == 8, "abi");
_Static_assert(sizeof(struct slu_name) == 256, "abi");
_Static_assert(sizeof(struct slu_pattern) == 8, "abi");
_Static_assert(sizeof(struct slu_name_flow) == 4 + 4 * SLU_MAX_NAMES_AT, "abi");
_Static_assert(sizeof(struct slu_event) == 64, "abi");
_Static_assert(sizeof(struct slu_told) == 8, "abi");
_Static_assert(sizeof(struct slu_event_limit) == 32, "abi");
_Static_assert(sizeof(struct slu_recent) == 52, "abi");
_Static_assert(sizeof(struct slu_identity) == 16, "abi");
_Static_assert(sizeof(struct slu_egress) == 40, "abi");
_Static_assert(sizeof(struct slu_node) == 32, "abi");
_Static_assert(sizeof(struct slu_owned_key) == 20, "abi");
_Static_assert(sizeof(struct slu_config) == 64, "abi");
_Static_assert(sizeof(struct slu_flow) == 44, "abi");
_Static_assert(sizeof(struct slu_count) == 16, "abi");
#endif
