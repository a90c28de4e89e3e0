/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#pragma once
/*
 * macvlan pods, seen from their parent: its tc egress is the one place on the
 * host that all their packets pass (inside the pod a filter could be removed,
 * and PACKET_QDISC_BYPASS skips it). Verdicts only: nothing there could translate
 * an address, so an identity is a numbered drop. The parent is shared with the
 * host and with others: a MAC that is not in the map passes untouched, unless somebody
 * wrote an IP packet by hand (hand_made.bpf.h): nothing says whose that is.
 *
 * The node's conntrack never sees these packets, so the parent remembers by
 * itself who spoke first. "inbound" holds what came in unasked, as the reply to
 * it would look; for protocols where a packet does not show whether it begins
 * something (UDP), what the pod began is remembered as well, lest the answers to
 * it read as requests and outlive a rule that denies the pod's own.
 */
#include "bpf/dns_tcp.bpf.h"
#include "bpf/hand_made.bpf.h"
#include "bpf/judge.bpf.h"

#define ICMP_TYPE_ECHO_REPLY  0
#define ICMP_TYPE_ECHO	      8
#define ICMP6_TYPE_ECHO	      128
#define ICMP6_TYPE_ECHO_REPLY 129

static __always_inline struct slu_pod *macvlan_pod(struct __sk_buff *skb, const __u8 *mac)
{
	struct slu_macvlan_key key = {.parent = skb->ifindex};

	__builtin_memcpy(key.mac, mac, sizeof(key.mac));
	return bpf_map_lookup_elem(&macvlans, &key);
}

static __always_inline bool is_echo(const struct pkt *p, bool reply)
{
	__u32 proto = pkt_proto(p), type = pkt_icmp_type(p);

	if (p->flags & PKT_FRAG_LATER)
		return false;
	if (proto == IPPROTO_ICMP)
		return type == (reply ? ICMP_TYPE_ECHO_REPLY : ICMP_TYPE_ECHO);
	return proto == IPPROTO_ICMPV6 && type == (reply ? ICMP6_TYPE_ECHO_REPLY : ICMP6_TYPE_ECHO);
}

static __always_inline bool is_icmp(const struct pkt *p)
{
	return pkt_proto(p) == IPPROTO_ICMP || pkt_proto(p) == IPPROTO_ICMPV6;
}

static __always_inline __u16 echo_id(struct __sk_buff *skb, const struct pkt *p)
{
	__u16 id = 0;

	bpf_skb_load_bytes(skb, p->l4 + 4, &id, sizeof(id));
	return id;
}

/* As the pod sends it. */
static __always_inline void flow_out(struct __sk_buff *skb, const struct pkt *p, struct slu_flow *f)
{
	f->local = p->src;
	f->remote = p->dst;
	f->parent = skb->ifindex;
	f->proto = pkt_proto(p);
	f->lport = p->sport;
	f->rport = p->dport;
	if (is_echo(p, true))
		f->lport = echo_id(skb, p);
}

static __always_inline void flow_fragment(struct slu_flow *f, const struct pkt *p)
{
	f->fragment = 1;
	f->lport = p->ident >> 16;
	f->rport = p->ident;
}

static __always_inline void flow_remember(const struct slu_flow *f, __u32 what)
{
	bpf_map_update_elem(&inbound, f, &what, BPF_ANY);
}

/*
 * An ICMP error is let out when it quotes a packet that came in unasked: from
 * its destination to its source, and of a flow that is remembered.
 */
static __always_inline bool quotes_inbound(struct __sk_buff *skb, const struct pkt *p,
					   struct slu_flow *f)
{
	__u32 type = pkt_icmp_type(p), off = p->l4 + 8, *what;
	struct {
		__u32 head;
		__be16 len;
		__u8 next, hops;
		struct slu_addr src, dst;
	} ip6;
	struct iphdr ip;
	__u16 ports[2];

