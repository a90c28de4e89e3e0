/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#pragma once
/*
 * What is told about a single packet, when a rule asks for it or audit differs. A
 * connection is told once, a flood of them is told in samples: the reader must never be
 * what a flood stops.
 */
#include "bpf/layers.bpf.h"

struct slu_pod;

/* What a policy says about a packet. */
struct ruling {
	struct slu_cell cell;
	__u32 root;   /* of the policy: where its names are found */
	__u32 tenant; /* the pod's: which it knows; set by who asks */
	__u32 first_rule;
	__u32 flags;	      /* RULED_* */
	__u32 verdict;	      /* SLU_ALLOW, SLU_DENY or SLU_REJECT */
	__u32 at;	      /* the rule that decided, its place in "rules"; RULE_NONE */
	struct slu_rule rule; /* it; all zero when none did */
	struct slu_rule via;  /* the one that says as whom; all zero: none does */
};
/* What audit says of it. */
struct would {
	__u32 verdict;
	__u32 counter; /* of the rule that would decide */
};

#define RULED_INSIDE  SLU_RECENT_INSIDE /* no verdict: none of the policy's business */
#define RULED_NAMES   SLU_RECENT_NAMES
#define RULED_SERVICE SLU_RECENT_SERVICE /* with RULED_INSIDE */
#define RULED_FRESH   (1u << 2)		 /* was not in "recent" */
#define RULED_NAMED   (1u << 3)		 /* a name that the policy has leads there just now */
#define RULED_OPEN    (1u << 4)		 /* such a name did when the flow began */
#define RULED_KEPT    (1u << 6)		 /* and says more than those that do now */
#define RULE_NONE     0xffffffffu

/* True: of this flow just that was told a short while ago. */
static __always_inline bool told_already(const struct slu_flow *f, __u32 answer, __u32 now)
{
	struct slu_told *t = bpf_map_lookup_elem(&told, f);
	bool same;

	if (!t)
		return false;
	same = t->answer == answer && now - t->seen < SLU_FLOW_QUIET;
	t->seen = now;
	return same;
}

static __always_inline bool within_rate(struct slu_event_limit *l, __u64 second)
{
	if (l->second != second) {
		l->second = second;
		l->in_second = 0;
	}
	return l->in_second++ < SLU_EVENT_RATE;
}

/*
 * Once for a packet that is outside, when the deciding rule has SLU_RULE_LOG or the verdict in
 * audit is another than r->verdict. did: the verdict that is carried out.
 */
static __always_inline void report(struct __sk_buff *skb, const struct pkt *p,
				   const struct ruling *r, __u32 did, const struct would *audit)
{
	struct slu_flow f = {.local = p->src, .remote = p->dst, .parent = skb->ifindex};
	__u64 at = bpf_ktime_get_boot_ns(), second = seconds_of(at);
	struct slu_told told_now = {second, r->at << 4 | did << 2 | (audit->verdict & 3)};
	__u32 counter = r->rule.counter;
	struct slu_event_limit *limit = bpf_map_lookup_elem(&event_limits, &counter);
	struct slu_event *event;

	f.proto = pkt_proto(p);
	f.lport = p->sport;
	f.rport = p->dport;
	if (!limit || told_already(&f, told_now.answer, second))
		return;
	event = within_rate(limit, second) ? bpf_ringbuf_reserve(&events, sizeof(*event), 0) : NULL;
	if (!event) {
		limit->lost++;
		return;
	}
	limit->told++;
	__builtin_memset(event, 0, sizeof(*event));
	event->at = at;
	event->src = p->src;
	event->dst = p->dst;
	event->ifindex = skb->ifindex;
	event->counter = counter;
	event->sport = p->sport;
	event->dport = p->sport || p->dport ? p->dport : p->key & 0xffff;
	event->proto = pkt_proto(p);
	event->verdict = did;
	event->would = audit->verdict;
	event->audit_counter = audit->counter;
	bpf_ringbuf_submit(event, 0);
	bpf_map_update_elem(&told, &f, &told_now, BPF_ANY);
}
