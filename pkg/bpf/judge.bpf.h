/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#pragma once
/*
 * May this packet go, and as whom? Inside is nobody's business; outside, the policy's
 * layers give a cell, its steps the rule that decides. The answer but for names is kept
 * in "recent" for the next packet to the same place.
 *
 * judge() packs its answer: a reason (0: allowed), an identity (0: as the node),
 * and whether the packet is none of the policy's business.
 */
#include "bpf/named.bpf.h"

#define JUDGED_UNTOUCHED   (1u << 8) /* not governed, multicast, neighbour discovery */
#define JUDGED_INSIDE	   (1u << 9)
#define JUDGED_REASON(j)   ((j)&0xffu)
#define JUDGED_IDENTITY(j) ((j) >> 16)
#define OUTCOME_DIVERT	   (1u << 31)
#define CONSULT_TRIES	   4 /* an epoch lasts longer than an answer takes */

static __always_inline bool governed(const struct who *pod)
{
	return pod->policy || pod->flags & (SLU_POD_QUARANTINE | SLU_POD_KEEP);
}

/*
 * Reads what decides, once. False when the element was written again meanwhile (abi.h), or is of
 * another MAC than the frame: nothing of it counts then.
 */
static __always_inline bool who_read(__u32 device, const struct slu_pod *pod,
				     const struct ethhdr *eth, struct who *ret)
{
	__u16 mac[3];

	if (!pod_read(device, pod, ret, mac))
		return false;
	return ret->flags & SLU_POD_NO_SOURCE_CHECK || mac_same(eth->h_source, (const __u8 *)mac);
}

#define WHO_TRIES 4 /* an entry is written now and then, not all the time */

static __always_inline bool inside_by(__u32 flags, const struct pkt *p)
{
	if (flags & (SLU_INSIDE_ALL | SLU_INSIDE_POD))
		return true;
	return flags & SLU_INSIDE_DNS && (p->key & 0xffff) == 53 &&
	       (pkt_proto(p) == IPPROTO_UDP || pkt_proto(p) == IPPROTO_TCP);
}

static __always_inline bool is_inside(const struct pkt *p)
{
	return inside_by(inside_flags(&p->dst), p);
}

/*
 * A tunnel that a node would take apart: to what lies inside, to a node's ExternalIP, or to whoever
 * is on the pod's link, as the node is.
 */
static __always_inline bool tunnel_to_node(const struct pkt *p, __u32 inside)
{
	return slu_tunnelled(p->key) &&
	       (inside_by(inside, p) || inside & (SLU_INSIDE_SHARED | SLU_INSIDE_NODE) ||
		addr_link_local(&p->dst));
}

/* NULL: by this port it leads nowhere outside. */
static __always_inline struct slu_service *service_of(const struct pkt *p)
{
	struct slu_endpoint to = {.addr = p->dst, .l4_key = p->key};

	return bpf_map_lookup_elem(&services, &to);
}

static __always_inline struct slu_recent *recent_slot(const struct pkt *p, __u32 policy)
{
	const __u32 *w = p->dst.w;
	__u32 slot = hash_of(w[3] ^ (__u64)p->key << 32,
			     w[1] ^ (__u64)(w[2] ^ w[0] << 7 ^ policy << 12) << 24) >>
		     54;

	_Static_assert(SLU_RECENT == 1 << (64 - 54), "slots");
	return bpf_map_lookup_elem(&recent, &slot);
}

static __always_inline bool recent_is(const struct slu_recent *s, const struct pkt *p, __u32 policy,
				      __u32 now)
{
	return s->policy == policy && s->epoch == now && s->l4_key == p->key &&
	       addr_same(&s->dst, &p->dst);
}

/* It was read from maps that may have changed meanwhile: then "epoch" is not now any more. */
static __always_inline void recent_store(struct slu_recent *s, const struct pkt *p, __u32 policy,
					 __u32 now, const struct ruling *r)
{
	s->dst = p->dst;
	s->l4_key = p->key;
	s->policy = policy;
	s->epoch = now;
	s->flags = r->flags;
	s->root = r->root;
	s->first_rule = r->first_rule;
	s->cell = r->cell;
}

