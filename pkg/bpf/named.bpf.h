/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#pragma once
/*
 * The layer of names: under which names does the pod's namespace know the destination just
 * now (names.bpf.h learns them), and which classes have the policy's rules for those. A flow
 * that was let out while its names held goes on when they do no more: it is remembered with
 * its names, and they are looked up in the policy anew, so that an edit which takes the rule
 * away ends it.
 *
 * A flow's next packet asks none of that again. What the names said to the one before is in
 * "name_recent", and is right as long as the second is the same, which is the unit of a
 * name's time; as nothing was learned about the address or one of its kind (`changes`); and
 * as the policies are the same (the epoch).
 */
#include "bpf/report.bpf.h"
#include "bpf/shares.bpf.h"

#define TCP_FLAGS_AT 13
#define TCP_SYN	     0x02
#define TCP_ACK	     0x10

#define NAME_RECENT 1024 /* a power of 2; behind them one for probes */

/* In reach of a map, since the stack of a chain of calls is short. */
struct name_recent {
	struct slu_flow flow; /* as the pod sends it */
	__u32 l4_key;
	__u32 policy; /* 0: empty */
	__u32 epoch, tenant, changes;
	__u32 flags; /* RULED_NAMED, RULED_OPEN, RULED_KEPT */
	struct slu_cell cell;
	__u64 until; /* ns of the coarse clock: where a second of CLOCK_BOOTTIME ends */
	struct slu_name_flow fresh;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, NAME_RECENT + 1);
	__type(key, __u32);
	__type(value, struct name_recent);
} name_recent SEC(".maps");