	if (p->flags & PKT_V6) {
		if (type < 1 || type > 4 || bpf_skb_load_bytes(skb, off, &ip6, sizeof(ip6)) ||
		    !addr_same(&ip6.src, &p->dst) || !addr_same(&ip6.dst, &p->src))
			return false;
		f->proto = ip6.next;
		off += sizeof(ip6);
	} else {
		if ((type != 3 && type != 11 && type != 12) ||
		    bpf_skb_load_bytes(skb, off, &ip, sizeof(ip)) || ip.saddr != p->dst.w[3] ||
		    ip.daddr != p->src.w[3])
			return false;
		f->proto = ip.protocol;
		off += ip.ihl * 4u;
	}
	if (f->proto != IPPROTO_TCP && f->proto != IPPROTO_UDP && f->proto != IPPROTO_SCTP)
		return false;
	if (bpf_skb_load_bytes(skb, off, ports, sizeof(ports)))
		return false;
	f->lport = ports[1];
	f->rport = ports[0];
	what = bpf_map_lookup_elem(&inbound, f);
	return what && *what == SLU_FLOW_INBOUND;
}

/* Not allowed by the policy: does it answer something that came in? */
static __always_inline bool is_reply(struct __sk_buff *skb, const struct pkt *p, struct slu_flow *f,
				     const __u32 *known)
{
	if (p->flags & PKT_FRAG_LATER)
		return known && *known == SLU_FLOW_FRAGMENT;
	if (known && *known == SLU_FLOW_INBOUND)
		return true;
	return is_icmp(p) && !is_echo(p, true) && quotes_inbound(skb, p, f);
}

static __always_inline int macvlan_judge(struct __sk_buff *skb, const struct who *pod,
					 struct pkt *p)
{
	__u32 judged = judge(skb, config_get(), pod, p), reason = JUDGED_REASON(judged), *known;
	struct slu_flow f = {};

	if (addr_multicast(&p->dst) && reason)
		return drop(skb, reason);
	if (judged & JUDGED_INSIDE || addr_multicast(&p->dst) || p->flags & PKT_CONTROL)
		return TC_ACT_UNSPEC;
	if (reason == SLU_DROP_MALFORMED)
		return drop(skb, reason);
	if (!reason && JUDGED_IDENTITY(judged))
		reason = SLU_DROP_VIA_UNSUPPORTED;
	flow_out(skb, p, &f);
	if (p->flags & PKT_FRAG_LATER)
		flow_fragment(&f, p);
	known = bpf_map_lookup_elem(&inbound, &f);
	if (reason && !is_reply(skb, p, &f, known))
		return drop(skb, reason);
	if (!known && !reason && !is_icmp(p) && pkt_proto(p) != IPPROTO_TCP &&
	    !(p->flags & PKT_FRAG_LATER))
		flow_remember(&f, SLU_FLOW_OUTBOUND);
	if (p->flags & PKT_FRAG_FIRST) {
		flow_fragment(&f, p);
		flow_remember(&f, SLU_FLOW_FRAGMENT);
	}
	return TC_ACT_UNSPEC;
}

static __always_inline bool wrote_ip(struct __sk_buff *skb, const struct pkt *p)
{
	return hand_made(skb) ? !unspecified_ok(p) : hand_made_part(skb, p);
}

/* A tag may hide what is behind it. What is forwarded came in somewhere. */
static __always_inline bool wrote_tagged(struct __sk_buff *skb)
{
	return hand_made(skb) || (!skb->ingress_ifindex && maybe_cut(skb));
}

/*
 * Not a pod's MAC: the host's, somebody else's, or one that a pod invented. It is not ours to find
 * fault with what others send and we cannot read.
 */
static __always_inline int macvlan_stranger(struct __sk_buff *skb, const struct ethhdr *eth,
					    struct pkt *p)
{
	bool wrote;

	if (is_vlan(eth->h_proto))
		wrote = wrote_tagged(skb);
	else if (!is_ip(eth->h_proto))
		wrote = false;
	else
		wrote = slu_parse(skb, p, eth->h_proto) ? hand_made(skb) : wrote_ip(skb, p);
	return wrote ? drop(skb, SLU_DROP_HAND_MADE) : TC_ACT_UNSPEC;
}