/* 0, or a reason. */
__noinline int slu_consult(struct ruling *r, struct pkt *p, __u32 policy)
{
	struct slu_policy *found;
	__u32 inside;

	if (!r || !p)
		return SLU_DROP_NO_POLICY;
	r->flags = 0;
	r->root = r->first_rule = 0;
	cell_clear(&r->cell);
	found = bpf_map_lookup_elem(&policies, &policy);
	if (found)
		policy_touch(found, p);
	inside = inside_flags(&p->dst);
	if (tunnel_to_node(p, inside))
		return SLU_DROP_FORGED_TUNNEL;
	if (inside_by(inside, p)) {
		r->flags = RULED_INSIDE | (inside & SLU_INSIDE_SERVICE ? RULED_SERVICE : 0);
		return 0;
	}
	if (p->flags & PKT_FRAG_LATER)
		return 0;
	if (!found)
		return SLU_DROP_NO_POLICY;
	r->root = found->root;
	r->first_rule = found->first_rule;
	r->flags = found->flags & SLU_POLICY_NAMES ? RULED_NAMES : 0;
	return slu_layers(&r->cell, found, p);
}

/* The first step whose rule does not pass on. 0, or a reason. */
static __always_inline int steps_walk(struct ruling *r)
{
	struct slu_rule *rule;
	__u32 at;

#pragma unroll
	for (int i = 0; i < SLU_STEPS; i++) {
		at = r->cell.verdict[i];
		if (at == SLU_NO_RULE)
			continue;
		at += r->first_rule;
		rule = bpf_map_lookup_elem(&rules, &at);
		if (!rule)
			return SLU_DROP_NO_POLICY;
		if (rule->action == SLU_PASS)
			continue;
		if (rule->action == SLU_NO_ACTION || rule->action > SLU_PASS)
			return SLU_DROP_NO_POLICY;
		r->verdict = rule->action;
		r->at = at;
		r->rule = *rule;
		break;
	}
	at = r->cell.identity;
	if (at == SLU_NO_RULE)
		return 0;
	at += r->first_rule;
	rule = bpf_map_lookup_elem(&rules, &at);
	if (!rule || !(rule->flags & SLU_RULE_VIA))
		return SLU_DROP_NO_POLICY;
	r->via = *rule;
	return 0;
}

/*
 * What the layers say, from one state of the maps: *ret_epoch is from before. The kernel writes a
 * policy's element again as soon as it was replaced, whoever still reads it; but the epoch counts
 * up after each that is replaced, so an answer within one epoch is of one policy.
 */
static __always_inline int consult(struct ruling *r, struct pkt *p, __u32 policy,
				   const volatile __u32 *now, __u32 *ret_epoch)
{
	int reason;

	for (int i = 0; i < CONSULT_TRIES; i++) {
		*ret_epoch = *now;
		reason = slu_consult(r, p, policy);
		if (*now == *ret_epoch)
			return reason;
	}
	return SLU_DROP_NO_POLICY;
}

/* The rest of the answer of a policy that has names: theirs, and what follows. */
static __always_inline int names_rule_on(struct __sk_buff *skb, struct ruling *r, struct pkt *p,
					 __u32 policy, __u32 now)
{
	struct name_recent *s = name_slot(p, policy);
	volatile __u32 *counter = named_changes(&p->dst, r->tenant);
	__u32 changes;
	int reason;

	if (!s || !counter)
		return SLU_DROP_NO_POLICY;
	changes = *counter;
	if (s->policy == policy && s->epoch == now && s->changes == changes &&
	    !(p->flags & PKT_PROBE) && name_recent_is(skb, s, p, r)) {
		r->cell = s->cell;
		r->flags |= s->flags;
		return steps_walk(r);
	}
	reason = names_ask(skb, r, p, policy);
	s->epoch = now;
	s->changes = changes;
	if (!reason)
		reason = steps_walk(r);
	if (!reason)
		names_store(s, r, p, policy);
	return reason;
}

