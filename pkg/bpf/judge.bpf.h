/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#pragma once
/*
 * May this packet go, and as whom? The compiler has resolved order, exceptions
 * and overlaps for each prefix, so the longest match names the class, the class
 * holds disjoint ranges of protocol and port, and the range has the decision.
 *
 * judge() packs its answer: a reason (0: allowed), an identity (0: as the node),
 * and whether the packet is none of the policy's business.
 */
#include "bpf/parse.bpf.h"

#define JUDGED_UNTOUCHED   (1u << 8) /* not governed, multicast, neighbour discovery */
#define JUDGED_INSIDE	   (1u << 9)
#define JUDGED_REASON(j)   ((j)&0xffu)
#define JUDGED_IDENTITY(j) ((j) >> 16)
#define RANGE_STEPS	   18 /* 2^18 = SLU_MAX_RANGES */
#define OUTCOME_DIVERT	   (1u << 31)

static __always_inline bool governed(const struct slu_pod *pod)
{
	return pod->policy || pod->flags & (SLU_POD_QUARANTINE | SLU_POD_KEEP);
}

static __always_inline bool is_inside(const struct pkt *p)
{
	__u32 flags = inside_flags(&p->dst);

	if (flags & (SLU_INSIDE_ALL | SLU_INSIDE_POD))
		return true;
	return flags & SLU_INSIDE_DNS && p->dport == bpf_htons(53) &&
	       (pkt_proto(p) == IPPROTO_UDP || pkt_proto(p) == IPPROTO_TCP);
}

/* The last of n ranges whose lo is not above the key. 0 and the decision, or a reason. */
static __always_inline __u32 range_find(__u32 first, __u32 n, __u32 key, __u32 *ret_decision)
{
	struct slu_range *r;

	for (int i = 0; i < RANGE_STEPS && n > 1; i++) {
		__u32 half = n >> 1, mid = first + half;

		r = bpf_map_lookup_elem(&ranges, &mid);
		if (!r)
			return SLU_DROP_NO_POLICY;
		if (r->lo <= key) {
			first = mid;
			n -= half;
		} else {
			n = half;
		}
	}
	r = bpf_map_lookup_elem(&ranges, &first);
	if (!r)
		return SLU_DROP_NO_POLICY;
	*ret_decision = r->decision;
	return 0;
}

static __always_inline __u32 judge(const struct slu_pod *pod, const struct pkt *p)
{
	struct slu_lpm_key key = {.prefixlen = 128, .addr = p->dst};
	__u32 policy = pod->policy, decision, reason, verdict;
	struct slu_class *class;
	void *lpm;

	if (!governed(pod))
		return JUDGED_UNTOUCHED;
	/* where it really goes was not judged: before what passes by its destination alone */
	if (p->flags & PKT_ROUTED)
		return SLU_DROP_MALFORMED;
	if (addr_multicast(&p->dst) || p->flags & PKT_CONTROL)
		return JUDGED_UNTOUCHED;
	if (is_inside(p))
		return JUDGED_INSIDE;
	if (pod->flags & SLU_POD_QUARANTINE)
		return SLU_DROP_QUARANTINE;
	if (p->flags & PKT_FRAG_LATER)
		return SLU_DROP_FRAGMENT;
	if (!policy) /* no policy any more: only its open connections are looked after */
		return 0;
	lpm = bpf_map_lookup_elem(&policies, &policy);
	if (!lpm)
		return SLU_DROP_NO_POLICY;
	class = bpf_map_lookup_elem(lpm, &key);
	if (!class)
		return SLU_DROP_NO_POLICY;
	if (!class->n) {
		decision = class->first;
	} else {
		reason = range_find(class->first, class->n, p->key, &decision);
		if (reason)
			return reason;
	}
	verdict = SLU_DECISION_VERDICT(decision);
	if (verdict != SLU_ALLOW)
		return verdict == SLU_REJECT ? SLU_DROP_REJECTED : SLU_DROP_DENIED;
	return SLU_DECISION_IDENTITY(decision) << 16;
}

/* The mark id for an address: itself, with OUTCOME_DIVERT when owned elsewhere, or a reason. */
static __always_inline __u32 address_mark(__u32 id, bool or_node)
{
	struct slu_egress *addr = NULL;

	if (id >= SLU_ID_FIRST && id < SLU_ID_MAX)
		addr = bpf_map_lookup_elem(&addrs, &id);
	if (!addr)
		return SLU_DROP_NO_ID;
	switch (addr->state) {
	case SLU_ADDR_LOCAL:
		return id;
	case SLU_ADDR_REMOTE:
		return id | OUTCOME_DIVERT;
	case SLU_ADDR_NO_OWNER:
		return or_node ? SLU_ID_CHECK : SLU_DROP_NO_OWNER;
	}
	return SLU_DROP_NO_ID;
}

/* The mark id of an identity: an address, CHECK, or a reason; OUTCOME_DIVERT when owned elsewhere.
 */
static __always_inline __u32 identify(const struct slu_pod *pod, const struct pkt *p,
				      __u32 identity)
{
	__u32 n, index, none, *id;
	struct slu_identity *who;

	if (addr_link_local(&p->dst))
		return SLU_DROP_LINK_LOCAL_VIA;
	if (pod->flags & SLU_POD_NO_SOURCE_CHECK)
		return SLU_DROP_NOT_PERMITTED;
	who = bpf_map_lookup_elem(&identities, &identity);
	if (!who)
		return SLU_DROP_NO_ID;
	n = p->flags & PKT_V6 ? who->n[1] : who->n[0];
	if (!n) {
		none = p->flags & PKT_V6 ? who->none[1] : who->none[0];
		if (none == SLU_OK)
			return SLU_ID_CHECK;
		return none < SLU_MARK_REASONS ? none : SLU_DROP_NO_GATEWAY;
	}
	index = (p->flags & PKT_V6 ? who->first[1] : who->first[0]) + pod->spread % n;
	id = bpf_map_lookup_elem(&picks, &index);
	return id ? address_mark(*id, who->or_node) : SLU_DROP_NO_ID;
}