SEC("tc")
int slu_macvlan_out(struct __sk_buff *skb)
{
	struct pkt p = {};
	struct slu_pod *pod;
	struct ethhdr eth;
	struct who who;
	bool held;
	int reason;

	if (bpf_skb_load_bytes(skb, 0, &eth, sizeof(eth)))
		return TC_ACT_UNSPEC;
	pod = macvlan_pod(skb, eth.h_source);
	if (!pod)
		return macvlan_stranger(skb, &eth, &p);
	reason = check_frame(skb, pod, &eth, &p);
	if (reason == FRAME_ARP)
		return TC_ACT_UNSPEC;
	if (!reason && wrote_ip(skb, &p))
		reason = SLU_DROP_HAND_MADE;
	if (reason)
		return drop(skb, reason);
	held = who_read(skb->ifindex, pod, &eth, &who);
	for (int i = 0; i < WHO_TRIES && !held; i++) {
		pod = macvlan_pod(skb, eth.h_source);
		if (!pod)
			return drop(skb, SLU_DROP_UNKNOWN_INTERFACE);
		held = who_read(skb->ifindex, pod, &eth, &who);
	}
	return held ? macvlan_judge(skb, &who, &p) : drop(skb, SLU_DROP_NO_POLICY);
}

/* Does this packet begin something? The answer to it is then *f. */
static __always_inline bool flow_begins(struct __sk_buff *skb, const struct pkt *p,
					struct slu_flow *f)
{
	__u8 tcp_flags;

	if (p->flags & PKT_FRAG_LATER)
		return false;
	f->local = p->dst;
	f->remote = p->src;
	f->parent = skb->ifindex;
	f->proto = pkt_proto(p);
	f->lport = p->dport;
	f->rport = p->sport;
	if (is_icmp(p)) {
		f->lport = echo_id(skb, p);
		return is_echo(p, false);
	}
	if (f->proto != IPPROTO_TCP)
		return true;
	return !bpf_skb_load_bytes(skb, p->l4 + 13, &tcp_flags, sizeof(tcp_flags)) &&
	       (tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
}

/* A function of its own: Linux 6.1 has no stack left for the flow below what reads answers. */
__noinline int slu_inbound(struct __sk_buff *skb, struct pkt *p)
{
	struct slu_flow f = {};

	if (p && flow_begins(skb, p, &f) && !bpf_map_lookup_elem(&inbound, &f))
		flow_remember(&f, SLU_FLOW_INBOUND);
	return 0;
}

/*
 * What pods of one parent send each other comes in here as well, and what a pod sends itself.
 * Otherwise it could write the request to which it wants to answer, or a resolver's answer.
 */
static __always_inline bool macvlan_believed(struct __sk_buff *skb, const struct ethhdr *eth,
					     const struct pkt *p)
{
	struct slu_pod *sender = macvlan_pod(skb, eth->h_source);

	if (hand_made(skb) || hand_made_part(skb, p))
		return false;
	return !sender || sender->flags & SLU_POD_NO_SOURCE_CHECK || own_address(sender, &p->src);
}

SEC("tc")
int slu_macvlan_in(struct __sk_buff *skb)
{
	struct dns_work *w = dns_work_get(); /* it has room for the packet; the stack has not */
	struct ethhdr eth;

	if (!w || skb->vlan_present || bpf_skb_load_bytes(skb, 0, &eth, sizeof(eth)) ||
	    !macvlan_pod(skb, eth.h_dest))
		return TC_ACT_UNSPEC;
	__builtin_memset(&w->p, 0, sizeof(w->p));
	if (slu_parse(skb, &w->p, eth.h_proto) || !macvlan_believed(skb, &eth, &w->p))
		return TC_ACT_UNSPEC;
	if (dns_look(skb, w)) /* what a resolver tells, as slu_to_pod reads it */
		return drop(skb, SLU_DROP_DNS_ORDER);
	slu_inbound(skb, &w->p);
	return TC_ACT_UNSPEC;
}