/* The whole answer of a policy: 0 and *r, or a reason. */
__noinline int slu_rule_on(struct __sk_buff *skb, struct ruling *r, struct pkt *p, __u32 policy)
{
	__u32 zero = 0, now;
	struct slu_recent *slot;
	__u32 *epoch_now;
	int reason;

	if (!r || !p)
		return SLU_DROP_NO_POLICY;
	epoch_now = bpf_map_lookup_elem(&epoch, &zero);
	slot = recent_slot(p, policy);
	if (!epoch_now || !slot)
		return SLU_DROP_NO_POLICY;
	now = *(volatile __u32 *)epoch_now;
	r->verdict = SLU_ALLOW;
	r->at = RULE_NONE;
	r->rule = r->via = (struct slu_rule){};
	if (recent_is(slot, p, policy, now)) {
		r->cell = slot->cell;
		r->flags = slot->flags;
		r->root = slot->root;
		r->first_rule = slot->first_rule;
	} else {
		reason = consult(r, p, policy, epoch_now, &now);
		if (reason)
			return reason;
		/* a probe runs where a packet may come between */
		if (!(p->flags & PKT_PROBE) &&
		    (r->flags & RULED_INSIDE || !(p->flags & PKT_FRAG_LATER)))
			recent_store(slot, p, policy, now, r);
		r->flags |= RULED_FRESH;
	}
	if (r->flags & RULED_INSIDE)
		return 0;
	if (p->flags & PKT_FRAG_LATER)
		return SLU_DROP_FRAGMENT;
	if (!(r->flags & RULED_NAMES))
		return steps_walk(r);
	return names_rule_on(skb, r, p, policy, now);
}

/*
 * A Service that leads outside: as each of its endpoints there is ruled on, since nobody knows yet
 * to which translation sends the packet; behind it nft lets through what leads to one of them. p
 * is one to the last of them then. A fragment without its port may be for any.
 */
static __always_inline int service_rule_on(struct __sk_buff *skb, struct ruling *r, struct pkt *p,
					   __u32 policy)
{
	struct slu_service *s = service_of(p);
	__u32 verdict = 0, identity = 0;
	int reason;

	if (p->flags & PKT_FRAG_LATER)
		return SLU_DROP_FRAGMENT;
	if (!s)
		return 0;
	if (!s->n)
		return SLU_DROP_SERVICE_OUTSIDE;
	for (__u32 i = 0; i < SLU_MAX_ENDPOINTS && i < s->n; i++) {
		p->dst = s->at[i].addr;
		p->key = s->at[i].l4_key;
		p->dport = bpf_htons((__u16)p->key);
		reason = slu_rule_on(skb, r, p, policy);
		if (reason)
			return reason;
		if (i && (r->verdict != verdict || r->via.identity != identity))
			return SLU_DROP_SERVICE_OUTSIDE;
		verdict = r->verdict;
		identity = r->via.identity;
	}
	return 0;
}

static __always_inline bool is_denial(__u32 verdict)
{
	return verdict == SLU_DENY || verdict == SLU_REJECT;
}

/* abi.h, struct slu_hit */
static __always_inline bool connection_begins(struct __sk_buff *skb, const struct pkt *p,
					      const struct ruling *r)
{
	return pkt_proto(p) == IPPROTO_TCP ? tcp_syn(skb, p) : r->flags & RULED_FRESH;
}

static __always_inline void hit_add(struct __sk_buff *skb, __u32 counter, bool connection)
{
	struct slu_hit *hit = bpf_map_lookup_elem(&hits, &counter);

	if (hit) {
		hit->packets++;
		hit->bytes += skb->len;
		hit->connections += connection;
	}
}

static __always_inline void hits_count(struct __sk_buff *skb, const struct pkt *p,
				       const struct ruling *r)
{
	__u32 via = is_denial(r->verdict) ? 0 : r->via.counter;
	bool connection;

	if (!r->rule.counter && !via)
		return;
	connection = connection_begins(skb, p, r);
	if (r->rule.counter)
		hit_add(skb, r->rule.counter, connection);
	if (via && via != r->rule.counter)
		hit_add(skb, via, connection);
}

/* What it would be if the policies in mode Audit were enforced; as r where nothing can be said. */
static __always_inline void audit_rule(struct __sk_buff *skb, const struct who *pod, struct pkt *p,
				       const struct ruling *r, struct would *ret)
{
	struct ruling audit;

	ret->verdict = r->verdict;
	ret->counter = r->rule.counter;
	audit.tenant = pod->tenant;
	if (!pod->audit || slu_rule_on(skb, &audit, p, pod->audit) || audit.flags & RULED_INSIDE)
		return;
	ret->verdict = audit.verdict;
	ret->counter = audit.rule.counter;
}

/*
 * Counts and tells what the policy and audit said; the verdict that is carried out: while
 * config.audit holds nothing is denied.
 */
