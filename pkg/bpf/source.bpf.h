/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#pragma once
/*
 * Is the frame well-formed, and is it the pod's own? Everything later rests on
 * this: a pod that can speak as another gets that one's replies recognised as
 * replies (and so past every verdict), and one ARP request with a foreign sender
 * turns the node's traffic for that pod to itself.
 */
#include "bpf/parse.bpf.h"

#define ND_ROUTER_SOLICIT   133
#define ND_ROUTER_ADVERT    134
#define ND_NEIGHBOR_SOLICIT 135
#define ND_NEIGHBOR_ADVERT  136
#define ND_REDIRECT	    137
#define MLD_REPORT	    131
#define MLD_DONE	    132
#define MLD2_REPORT	    143
#define ICMP_UNREACHABLE    3
#define ICMP_QUENCH	    4
#define ICMP_REDIRECT	    5
#define ICMP_EXCEEDED	    11
#define ICMP_PARAMETER	    12
#define ICMP6_INFORMATION   128 /* those below are errors, RFC 4443 */
#define ICMP_QUOTE	    8	/* there begins the packet that an error is about */
#define ND_OPT_SLLA	    1
#define ND_OPT_TLLA	    2
#define ND_OPTIONS_MAX	    8

struct arp_v4 {
	__u16 hrd, pro;
	__u8 hln, pln;
	__u16 op;
	__u8 sha[6], spa[4], tha[6], tpa[4];
} __attribute__((packed));

static __always_inline bool own_address(const struct slu_pod *pod, const struct slu_addr *a)
{
#pragma unroll
	for (int i = 0; i < SLU_MAX_POD_ADDRS; i++) {
		if (i >= pod->naddr)
			return false;
		if (addr_same(&pod->addr[i], a))
			return true;
	}
	return false;
}

/* The EUI-64 address of the pod's MAC: the one link-local address it may use. */
static __always_inline bool own_link_local(const struct slu_pod *pod, const struct slu_addr *a)
{
	const __u8 *m = pod->mac;
	__u32 hi = (__u32)(m[0] ^ 2) << 24 | (__u32)m[1] << 16 | (__u32)m[2] << 8 | 0xff;
	__u32 lo = 0xfe000000u | (__u32)m[3] << 16 | (__u32)m[4] << 8 | m[5];

	return a->w[0] == bpf_htonl(0xfe800000) && !a->w[1] && a->w[2] == bpf_htonl(hi) &&
	       a->w[3] == bpf_htonl(lo);
}

static __always_inline int check_arp(struct __sk_buff *skb, const struct slu_pod *pod)
{
	struct slu_addr spa;
	struct arp_v4 arp;
	__u32 ip;

	if (linear(skb, ETH_HLEN + sizeof(arp)) ||
	    bpf_skb_load_bytes(skb, ETH_HLEN, &arp, sizeof(arp)))
		return SLU_DROP_MALFORMED;
	if (arp.hrd != bpf_htons(1) || arp.pro != bpf_htons(ETH_P_IP) || arp.hln != 6 ||
	    arp.pln != 4 || (arp.op != bpf_htons(1) && arp.op != bpf_htons(2)))
		return SLU_DROP_MALFORMED;
	if (pod->flags & SLU_POD_NO_SOURCE_CHECK)
		return 0;
	if (!mac_same(arp.sha, pod->mac))
		return SLU_DROP_SPOOFED_ARP;
	__builtin_memcpy(&ip, arp.spa, sizeof(ip));
	if (!ip && arp.op == bpf_htons(1)) /* a probe, RFC 5227 */
		return 0;
	spa = addr_of_v4(ip);
	return own_address(pod, &spa) ? 0 : SLU_DROP_SPOOFED_ARP;
}

/* Link-layer address options behind a solicitation or advertisement must carry the pod's MAC. */
static __always_inline int check_nd_options(struct __sk_buff *skb, const struct slu_pod *pod,
					    const struct pkt *p, __u32 off)
{
	for (int i = 0; i < ND_OPTIONS_MAX; i++) {
		struct {
			__u8 type, len, mac[6];
		} opt;

		if (off == p->end)
			return 0;
		if (off + sizeof(opt) > p->end || bpf_skb_pull_data(skb, off + sizeof(opt)) ||
		    bpf_skb_load_bytes(skb, off, &opt, sizeof(opt)) || !opt.len)
			return SLU_DROP_MALFORMED;
		if ((opt.type == ND_OPT_SLLA || opt.type == ND_OPT_TLLA) &&
		    !(pod->flags & SLU_POD_NO_SOURCE_CHECK) && !mac_same(opt.mac, pod->mac))
			return SLU_DROP_SPOOFED_ARP;
		off += opt.len * 8u;
	}
	return off == p->end ? 0 : SLU_DROP_MALFORMED;
}

