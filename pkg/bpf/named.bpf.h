/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#pragma once
/*
 * The layer of names: under which names is the destination known just now (names.bpf.h
 * learns them), and which classes have the policy's rules for those. A flow that was let
 * out while its names held goes on when they do no more: it is remembered with its names,
 * and they are looked up in the policy anew for each packet, so that an edit which takes
 * the rule away ends it.
 */
#include "bpf/report.bpf.h"

#define TCP_FLAGS_AT 13
#define TCP_SYN	     0x02
#define TCP_ACK	     0x10

static __always_inline bool tcp_syn(struct __sk_buff *skb, const struct pkt *p)
{
	__u8 flags;

	return pkt_proto(p) == IPPROTO_TCP &&
	       !bpf_skb_load_bytes(skb, p->l4 + TCP_FLAGS_AT, &flags, sizeof(flags)) &&
	       (flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
}

static __always_inline void name_flow_key(const struct pkt *p, struct slu_flow *f)
{
	f->local = p->src;
	f->remote = p->dst;
	f->proto = pkt_proto(p);
	f->lport = p->sport;
	f->rport = p->dport;
}

/* By a key of its own: Linux 6.1 takes none from memory that a global function was handed. */
static __always_inline struct slu_named *named_get(const struct pkt *p)
{
	struct slu_addr dst = p->dst;

	return bpf_map_lookup_elem(&named, &dst);
}

/* What the policy's rules with this name say. *ret_found when there are any. 0 or a reason. */
static __always_inline int name_merge(struct ruling *r, __u32 name, __u32 l4_key, bool *ret_found)
{
	struct slu_name_class key = {r->root, name};
	__u32 *class = bpf_map_lookup_elem(&name_classes, &key);

	if (!class)
		return 0;
	*ret_found = true;
	return slu_class_merge(&r->cell, *class, l4_key);
}

/* Names that hold now. */
__noinline int slu_names_now(struct ruling *r, struct pkt *p)
{
	__u32 now = seconds_now();
	struct slu_named *e;
	bool found = false;
	int reason = 0;

	if (!r || !p)
		return 0;
	e = named_get(p);
	if (!e)
		return 0;
	for (int i = 0; i < SLU_MAX_NAMES_AT && !reason; i++) {
		union named_place at = {.word = *NAMED_PLACE(e, i)};

		if (at.name && at.until > now)
			reason = name_merge(r, at.name, p->key, &found);
	}
	if (found)
		r->flags |= RULED_NAMED;
	return reason;
}

/* Names that held when the flow began, if it is still the same one. */
__noinline int slu_names_kept(struct __sk_buff *skb, struct ruling *r, struct pkt *p)
{
	struct slu_name_flow *kept;
	__u32 now = seconds_now(), idle;
	struct slu_flow f = {};
	bool found = false;
	int reason = 0;

	if (!r || !p)
		return 0;
	name_flow_key(p, &f);
	kept = bpf_map_lookup_elem(&name_flows, &f);
	idle = pkt_proto(p) == IPPROTO_TCP ? SLU_FLOW_IDLE_TCP : SLU_FLOW_IDLE;
	if (!kept || now - kept->seen > idle || tcp_syn(skb, p))
		return 0;
	for (int i = 0; i < SLU_MAX_NAMES_AT && !reason; i++) {
		if (kept->name[i])
			reason = name_merge(r, kept->name[i], p->key, &found);
	}
	if (!found)
		return reason;
	r->flags |= RULED_OPEN;
	if (kept->seen != now && !(p->flags & PKT_PROBE))
		kept->seen = now;
	return reason;
}

static __always_inline int slu_names(struct __sk_buff *skb, struct ruling *r, struct pkt *p)
{
	int reason = slu_names_now(r, p);

	return reason ? reason : slu_names_kept(skb, r, p);
}

/* The flow begins now: remembered with the names that the policy has and that hold. */
__noinline int slu_name_flow(struct ruling *r, struct pkt *p)
{
	struct slu_name_flow fresh = {.seen = seconds_now()};
	struct slu_flow f = {};
	struct slu_named *e;

	if (!r || !p)
		return 0;
	e = named_get(p);
	if (!e)
		return 0;
	for (int i = 0; i < SLU_MAX_NAMES_AT; i++) {
		union named_place at = {.word = *NAMED_PLACE(e, i)};
		struct slu_name_class key = {r->root, at.name};

		if (at.name && at.until > fresh.seen && bpf_map_lookup_elem(&name_classes, &key))
			fresh.name[i] = at.name;
	}
	name_flow_key(p, &f);
	bpf_map_update_elem(&name_flows, &f, &fresh, BPF_ANY);
	return 0;
}

/* It is let out, and a name has a part in that. */
static __always_inline void name_flow_open(struct ruling *r, struct pkt *p)
{
	if ((r->flags & (RULED_NAMED | RULED_OPEN)) == RULED_NAMED && !(p->flags & PKT_PROBE))
		slu_name_flow(r, p);
}