static __always_inline __u32 settle(struct __sk_buff *skb, const struct slu_config *c,
				    const struct who *pod, struct pkt *p, struct ruling *r)
{
	bool suspended = c && c->audit && is_denial(r->verdict);
	struct would audit;
	__u32 which;

	if (p->flags & PKT_PROBE)
		return suspended ? SLU_ALLOW : r->verdict;
	audit_rule(skb, pod, p, r, &audit);
	hits_count(skb, p, r);
	if (suspended || is_denial(audit.verdict) != is_denial(r->verdict)) {
		which = suspended || is_denial(audit.verdict) ? SLU_AUDIT_WOULD_DENY
							      : SLU_AUDIT_WOULD_ALLOW;
		count_add(bpf_map_lookup_elem(&audits, &which), skb);
	}
	if (r->rule.flags & SLU_RULE_LOG || audit.verdict != r->verdict || suspended)
		report(skb, p, r, suspended ? SLU_ALLOW : r->verdict, &audit);
	return suspended ? SLU_ALLOW : r->verdict;
}

/* The pod has no policy: what is decided without one. */
static __always_inline __u32 judge_unruled(struct __sk_buff *skb, const struct slu_config *c,
					   const struct who *pod, struct pkt *p)
{
	struct ruling r = {.verdict = SLU_ALLOW, .at = RULE_NONE};
	__u32 inside = inside_flags(&p->dst);

	if (pod->flags & SLU_POD_QUARANTINE && inside & SLU_INSIDE_SERVICE &&
	    (p->flags & PKT_FRAG_LATER || service_of(p)))
		return SLU_DROP_QUARANTINE;
	if (governed(pod) && tunnel_to_node(p, inside))
		return SLU_DROP_FORGED_TUNNEL;
	if (inside_by(inside, p)) {
		if (!governed(pod))
			return JUDGED_UNTOUCHED;
		/* what is open to a Service that leads outside may be kept as what it began as */
		return inside & SLU_INSIDE_SERVICE && service_of(p) ? 0 : JUDGED_INSIDE;
	}
	if (pod->flags & SLU_POD_QUARANTINE)
		return SLU_DROP_QUARANTINE;
	if (governed(pod) && p->flags & PKT_FRAG_LATER)
		return SLU_DROP_FRAGMENT;
	if (pod->audit)
		settle(skb, c, pod, p, &r);
	return governed(pod) ? 0 : JUDGED_UNTOUCHED;
}

static __always_inline __u32 judge(struct __sk_buff *skb, const struct slu_config *c,
				   const struct who *pod, struct pkt *p)
{
	struct ruling r;
	__u32 verdict;
	int reason;

	/* where it really goes was not judged: before what passes by its destination alone */
	if (p->flags & PKT_ROUTED && governed(pod))
		return SLU_DROP_MALFORMED;
	if (addr_multicast(&p->dst))
		return governed(pod) && slu_tunnelled(p->key) ? SLU_DROP_FORGED_TUNNEL
							      : JUDGED_UNTOUCHED;
	if (!(governed(pod) || pod->audit) || p->flags & PKT_CONTROL)
		return JUDGED_UNTOUCHED;
	if (!pod->policy || pod->flags & SLU_POD_QUARANTINE)
		return judge_unruled(skb, c, pod, p);
	r.tenant = pod->tenant;
	reason = slu_rule_on(skb, &r, p, pod->policy);
	if (!reason && r.flags & RULED_SERVICE)
		reason = service_rule_on(skb, &r, p, pod->policy);
	if (reason)
		return JUDGED_REASON(reason);
	if (r.flags & RULED_INSIDE)
		return JUDGED_INSIDE;
	verdict = settle(skb, c, pod, p, &r);
	if (is_denial(verdict))
		return verdict == SLU_REJECT ? SLU_DROP_REJECTED : SLU_DROP_DENIED;
	return (__u32)r.via.identity << 16;
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
static __always_inline __u32 identify(const struct who *pod, const struct pkt *p, __u32 identity)
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
	index = p->flags & PKT_V6 ? who->first[1] : who->first[0];
	if (n > 1) { /* a division costs more than a look-up */
		__u32 place = pod->spread;

		if (who->by_flow)
			place = slu_flow_spread(&p->src, &p->dst, SLU_PORTS(p->sport, p->dport),
						pkt_proto(p));
		index += place % n;
	}
	id = bpf_map_lookup_elem(&picks, &index);
	return id ? address_mark(*id, who->or_node) : SLU_DROP_NO_ID;
}
