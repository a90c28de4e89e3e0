/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#pragma once
/*
 * One parser for every program and both families; an IPv4 address becomes
 * ::ffff:a.b.c.d at once, and nothing after this asks which family it was.
 *
 * Every header that is judged is first made linear. That is not about reach
 * (bpf_skb_load_bytes reads fragments as well) but about truth: pages behind a
 * packet ring or zero-copy send still belong to the pod, which could rewrite
 * them between our look and the kernel's. What is linear is the kernel's own.
 *
 * slu_parse and slu_ext are global functions: the verifier checks each once,
 * by itself, and forgets what it knew of their results, so that eight
 * extension headers do not multiply into thousands of paths.
 */
#include <linux/ip.h>
#include <linux/ipv6.h>

#include "bpf/common.bpf.h"

#define PKT_FRAG_FIRST (1u << 0) /* a fragment with offset 0: has ports */
#define PKT_FRAG_LATER (1u << 1) /* no ports */
#define PKT_ROUTED     (1u << 2) /* a routing header or source route: dst is not the last */
#define PKT_CONTROL    (1u << 3) /* neighbour discovery on the link; set by source.bpf.h */
#define PKT_V6	       (1u << 4)
#define PKT_PROBE      (1u << 5) /* asked by sluicectl: leaves no trace; set by from_pod */
#define PKT_FRAG       (PKT_FRAG_FIRST | PKT_FRAG_LATER)

#define L4_BYTES    4 /* ports; ICMP: type, code */
#define OPTIONS_MAX 40

struct pkt {
	struct slu_addr src, dst;
	__u32 key;	    /* protocol << 16 | port (ICMP: type << 8 | code) */
	__u32 l4;	    /* offset of the transport header */
	__u32 end;	    /* of the IP packet: what is behind it is padding */
	__u32 ident;	    /* of the fragment */
	__u32 flags;	    /* PKT_* */
	__u16 sport, dport; /* network order; 0 without ports */
};

static __always_inline __u32 pkt_proto(const struct pkt *p)
{
	return p->key >> 16;
}

static __always_inline __u32 pkt_icmp_type(const struct pkt *p)
{
	return p->key >> 8 & 0xff;
}

/* Makes [0, end) linear; end must be a constant for the cheap comparison. */
static __always_inline int linear(struct __sk_buff *skb, __u32 end)
{
	if ((void *)(long)skb->data + end <= (void *)(long)skb->data_end)
		return 0;
	return bpf_skb_pull_data(skb, end);
}

/* The same, and where off is: NULL when the frame ends before. Both are constants. */
static __always_inline void *linear_at(struct __sk_buff *skb, __u32 off, __u32 len)
{
	void *data = (void *)(long)skb->data;

	if (data + off + len <= (void *)(long)skb->data_end)
		return data + off;
	if (bpf_skb_pull_data(skb, off + len))
		return NULL;
	data = (void *)(long)skb->data;
	return data + off + len <= (void *)(long)skb->data_end ? data + off : NULL;
}

#define EXT_BAD		    (1ull << 31)
#define EXT_OFF(r)	    ((__u32)(r)&0xffff)
#define EXT_NEXT(r)	    ((__u32)(r) >> 16 & 0xff)
#define EXT_FLAGS(r)	    ((__u32)(r) >> 24 & 0x7)
#define EXT_IDENT(r)	    ((__u32)((r) >> 32))
#define EXT_RETURN(o, n, f) ((__u64)(__u32)((o) | (__u32)(n) << 16 | (f) << 24))