static __always_inline bool tcp_syn(struct __sk_buff *skb, const struct pkt *p)
{
	__u8 flags;

	return pkt_proto(p) == IPPROTO_TCP &&
	       !bpf_skb_load_bytes(skb, p->l4 + TCP_FLAGS_AT, &flags, sizeof(flags)) &&
	       (flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
}

/* A probe has its own: it runs where a packet may come between. */
static __always_inline struct name_recent *name_slot(const struct pkt *p, __u32 policy)
{
	const __u32 *d = p->dst.w, *s = p->src.w;
	__u64 h = hash_of(d[3] ^ s[3] ^ (__u64)p->key << 32,
			  d[1] ^ d[2] ^ (__u64)(p->sport ^ policy << 16 ^ s[2]) << 24);
	__u32 slot;

	slot = p->flags & PKT_PROBE ? NAME_RECENT : h >> 54;
	_Static_assert(NAME_RECENT == 1 << (64 - 54), "slots");
	return bpf_map_lookup_elem(&name_recent, &slot);
}

static __always_inline bool name_recent_is(struct __sk_buff *skb, const struct name_recent *s,
					   const struct pkt *p, const struct ruling *r)
{
	return addr_same(&s->flow.remote, &p->dst) && addr_same(&s->flow.local, &p->src) &&
	       s->flow.lport == p->sport && s->l4_key == p->key && s->tenant == r->tenant &&
	       bpf_ktime_get_coarse_ns() < s->until && !(s->flags & RULED_KEPT && tcp_syn(skb, p));
}

/* By a key of its own: Linux 6.1 takes none from memory that a global function was handed. */
static __always_inline struct slu_named *named_get(const struct ruling *r, const struct pkt *p)
{
	struct slu_named_key key = {.addr = p->dst, .tenant = r->tenant};

	return bpf_map_lookup_elem(&named, &key);
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
	e = named_get(r, p);
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

static __always_inline bool cell_same(const struct slu_cell *a, const struct slu_cell *b)
{
	const __u32 *x = (const __u32 *)a, *y = (const __u32 *)b;

	return x[0] == y[0] && x[1] == y[1] && x[2] == y[2];
}

/* Whose the slot is from now on; it holds nothing yet. */
__noinline int slu_names_begin(struct ruling *r, struct pkt *p, __u32 policy)
{
	struct name_recent *s;
	__u64 now;

	if (!r || !p)
		return 0;
	s = name_slot(p, policy);
	if (!s)
		return 0;
	s->policy = 0;
	barrier();
	__builtin_memset(&s->flow, 0, sizeof(s->flow));
	s->flow.local = p->src;
	s->flow.remote = p->dst;
	s->flow.proto = pkt_proto(p);
	s->flow.lport = p->sport;
	s->flow.rport = p->dport;
	now = bpf_ktime_get_boot_ns();
	s->until = bpf_ktime_get_coarse_ns() + NS_PER_S - (now - seconds_of(now) * NS_PER_S);
	return 0;
}

/* Names that held when the flow began, if it is still the same one. */
__noinline int slu_names_kept(struct __sk_buff *skb, struct ruling *r, struct pkt *p, __u32 policy)
{
	struct slu_name_flow *kept;
	struct name_recent *s;
	bool found = false;
	int reason = 0;
	__u32 now;

	if (!r || !p)
		return 0;
	s = name_slot(p, policy);
	kept = s ? bpf_map_lookup_elem(&name_flows, &s->flow) : NULL;
	if (!kept)
		return 0;
	now = seconds_now();
	if (now - kept->seen > (pkt_proto(p) == IPPROTO_TCP ? SLU_FLOW_IDLE_TCP : SLU_FLOW_IDLE) ||
	    tcp_syn(skb, p))
		return 0;
	s->cell = r->cell;
	for (int i = 0; i < SLU_MAX_NAMES_AT && !reason; i++) {
		if (kept->name[i])
			reason = name_merge(r, kept->name[i], p->key, &found);
	}
	if (!found)
		return reason;
	r->flags |= cell_same(&s->cell, &r->cell) ? RULED_OPEN : RULED_OPEN | RULED_KEPT;
	if (kept->seen != now && !(p->flags & PKT_PROBE))
		kept->seen = now;
	return reason;
}

static __always_inline int names_ask(struct __sk_buff *skb, struct ruling *r, struct pkt *p,
				     __u32 policy)
{
	int reason;

	slu_names_begin(r, p, policy);
	reason = slu_names_now(r, p);
	return reason ? reason : slu_names_kept(skb, r, p, policy);
}

/* The flow begins now: remembered with the names that the policy has and that hold. */
__noinline int slu_name_flow(struct ruling *r, struct pkt *p, __u32 policy)
{
	struct name_recent *s;
	struct slu_named *e;
	__u32 now;

	if (!r || !p)
		return 0;
	s = name_slot(p, policy);
	e = named_get(r, p);
	if (!s || !e)
		return 0;
	now = seconds_now();
	s->fresh.seen = now;
	for (int i = 0; i < SLU_MAX_NAMES_AT; i++) {
		union named_place at = {.word = *NAMED_PLACE(e, i)};
		struct slu_name_class key = {r->root, at.name};
		bool has = at.name && at.until > now && bpf_map_lookup_elem(&name_classes, &key);

		s->fresh.name[i] = has ? at.name : 0;
	}
	bpf_map_update_elem(&name_flows, &s->flow, &s->fresh, BPF_ANY);
	return 0;
}

/*
 * What follows from the names, once: the first packet of a flow that a name has a part in letting
 * out is remembered, what they say to the others is kept for the next of them.
 */
static __always_inline void names_store(struct name_recent *s, struct ruling *r, struct pkt *p,
					__u32 policy)
{
	if (p->flags & PKT_PROBE)
		return;
	if ((r->flags & (RULED_NAMED | RULED_OPEN)) == RULED_NAMED && r->verdict == SLU_ALLOW) {
		slu_name_flow(r, p, policy);
		return;
	}
	s->l4_key = p->key;
	s->tenant = r->tenant;
	s->flags = r->flags & (RULED_NAMED | RULED_OPEN | RULED_KEPT);
	s->cell = r->cell;
	barrier();
	s->policy = policy;
}
