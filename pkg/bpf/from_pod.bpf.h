/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#pragma once
/*
 * tc ingress on the host side of every pod's veth, governed or not. What is
 * malformed or not the pod's own ends here. What a rule drops travels on as a
 * mark: nft first clears it from replies to inbound connections, which only
 * conntrack can tell (ping, ICMP errors and fragments included).
 */
#include "bpf/judge.bpf.h"
#include "bpf/source.bpf.h"

#define TCP_FLAGS_ALL 0x17 /* FIN, SYN, RST, ACK */

static __always_inline bool tcp_begins(struct __sk_buff *skb, const struct pkt *p)
{
	__u8 flags;

	return pkt_proto(p) == IPPROTO_TCP &&
	       !bpf_skb_load_bytes(skb, p->l4 + TCP_FLAGS_AT, &flags, sizeof(flags)) &&
	       (flags & TCP_FLAGS_ALL) == TCP_SYN;
}

/*
 * The address id that an open connection began with, when an edit has since given
 * its pod another identity; 0 = as the node. False: decide as for a new one, which a
 * SYN is even if it has the ports of one that was open.
 */
static __always_inline bool kept_id(struct __sk_buff *skb, const struct who *pod,
				    const struct pkt *p, __u32 *ret_id)
{
	struct slu_flow f = {.local = p->src, .remote = p->dst};
	__u32 *id;

	if (!(pod->flags & SLU_POD_KEEP) || !p->sport)
		return false;
	f.proto = pkt_proto(p);
	f.lport = p->sport;
	f.rport = p->dport;
	id = bpf_map_lookup_elem(&kept, &f);
	if (!id)
		return false;
	if (tcp_begins(skb, p)) {
		if (!(p->flags & PKT_PROBE))
			bpf_map_delete_elem(&kept, &f);
		return false;
	}
	*ret_id = *id;
	return true;
}

static __always_inline int from_pod_mark(struct __sk_buff *skb, const struct who *pod,
					 struct pkt *p)
{
	struct slu_config *c = config_get();
	__u32 judged, reason, id, id_kept = 0;
	/* before the judge looks behind a Service's address */
	bool is_kept = kept_id(skb, pod, p, &id_kept);

	judged = judge(skb, c, pod, p);
	reason = JUDGED_REASON(judged);
	if (!c || reason >= SLU_MARK_REASONS)
		return drop(skb, reason ? reason : SLU_DROP_NO_POLICY);
	if (judged & JUDGED_UNTOUCHED) {
		skb->priority = SLU_PRIORITY_SEEN;
		mark_set(skb, c, 0);
		return TC_ACT_UNSPEC;
	}
	if (!c->mark_mask) /* no daemon has written it yet: nothing could be enforced */
		return drop(skb, SLU_DROP_NO_POLICY);
	if (reason)
		id = reason;
	else if (!(judged & JUDGED_INSIDE) && is_kept)
		id = id_kept ? address_mark(id_kept, false) : SLU_ID_CHECK;
	else if (JUDGED_IDENTITY(judged))
		id = identify(pod, p, JUDGED_IDENTITY(judged));
	else
		id = SLU_ID_CHECK;
	/* Into sluice0 and dropped there, unless nft is in force and takes DIVERT off again. */
	skb->priority = id & OUTCOME_DIVERT  ? SLU_PRIORITY_TUNNEL
			: id >= SLU_ID_FIRST ? SLU_PRIORITY_LOCAL
			: id == SLU_ID_CHECK ? SLU_PRIORITY_RELEASE
					     : SLU_PRIORITY_VERDICT;
	mark_set(skb, c, c->divert | (id & (SLU_ID_MAX - 1)) << (c->mark_shift & 31));
	return TC_ACT_UNSPEC;
}

SEC("tc")
int slu_from_pod(struct __sk_buff *skb)
{
	__u32 ifindex = skb->ifindex;
	struct slu_pod *pod = bpf_map_lookup_elem(&pods, &ifindex);
	struct pkt p = {};
	struct ethhdr eth;
	struct who who;
	bool held;
	int reason;

	if (!pod)
		return drop(skb, SLU_DROP_UNKNOWN_INTERFACE);
	/* The kernel dispatches by skb->protocol: it must be what the frame says. */
	if (!frame_head(skb, &eth) || skb->protocol != eth.h_proto)
		return drop(skb, SLU_DROP_MALFORMED);
	reason = check_frame(skb, pod, &eth, &p);
	if (reason == FRAME_ARP)
		return TC_ACT_UNSPEC;
	if (reason)
		return drop(skb, reason);
	if (skb->priority == SLU_PRIORITY_PROBE) /* on a veth's way it would have become 0 */
		p.flags |= PKT_PROBE;
	held = who_read(ifindex, pod, &eth, &who);
	for (int i = 0; i < WHO_TRIES && !held; i++) {
		pod = bpf_map_lookup_elem(&pods, &ifindex);
		if (!pod)
			return drop(skb, SLU_DROP_UNKNOWN_INTERFACE);
		held = who_read(ifindex, pod, &eth, &who);
	}
	return held ? from_pod_mark(skb, &who, &p) : drop(skb, SLU_DROP_NO_POLICY);
}