/* One extension header at off: packed offset and type of the next, flags, fragment id. */
__noinline __u64 slu_ext(struct __sk_buff *skb, __u32 off, __u32 type)
{
	struct {
		__u8 next, len;
		__u8 b[6];
	} h;
	__u32 flags = 0, ident;

	if (off > 0x4000 || bpf_skb_pull_data(skb, off + sizeof(h)) ||
	    bpf_skb_load_bytes(skb, off, &h, sizeof(h)))
		return EXT_BAD;
	if (type == IPPROTO_FRAGMENT) {
		/* b[0..1]: offset in units of 8, then two reserved bits and M */
		flags = (h.b[0] | (h.b[1] & 0xf8)) ? PKT_FRAG_LATER : PKT_FRAG_FIRST;
		ident = (__u32)h.b[2] << 24 | (__u32)h.b[3] << 16 | (__u32)h.b[4] << 8 | h.b[5];
		return EXT_RETURN(off + 8, h.next, flags) | (__u64)ident << 32;
	}
	if (type == IPPROTO_AH)
		return EXT_RETURN(off + ((h.len + 2u) << 2), h.next, 0);
	if (type == IPPROTO_ROUTING) {
		if (h.b[0] == 0) /* RFC 5095 */
			return EXT_BAD;
		flags = h.b[1] ? PKT_ROUTED : 0;
	}
	return EXT_RETURN(off + ((h.len + 1u) << 3), h.next, flags);
}

/*
 * PKT_ROUTED when an IPv4 source route is among the options, or they cannot be read.
 * A node that accepts source routes would send the packet on to where it was not judged for.
 */
__noinline __u32 slu_options(struct __sk_buff *skb, __u32 len)
{
	__u8 opt[64] = {};
	__u32 skip = 0;

	len = (len - 1) & (sizeof(opt) - 1);
	barrier_var(len); /* so that the verifier sees 1..64 */
	if (bpf_skb_load_bytes(skb, ETH_HLEN + sizeof(struct iphdr), opt, len + 1))
		return PKT_ROUTED;
#pragma unroll
	for (int i = 0; i < OPTIONS_MAX; i++) {
		if (skip) {
			skip--;
			continue;
		}
		if (opt[i] == IPOPT_END)
			return 0;
		if (opt[i] == IPOPT_NOOP)
			continue;
		if (opt[i] == IPOPT_LSRR || opt[i] == IPOPT_SSRR || opt[i + 1] < 2)
			return PKT_ROUTED;
		skip = opt[i + 1] - 1u;
	}
	return 0;
}

static __always_inline int parse_v4(struct __sk_buff *skb, struct pkt *p, __u32 *ret_proto)
{
	const struct iphdr *ip = linear_at(skb, ETH_HLEN, sizeof(*ip));
	__u32 len, head, frag;

	if (!ip)
		return SLU_DROP_MALFORMED;
	head = ip->ihl * 4u;
	len = bpf_ntohs(ip->tot_len);
	if (!len && skb->gso_size) /* BIG TCP */
		len = skb->len - ETH_HLEN;
	if (ip->version != 4 || head < sizeof(*ip) || len < head || len + ETH_HLEN > skb->len)
		return SLU_DROP_MALFORMED;
	p->src = addr_of_v4(ip->saddr);
	p->dst = addr_of_v4(ip->daddr);
	p->l4 = ETH_HLEN + head;
	p->end = ETH_HLEN + len;
	frag = bpf_ntohs(ip->frag_off);
	if (frag & 0x1fff)
		p->flags = PKT_FRAG_LATER;
	else if (frag & 0x2000)
		p->flags = PKT_FRAG_FIRST;
	p->ident = bpf_ntohs(ip->id);
	*ret_proto = ip->protocol;
	if (head == sizeof(*ip))
		return 0;
	if (bpf_skb_pull_data(skb, ETH_HLEN + head))
		return SLU_DROP_MALFORMED;
	p->flags |= slu_options(skb, head - sizeof(*ip));
	return 0;
}