/* Neighbour discovery, RFC 4861. Fragmented, it must be ignored by all (RFC 6980): dropped. */
static __always_inline int check_nd(struct __sk_buff *skb, const struct slu_pod *pod, struct pkt *p)
{
	__u32 type = pkt_icmp_type(p), head = type == ND_ROUTER_SOLICIT ? 8 : 24;
	struct slu_addr target;

	if (type == ND_ROUTER_ADVERT || type == ND_REDIRECT)
		return SLU_DROP_ROUTER_ADVERT;
	if (type != ND_ROUTER_SOLICIT && type != ND_NEIGHBOR_SOLICIT && type != ND_NEIGHBOR_ADVERT)
		return 0;
	if (p->flags & PKT_FRAG || p->l4 + head > p->end || bpf_skb_pull_data(skb, p->l4 + head))
		return SLU_DROP_MALFORMED;
	if (addr_link_local(&p->dst))
		p->flags |= PKT_CONTROL;
	/* An advertisement, and a probe for duplicates, claim the target. */
	if (!(pod->flags & SLU_POD_NO_SOURCE_CHECK) &&
	    (type == ND_NEIGHBOR_ADVERT || (type == ND_NEIGHBOR_SOLICIT && addr_zero(&p->src)))) {
		if (bpf_skb_load_bytes(skb, p->l4 + 8, &target, sizeof(target)))
			return SLU_DROP_MALFORMED;
		if (!own_address(pod, &target) && !own_link_local(pod, &target))
			return SLU_DROP_SPOOFED_ARP;
	}
	return check_nd_options(skb, pod, p, p->l4 + head);
}

/* What conntrack takes for an error. */
static __always_inline bool is_error(const struct pkt *p)
{
	__u32 proto = pkt_proto(p), type = pkt_icmp_type(p);

	if (p->flags & PKT_FRAG_LATER)
		return false;
	if (p->flags & PKT_V6)
		return proto == IPPROTO_ICMPV6 && type < ICMP6_INFORMATION;
	return proto == IPPROTO_ICMP &&
	       (type == ICMP_UNREACHABLE || type == ICMP_QUENCH || type == ICMP_REDIRECT ||
		type == ICMP_EXCEEDED || type == ICMP_PARAMETER);
}

/*
 * An error must be about a packet that came to the pod. Else conntrack would count it to the
 * connection of somebody else, to whose other end no rule of this pod's was asked, and let it out
 * as a reply. In fragments nobody sends one: it is cut short.
 */
__noinline int slu_error(struct __sk_buff *skb, struct slu_pod *pod, struct pkt *p)
{
	struct slu_addr about;
	__u32 off, v4;

	if (!pod || !p || p->flags & PKT_FRAG)
		return SLU_DROP_MALFORMED;
	off = p->l4 + ICMP_QUOTE;
	if (p->flags & PKT_V6) {
		off += offsetof(struct ipv6hdr, daddr);
		if (off + sizeof(about) > p->end ||
		    bpf_skb_load_bytes(skb, off, &about, sizeof(about)))
			return SLU_DROP_MALFORMED;
		return own_address(pod, &about) || own_link_local(pod, &about)
			       ? 0
			       : SLU_DROP_SPOOFED_SOURCE;
	}
	off += offsetof(struct iphdr, daddr);
	if (off + sizeof(v4) > p->end || bpf_skb_load_bytes(skb, off, &v4, sizeof(v4)))
		return SLU_DROP_MALFORMED;
	about = addr_of_v4(v4);
	return own_address(pod, &about) ? 0 : SLU_DROP_SPOOFED_SOURCE;
}

/* What an interface without an address may say: DHCP, and finding out on the link. */
static __always_inline bool unspecified_ok(const struct pkt *p)
{
	__u32 type = pkt_icmp_type(p);

	if (!(p->flags & PKT_V6))
		return !p->src.w[3] && p->dst.w[3] == 0xffffffff && !(p->flags & PKT_FRAG) &&
		       pkt_proto(p) == IPPROTO_UDP && p->sport == bpf_htons(68) &&
		       p->dport == bpf_htons(67);
	return addr_zero(&p->src) && pkt_proto(p) == IPPROTO_ICMPV6 && addr_multicast(&p->dst) &&
	       !(p->flags & PKT_FRAG_LATER) &&
	       (type == ND_ROUTER_SOLICIT || type == ND_NEIGHBOR_SOLICIT || type == MLD_REPORT ||
		type == MLD_DONE || type == MLD2_REPORT);
}

static __always_inline int check_ip(struct __sk_buff *skb, struct slu_pod *pod, struct pkt *p)
{
	if (!(pod->flags & SLU_POD_NO_SOURCE_CHECK) && !own_address(pod, &p->src) &&
	    !(p->flags & PKT_V6 && own_link_local(pod, &p->src)) && !unspecified_ok(p))
		return SLU_DROP_SPOOFED_SOURCE;
	if (!(pod->flags & SLU_POD_NO_SOURCE_CHECK) && is_error(p))
		return slu_error(skb, pod, p);
	if (pkt_proto(p) == IPPROTO_ICMPV6 && p->flags & PKT_V6 && !(p->flags & PKT_FRAG_LATER))
		return check_nd(skb, pod, p);
	return 0;
}

/* False: the frame ends before. */
static __always_inline bool frame_head(struct __sk_buff *skb, struct ethhdr *ret)
{
	const struct ethhdr *eth = linear_at(skb, 0, sizeof(*eth));

	if (eth)
		*ret = *eth;
	return eth;
}

#define FRAME_ARP -1

/* 0 and *p filled, FRAME_ARP when it is a good ARP packet, or a reason. */
static __always_inline int check_frame(struct __sk_buff *skb, struct slu_pod *pod,
				       const struct ethhdr *eth, struct pkt *p)
{
	int reason;

	if (skb->vlan_present)
		return SLU_DROP_MALFORMED;
	if (!(pod->flags & SLU_POD_NO_SOURCE_CHECK) && !mac_same(eth->h_source, pod->mac))
		return SLU_DROP_SPOOFED_MAC;
	if (eth->h_proto == bpf_htons(ETH_P_ARP)) {
		reason = check_arp(skb, pod);
		return reason ? reason : FRAME_ARP;
	}
	reason = slu_parse(skb, p, eth->h_proto);
	return reason ? reason : check_ip(skb, pod, p);
}
