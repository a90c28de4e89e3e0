/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#pragma once
/*
 * What all programs share: the maps, the mark, the count of drops. UAPI headers
 * only: no kernel structure is looked into, so neither vmlinux.h nor the build
 * machine's BTF is needed, and one object runs on 6.1 and later.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/pkt_cls.h>

#include "bpf/base.bpf.h"

#define NS_PER_S 1000000000ull

/* Of two words, so that the upper bits can be a place in a table. */
static __always_inline __u64 hash_of(__u64 a, __u64 b)
{
	return a * 0x9e3779b97f4a7c15ull ^ b * 0xc2b2ae3d27d4eb4full;
}

/* of a frame, in network order */
static __always_inline bool is_ip(__u16 proto)
{
	return proto == bpf_htons(ETH_P_IP) || proto == bpf_htons(ETH_P_IPV6);
}

SLU_MAP(pods, BPF_MAP_TYPE_HASH, __u32, struct slu_pod, SLU_MAX_PODS, 0);
SLU_MAP(macvlans, BPF_MAP_TYPE_HASH, struct slu_macvlan_key, struct slu_pod, SLU_MAX_PODS, 0);
SLU_MAP(ranges, BPF_MAP_TYPE_ARRAY, __u32, struct slu_range, SLU_MAX_RANGES, 0);
SLU_MAP(identities, BPF_MAP_TYPE_ARRAY, __u32, struct slu_identity, SLU_MAX_IDENTITIES, 0);
SLU_MAP(picks, BPF_MAP_TYPE_ARRAY, __u32, __u32, SLU_MAX_PICKS, 0);
SLU_MAP(nodes, BPF_MAP_TYPE_ARRAY, __u32, struct slu_node, SLU_MAX_NODES, 0);
SLU_MAP(senders, BPF_MAP_TYPE_HASH, struct slu_addr, __u32, SLU_MAX_NODES * 2, 0);
SLU_MAP(owned, BPF_MAP_TYPE_HASH, struct slu_owned_key, __u32, SLU_ID_MAX, 0);
SLU_MAP(services, BPF_MAP_TYPE_HASH, struct slu_endpoint, struct slu_service, SLU_MAX_SERVICES,
	BPF_F_NO_PREALLOC);
SLU_MAP(inbound, BPF_MAP_TYPE_LRU_HASH, struct slu_flow, __u32, SLU_MAX_INBOUND, 0);
SLU_MAP(kept, BPF_MAP_TYPE_HASH, struct slu_flow, __u32, SLU_MAX_KEPT, BPF_F_NO_PREALLOC);
SLU_MAP(build, BPF_MAP_TYPE_ARRAY, __u32, __u64, 1, 0);

SLU_MAP(policies, BPF_MAP_TYPE_HASH, __u32, struct slu_policy, SLU_MAX_POLICIES, BPF_F_NO_PREALLOC);
SLU_MAP(rules, BPF_MAP_TYPE_ARRAY, __u32, struct slu_rule, SLU_MAX_RULES, 0);
SLU_MAP(hits, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, struct slu_hit, SLU_MAX_COUNTERS, 0);
SLU_MAP(audits, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, struct slu_count, SLU_AUDIT_MAX, 0);
SLU_MAP(named, BPF_MAP_TYPE_HASH, struct slu_named_key, struct slu_named, SLU_MAX_NAMED,
	BPF_F_NO_PREALLOC);
SLU_MAP(name_flows, BPF_MAP_TYPE_LRU_HASH, struct slu_flow, struct slu_name_flow,
	SLU_MAX_NAME_FLOWS, 0);
SLU_MAP(name_classes, BPF_MAP_TYPE_HASH, struct slu_name_class, __u32, SLU_MAX_NAME_CLASSES,
	BPF_F_NO_PREALLOC);
SLU_MAP(told, BPF_MAP_TYPE_LRU_HASH, struct slu_flow, struct slu_told, SLU_MAX_TOLD, 0);
SLU_MAP(event_limits, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, struct slu_event_limit, SLU_MAX_COUNTERS,
	0);