static __always_inline int parse_v6(struct __sk_buff *skb, struct pkt *p, __u32 *ret_proto)
{
	const struct ipv6hdr *ip = linear_at(skb, ETH_HLEN, sizeof(*ip));
	__u32 len, next;

	if (!ip)
		return SLU_DROP_MALFORMED;
	len = bpf_ntohs(ip->payload_len) + sizeof(*ip);
	if (len == sizeof(*ip) && (skb->gso_size || ip->nexthdr == IPPROTO_HOPOPTS)) /* jumbo */
		len = skb->len - ETH_HLEN;
	if (ip->version != 6 || len + ETH_HLEN > skb->len)
		return SLU_DROP_MALFORMED;
	__builtin_memcpy(&p->src, &ip->saddr, sizeof(p->src));
	__builtin_memcpy(&p->dst, &ip->daddr, sizeof(p->dst));
	if (addr_v4(&p->src) || addr_v4(&p->dst)) /* would read as IPv4 from here on */
		return SLU_DROP_MALFORMED;
	p->flags = PKT_V6;
	p->end = ETH_HLEN + len;
	p->l4 = ETH_HLEN + sizeof(*ip);
	next = ip->nexthdr;
	for (int i = 0; i < EXT_MAX && is_ext(next) && !(p->flags & PKT_FRAG_LATER); i++) {
		__u64 r = slu_ext(skb, p->l4, next);

		if (r & EXT_BAD)
			return SLU_DROP_MALFORMED;
		p->l4 = EXT_OFF(r);
		p->flags |= EXT_FLAGS(r);
		if (next == IPPROTO_FRAGMENT)
			p->ident = EXT_IDENT(r);
		next = EXT_NEXT(r);
		if (p->l4 > p->end)
			return SLU_DROP_MALFORMED;
	}
	/* A chain that is longer, or goes on in another fragment (RFC 7112) */
	if (is_ext(next) && !(p->flags & PKT_FRAG_LATER))
		return SLU_DROP_MALFORMED;
	*ret_proto = next;
	return 0;
}

/* The first bytes of the transport header; 0 or a reason. */
static __always_inline int l4_load(struct __sk_buff *skb, __u32 off, __u8 *ret)
{
	const __u8 *b;

	if (off == ETH_HLEN + sizeof(struct iphdr))
		b = linear_at(skb, ETH_HLEN + sizeof(struct iphdr), L4_BYTES);
	else if (off == ETH_HLEN + sizeof(struct ipv6hdr))
		b = linear_at(skb, ETH_HLEN + sizeof(struct ipv6hdr), L4_BYTES);
	else
		return bpf_skb_pull_data(skb, off + L4_BYTES) ||
		       bpf_skb_load_bytes(skb, off, ret, L4_BYTES);
	if (!b)
		return SLU_DROP_MALFORMED;
	__builtin_memcpy(ret, b, L4_BYTES);
	return 0;
}

static __always_inline int parse_l4(struct __sk_buff *skb, struct pkt *p, __u32 proto)
{
	__u8 b[L4_BYTES];
	bool icmp = proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6;

	p->key = proto << 16;
	if (p->flags & PKT_FRAG_LATER)
		return 0;
	if (!icmp && proto != IPPROTO_TCP && proto != IPPROTO_UDP && proto != IPPROTO_SCTP)
		return 0;
	if (p->l4 + sizeof(b) > p->end || l4_load(skb, p->l4, b))
		return SLU_DROP_MALFORMED;
	if (icmp) {
		p->key |= b[0] << 8 | b[1];
		return 0;
	}
	p->key |= b[2] << 8 | b[3];
	__builtin_memcpy(&p->sport, b, 2);
	__builtin_memcpy(&p->dport, b + 2, 2);
	return 0;
}

/* Fills *p from an IPv4 or IPv6 frame. 0 or a reason. ethertype in network order. */
__noinline int slu_parse(struct __sk_buff *skb, struct pkt *p, __u32 ethertype)
{
	__u32 proto;
	int reason;

	if (!p)
		return SLU_DROP_MALFORMED;
	if (ethertype == bpf_htons(ETH_P_IP))
		reason = parse_v4(skb, p, &proto);
	else if (ethertype == bpf_htons(ETH_P_IPV6))
		reason = parse_v6(skb, p, &proto);
	else
		return SLU_DROP_MALFORMED;
	return reason ? reason : parse_l4(skb, p, proto);
}
