/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#pragma once
/*
 * Both ends of sluice0. The tunnel of an egress request ends at the egress
 * address itself, so the outer destination names the address; the tunnel of a
 * reply ends at the node the connection came from. Both directions may meet on
 * one node address (addressFrom), there the VNI tells them apart: a request is
 * what "owned" knows, a reply is what carries SLU_VNI_ADDRESS to our own address.
 */
#include "bpf/parse.bpf.h"

#define TC_PRIO_MAX 15 /* linux/pkt_sched.h: above are numbers of classes */

/* Sends the packet to remote from our own address of that family. 0 or a reason. */
static __always_inline int tunnel_to(struct __sk_buff *skb, const struct slu_config *c,
				     const struct slu_addr *remote, __u32 vni)
{
	struct bpf_tunnel_key key = {.tunnel_id = vni, .tunnel_ttl = 64};
	__u64 flags = BPF_F_DONT_FRAGMENT;

	if (addr_v4(remote)) {
		if (addr_zero(&c->self_v4))
			return SLU_DROP_TUNNEL_NO_ENTRY;
		key.remote_ipv4 = bpf_ntohl(remote->w[3]);
		key.local_ipv4 = bpf_ntohl(c->self_v4.w[3]);
		flags |= BPF_F_ZERO_CSUM_TX;
	} else {
		/* Receivers drop IPv6 UDP without checksum (RFC 6936): no such flag here. */
		if (addr_zero(remote) || addr_zero(&c->self_v6))
			return SLU_DROP_TUNNEL_NO_ENTRY;
		__builtin_memcpy(key.remote_ipv6, remote, sizeof(key.remote_ipv6));
		__builtin_memcpy(key.local_ipv6, &c->self_v6, sizeof(key.local_ipv6));
		flags |= BPF_F_TUNINFO_IPV6;
	}
	return bpf_skb_set_tunnel_key(skb, &key, sizeof(key), flags) ? SLU_DROP_TUNNEL_KEY : 0;
}

static __always_inline int to_address(struct __sk_buff *skb, const struct slu_config *c, __u32 id)
{
	struct slu_egress *a;

	/* nft would have dropped or released it: it is not in force */
	if (id < SLU_ID_FIRST)
		return id && id < SLU_MARK_REASONS ? id : SLU_DROP_TUNNEL_NO_ENTRY;
	a = bpf_map_lookup_elem(&addrs, &id);
	if (!a)
		return SLU_DROP_TUNNEL_NO_ENTRY;
	/*
	 * LOCAL: it became ours after from_pod looked; the tunnel reaches us through lo. What
	 * came by tunnel and is to leave by tunnel again was not released by nft.
	 */
	if (skb->ingress_ifindex == skb->ifindex)
		return SLU_DROP_TUNNEL_NO_ENTRY;
	if (a->state == SLU_ADDR_NO_OWNER)
		return SLU_DROP_NO_OWNER;
	if (a->state == SLU_ADDR_FREE)
		return SLU_DROP_TUNNEL_NO_ENTRY;
	return tunnel_to(skb, c, &a->endpoint, a->vni);
}

static __always_inline int to_node(struct __sk_buff *skb, const struct slu_config *c, __u32 index)
{
	struct slu_node *n = bpf_map_lookup_elem(&nodes, &index);

	if (!n)
		return SLU_DROP_TUNNEL_NO_ENTRY;
	if (!addr_zero(&n->v4) && !addr_zero(&c->self_v4))
		return tunnel_to(skb, c, &n->v4, SLU_VNI_ADDRESS);
	return tunnel_to(skb, c, &n->v6, SLU_VNI_ADDRESS);
}

/* The other end's device has our MAC, and a device drops what it seems to have sent. */
static __always_inline bool sender_write(struct __sk_buff *skb, const struct slu_config *c)
{
	struct ethhdr *eth = (void *)(long)skb->data;

	if ((void *)(eth + 1) > (void *)(long)skb->data_end)
		return false;
	__builtin_memcpy(eth->h_source, c->mac_sender, sizeof(eth->h_source));
	return true;
}

SEC("tc")
int slu_to_tunnel(struct __sk_buff *skb)
{
	struct slu_config *c = config_get();
	__u32 mark = skb->mark, id;
	int reason;

	if (!c || !(mark & c->mark_mask) || !is_ip(skb->protocol))
		return drop(skb, SLU_DROP_TUNNEL_UNMARKED);
	id = (mark & c->mark_mask & ~c->divert) >> (c->mark_shift & 31);
	if (mark & c->divert)
		reason = to_address(skb, c, id);
	else
		reason = to_node(skb, c, id);
	if (reason)
		return drop(skb, reason);
	if (!sender_write(skb, c))
		return drop(skb, SLU_DROP_MALFORMED);
	skb->mark = 0; /* the outer packet must meet no rule of ours, or it loops back here */
	if (skb->priority <= TC_PRIO_MAX) /* else somebody classified it */
		skb->priority |= SLU_PRIORITY_OUTER;
	return TC_ACT_UNSPEC;
}

/* Who sent it, to which of our addresses. The kernel gives IPv4 in host order, IPv6 as it is. */
static __always_inline bool tunnel_ends(struct __sk_buff *skb, struct slu_addr *ret_remote,
					struct slu_owned_key *ret_local)
{
	struct bpf_tunnel_key key = {};