SLU_MAP(epoch, BPF_MAP_TYPE_ARRAY, __u32, __u32, 1, 0);
SLU_MAP(recent, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, struct slu_recent, SLU_RECENT, 0);

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, SLU_EVENTS_SIZE);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} events SEC(".maps");

/* User space writes nodes through the memory of the array: as many as it likes at once. */
struct tree_chunk {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SLU_CHUNK_NODES);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct slu_tree_node));
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, SLU_MAX_CHUNKS);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
	__array(values, struct tree_chunk);
} tree SEC(".maps");

static __always_inline void count_add(struct slu_count *c, struct __sk_buff *skb)
{
	if (c) {
		c->packets++;
		c->bytes += skb->len;
	}
}

static __always_inline int drop(struct __sk_buff *skb, __u32 reason)
{
	count_add(bpf_map_lookup_elem(&drops, &reason), skb);
	return TC_ACT_SHOT;
}

/*
 * Writes our bits and nothing else. The barrier keeps clang from narrowing the
 * store to the bytes that changed: the verifier takes whole words only.
 */
static __always_inline void mark_set(struct __sk_buff *skb, const struct slu_config *c, __u32 bits)
{
	__u32 mark = skb->mark;

	mark = (mark & ~c->mark_mask) | (bits & c->mark_mask);
	barrier_var(mark);
	skb->mark = mark;
}

/* 224.0.0.0/4, 255.255.255.255, ff00::/8 */
static __always_inline bool addr_multicast(const struct slu_addr *a)
{
	if (addr_v4(a))
		return (a->w[3] & bpf_htonl(0xf0000000)) == bpf_htonl(0xe0000000) ||
		       a->w[3] == 0xffffffff;
	return (a->w[0] & bpf_htonl(0xff000000)) == bpf_htonl(0xff000000);
}

/* 169.254.0.0/16, fe80::/10 */
static __always_inline bool addr_link_local(const struct slu_addr *a)
{
	if (addr_v4(a))
		return (a->w[3] & bpf_htonl(0xffff0000)) == bpf_htonl(0xa9fe0000);
	return (a->w[0] & bpf_htonl(0xffc00000)) == bpf_htonl(0xfe800000);
}

static __always_inline bool mac_same(const __u8 *a, const __u8 *b)
{
	return a[0] == b[0] && a[1] == b[1] && a[2] == b[2] && a[3] == b[3] && a[4] == b[4] &&
	       a[5] == b[5];
}

/*
 * ns / NS_PER_S without a division, which takes as long as a look-up: by a fraction of 2^58 that is
 * a little too small, so that the result is right or, for 2^59 ns (18 years), one too low.
 */
static __always_inline __u32 seconds_of(__u64 ns)
{
	__u64 s = (ns >> 24) * 288230376ull >> 34;

	return s + (ns - s * NS_PER_S >= NS_PER_S);
}

static __always_inline __u32 seconds_now(void)
{
	return seconds_of(bpf_ktime_get_boot_ns());
}

/* A place of an element of "named" is read and written as one word: never one's name with
 * another's time. */
union named_place {
	struct {
		__u32 name, until;
	};
	__u64 word;
};

#define NAMED_PLACE(e, i) ((__u64 *)&(e)->at[i])

/* What of a pod decides about a packet. */
struct who {
	__u32 policy, audit, flags, spread, tenant;
};

_Static_assert(sizeof(struct who) == SLU_POD_DECIDES * sizeof(__u32),
	       "as slu_pod_check() takes it");

/* Reads it once. False: the element was written again meanwhile (abi.h). */
static __always_inline bool pod_read(__u32 device, const struct slu_pod *pod, struct who *ret,
				     __u16 *ret_mac)
{
	const volatile struct slu_pod *now = pod;
	const volatile __u16 *m = (const volatile __u16 *)now->mac;

	ret->policy = now->policy;
	ret->audit = now->audit;
	ret->flags = now->flags;
	ret->spread = now->spread;
	ret->tenant = now->tenant;
	ret_mac[0] = m[0];
	ret_mac[1] = m[1];
	ret_mac[2] = m[2];
	return slu_pod_check(device, (const __u32 *)ret, ret_mac) == now->check;
}