	if (!bpf_skb_get_tunnel_key(skb, &key, sizeof(key), 0)) {
		*ret_remote = addr_of_v4(bpf_htonl(key.remote_ipv4));
		ret_local->endpoint = addr_of_v4(bpf_htonl(key.local_ipv4));
	} else if (!bpf_skb_get_tunnel_key(skb, &key, sizeof(key), BPF_F_TUNINFO_IPV6)) {
		__builtin_memcpy(ret_remote, key.remote_ipv6, sizeof(*ret_remote));
		__builtin_memcpy(&ret_local->endpoint, key.local_ipv6, sizeof(*ret_remote));
	} else {
		return false;
	}
	ret_local->vni = key.tunnel_id;
	return true;
}

static __always_inline bool is_loopback(const struct slu_addr *a)
{
	if (addr_v4(a))
		return (a->w[3] & bpf_htonl(0xff000000)) == bpf_htonl(0x7f000000);
	return !a->w[0] && !a->w[1] && !a->w[2];
}

/* A destination that a gateway may send to: outside, and neither its own link nor itself. */
static __always_inline bool is_outside(const struct slu_addr *a)
{
	return !(inside_flags(a) & (SLU_INSIDE_ALL | SLU_INSIDE_POD | SLU_INSIDE_SHARED)) &&
	       !addr_multicast(a) && !addr_link_local(a) && !is_loopback(a);
}

#define ENDS_REQUEST  (1u << 0) /* from a pod to an outside */
#define ENDS_REPLY    (1u << 1) /* back */
#define TUNNEL_RECENT 1024	/* a power of 2 */

/* What "inside" said of two addresses: two searches in a trie, 45 ns of each packet. */
struct tunnel_recent {
	struct slu_addr src, dst;
	__u32 epoch, kinds;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, TUNNEL_RECENT);
	__type(key, __u32);
	__type(value, struct tunnel_recent);
} tunnel_recent SEC(".maps");

static __always_inline struct tunnel_recent *ends_slot(const struct pkt *p)
{
	const __u32 *s = p->src.w, *d = p->dst.w;
	__u32 slot = hash_of(s[3] ^ (__u64)d[3] << 32, s[1] ^ s[2] ^ (__u64)(d[1] ^ d[2]) << 32) >>
		     54;

	_Static_assert(TUNNEL_RECENT == 1 << (64 - 54), "slots");
	return bpf_map_lookup_elem(&tunnel_recent, &slot);
}

/* ENDS_*; 0: neither. The epoch counts up when "inside" has changed. */
static __always_inline __u32 ends_kinds(const struct pkt *p)
{
	__u32 zero = 0, now, kinds;
	const volatile __u32 *epoch_now = bpf_map_lookup_elem(&epoch, &zero);
	struct tunnel_recent *seen = ends_slot(p);

	if (!epoch_now || !seen)
		return 0;
	now = *epoch_now;
	if (seen->epoch == now && addr_same(&seen->src, &p->src) && addr_same(&seen->dst, &p->dst))
		return seen->kinds;
	kinds = inside_flags(&p->src) & SLU_INSIDE_POD && is_outside(&p->dst) ? ENDS_REQUEST : 0;
	if (inside_flags(&p->dst) & SLU_INSIDE_POD && is_outside(&p->src))
		kinds |= ENDS_REPLY;
	seen->src = p->src;
	seen->dst = p->dst;
	seen->epoch = now;
	seen->kinds = kinds;
	return kinds;
}

static __always_inline int from_tunnel_accept(struct __sk_buff *skb, const struct slu_config *c,
					      __u32 bits)
{
	mark_set(skb, c, bits);
	if (skb->pkt_type)
		bpf_skb_change_type(skb, 0); /* PACKET_HOST */
	return TC_ACT_UNSPEC;
}

SEC("tc")
int slu_from_tunnel(struct __sk_buff *skb)
{
	struct slu_config *c = config_get();
	struct slu_owned_key local = {};
	struct slu_addr remote;
	struct pkt p = {};
	__u32 *node, *id, kinds;
	int reason;

	if (!c || !c->mark_mask || !tunnel_ends(skb, &remote, &local))
		return drop(skb, SLU_DROP_TUNNEL_KEY);
	node = bpf_map_lookup_elem(&senders, &remote);
	if (!node)
		return drop(skb, SLU_DROP_TUNNEL_SENDER);
	reason = skb->vlan_present ? SLU_DROP_MALFORMED : slu_parse(skb, &p, skb->protocol);
	if (reason)
		return drop(skb, reason);
	kinds = ends_kinds(&p);
	id = bpf_map_lookup_elem(&owned, &local);
	if (id && kinds & ENDS_REQUEST) {
		skb->priority = *node;
		return from_tunnel_accept(skb, c, c->divert | *id << (c->mark_shift & 31));
	}
	if (local.vni != SLU_VNI_ADDRESS ||
	    (!addr_same(&local.endpoint, &c->self_v4) && !addr_same(&local.endpoint, &c->self_v6)))
		return drop(skb, id ? SLU_DROP_TUNNEL_INNER : SLU_DROP_TUNNEL_ADDRESS);
	if (!(kinds & ENDS_REPLY))
		return drop(skb, SLU_DROP_TUNNEL_INNER);
	skb->priority = 0; /* a request's alone says a node */
	return from_tunnel_accept(skb, c, 0);
}
