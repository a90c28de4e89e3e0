/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#pragma once
/*
 * Learning: an address that was seen under a name goes into "named", for the namespace of the
 * pod that was told, under the ids of the patterns that the name fits and the pod's own
 * policies have.
 *
 * An element is changed in place, under one lock for all, so that of two processors that
 * learn something about one address none undoes the other's word. Deleting happens here alone,
 * when there is no room (shares.bpf.h): everything that has expired goes, then the oldest of the
 * same namespace. So nobody has to sweep, and names are learned with or without a daemon.
 */
#include "bpf/parse.bpf.h"
#include "bpf/shares.bpf.h"

/*
 * map "dns_streams": LRU_HASH, key struct slu_flow (local: the pod; parent: the device) →
 * how far the answers of a resolver by TCP have been read. map "dns_parts": LRU_HASH, the
 * same key → the beginning of an answer whose rest is still to come.
 */
#define MAX_DNS_STREAMS 16384
#define MAX_DNS_PARTS	512
struct dns_stream {
	__u32 next;	  /* sequence number of the first byte that was not seen */
	__u32 have;	  /* bytes of the present message, its two of length included */
	__u32 len;	  /* as those two say */
	__u32 lost;	  /* 1: the beginning of the present message is gone */
	__u64 waits_from; /* ns of CLOCK_BOOTTIME when bytes were first missing, 0 = none are */
};

#define DNS_ROOM       (2 * SLU_DNS_MAX) /* the verifier adds an offset and a length below it */
#define LEARN_ATTEMPTS 65536
#define STARVED_MAX    256

struct bpf_map;

/* What one processor works with: bpf_loop's callbacks may keep their state in a map only. */
struct dns_work {
	/* as in struct dns_part */
	struct slu_flow flow;
	__u32 pad;
	__u8 msg[DNS_ROOM];
	__u32 len;
	__u32 cut;     /* the message is longer than what is in msg */
	__u32 failed;  /* and nothing more is to be read */
	__u32 records; /* still to come */
	/* a name that is being read: dns_name() */
	__u32 at, next, low, left, jumps, n, base, odd, done;
	__u8 text[2 * SLU_NAME_SIZE]; /* [0] the chain's present name, [1] another */
	/* the chain: from the question along CNAMEs */
	__u32 chain_at, chain_odd, chain_ttl;
	struct slu_name key;
	/* what is learned */
	__u32 ids[SLU_MAX_NAMES_AT];
	__u32 n_ids;
	struct slu_named_key known;  /* the address that is learned, and by whom */
	struct slu_named_key victim; /* what makes room for it */
	struct slu_named fresh;
	__u32 roots[2]; /* the pod's policies: enforced, audit */
	__u32 now, ttl, until, learned, removed, starved;
	/* the packet, and a stream: dns_tcp.bpf.h */
	struct pkt p;
	__u32 off, end;
	struct dns_stream stream;
};

SLU_MAP(patterns, BPF_MAP_TYPE_HASH, struct slu_name, struct slu_pattern, SLU_MAX_PATTERNS,
	BPF_F_NO_PREALLOC);
SLU_MAP(name_counts, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, __u64, SLU_NAMES_MAX, 0);

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct dns_work);
} dns_work SEC(".maps");

/*
 * Global functions look it up by themselves: handed to them it would be any memory to the
 * verifier, and Linux 6.1 takes no key of a map from there.
 */
static __always_inline struct dns_work *dns_work_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&dns_work, &zero);
}

/* What a callback is given: the state is in w, skb only for who reads from it. */
struct dns_ctx {
	struct dns_work *w;
	void *skb; /* struct __sk_buff; named here, BTF would only know that there is such a thing
		    */
};

static __always_inline void names_count(__u32 what)
{
	__u64 *n = bpf_map_lookup_elem(&name_counts, &what);

	if (n)
		(*n)++;
}

/* What is asked of places is computed without branches, or the verifier would follow every
 * combination of twelve answers.
 */
#define IS_BELOW(a, b) (((__u64)(a) - (__u64)(b)) >> 63) /* 1 or 0, for a, b < 2^63 */
#define IS_ZERO(a)     IS_BELOW(a, 1)

/* Marks it as going, if nothing in it holds any more. */
static __always_inline bool named_expire(struct names_guard *g, struct slu_named *e,
					 const struct slu_named_key *key, __u32 now)
{
	__u64 alive = 0;

	bpf_spin_lock(&g->lock);
#pragma clang loop unroll(disable)
	for (int i = 0; i < SLU_MAX_NAMES_AT; i++) {
		union named_place p = {.word = *NAMED_PLACE(e, i)};

		alive |= IS_BELOW(now, p.until) & ~IS_ZERO(p.name);
	}
	if (!alive && named_stands(g, e, key)) {
		e->at[0].name = SLU_NAME_GONE;
		place_give(g, e->place);
	} else {
		alive = 1;
	}
	bpf_spin_unlock(&g->lock);
	return !alive;
}

static long named_sweep_step(struct bpf_map *map, struct slu_named_key *key, struct slu_named *e,
			     struct dns_ctx *ctx)
{
	struct names_guard *g = names_guard_get();
	struct dns_work *w = ctx->w;

	if (g && named_expire(g, e, key, w->now)) {
		bpf_map_delete_elem(&named, key);
		w->removed++;
		names_count(SLU_NAMES_EXPIRED);
	}
	return 0;
}

/* Not twice a second, however many answers find no room. True: there may be some now. */
static __always_inline bool named_sweep(struct dns_ctx *ctx)
{
	struct names_guard *g = names_guard_get();
	__u32 now = ctx->w->now;

	if (!g || g->swept == now)
		return false;
	g->swept = now;
	ctx->w->removed = 0;
	bpf_for_each_map_elem(&named, named_sweep_step, ctx, 0);
	return ctx->w->removed;
}

/* Into the place it has, else a free one, else the one that ends first. With the lock held. */
static __always_inline void named_put(struct slu_named *e, __u32 name, __u32 until)
{
	__u64 best = ~0ull >> 1, rank, same, later;
	union named_place p;

#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < SLU_MAX_NAMES_AT; i++) {
		p.word = *NAMED_PLACE(e, i);
		/* 0: its own, 1: free, else when it ends, which is later */
		rank = (p.until & (IS_ZERO(p.name) - 1)) | IS_ZERO(p.name);
		same = IS_ZERO(p.name ^ name);
		rank = (rank & (same - 1)) << 4 | i;
		best ^= (best ^ rank) & (0 - IS_BELOW(rank, best));
	}
	rank = best & 15;
	barrier_var(rank);
	if (rank >= SLU_MAX_NAMES_AT)
		return;
	p.word = *NAMED_PLACE(e, rank);
	later = IS_BELOW(until, p.until) & IS_ZERO(p.name ^ name);
	p.until = (p.until & (0 - later)) | (until & (later - 1));
	p.name = name;
	*NAMED_PLACE(e, rank) = p.word;
}

/* It was learned again, so it is the newest of its namespace's. False: it is being deleted. */
static __always_inline bool named_merge(struct slu_named *e, const struct slu_named_key *key,
					__u32 name, __u32 until)
{
	struct names_guard *g = names_guard_get();
	bool stands;

	if (!g)
		return false;
	bpf_spin_lock(&g->lock);
	stands = named_stands(g, e, key);
	if (stands) {
		named_put(e, name, until);
		place_unlink(g, e->place);
		place_link(g, e->place);
	}
	bpf_spin_unlock(&g->lock);
	return stands;
}

/* True: it is worth another try. */
static __always_inline bool room_make(struct dns_ctx *ctx)
{
	struct dns_work *w = ctx->w;
	int pushed;

	if (named_sweep(ctx))
		return true;
	pushed = share_push(w->known.tenant, &w->victim);
	if (pushed > 0)
		names_count(SLU_NAMES_PUSHED);
	return pushed;
}

static __always_inline void learned(struct dns_work *w)
{
	w->learned++;
	named_changed(&w->known);
}

/* One try to put w->known under the next of w->ids. 1: all are done, or it cannot be. */
static long learn_step(__u32 i, struct dns_ctx *ctx)
{
	struct dns_work *w = ctx->w;
	__u32 k = w->learned, place;
	struct slu_named *e;
	long rc;

	if (k >= w->n_ids || k >= SLU_MAX_NAMES_AT)
		return 1;
	e = bpf_map_lookup_elem(&named, &w->known);
	if (e) {
		if (named_merge(e, &w->known, w->ids[k], w->until))
			learned(w);
		return 0;
	}
	place = share_take(&w->known);
	if (!place)
		return !room_make(ctx);
	w->fresh.at[0].name = w->ids[k];
	w->fresh.at[0].until = w->until;
	w->fresh.place = place;
	rc = bpf_map_update_elem(&named, &w->known, &w->fresh, BPF_NOEXIST);
	if (!rc)
		learned(w);
	else
		share_give(place);
	if (!rc || rc == -17 /* EEXIST */)
		return 0;
	/* ENOMEM: the kernel fetches more in an interrupt that it has just sent itself */
	return rc != -12 || w->starved++ > STARVED_MAX;
}

/* Loopback, and what only stands for "none" or lies inside IPv6 as IPv4. */
static __always_inline bool addr_local(const struct slu_addr *a)
{
	if (addr_v4(a))
		return (a->w[3] & bpf_htonl(0xff000000)) == bpf_htonl(0x7f000000) ||
		       !(a->w[3] & bpf_htonl(0xff000000));
	return !a->w[0] && !a->w[1];
}

/*
 * Where no name may lead: who answers for one could otherwise open what policies do not
 * judge, or the node itself (DNS rebinding).
 */
static __always_inline bool addr_leads_in(const struct slu_addr *a)
{
	return addr_local(a) || addr_multicast(a) || addr_link_local(a) ||
	       inside_flags(a) & (SLU_INSIDE_ALL | SLU_INSIDE_POD);
}

/* 64:ff9b::a.b.c.d, of which a NAT64 on the way makes a.b.c.d (RFC 6052), is looked at as that. */
static __always_inline bool learn_rebinds(struct dns_work *w)
{
	struct slu_addr *a = &w->victim.addr; /* nothing is pushed out yet */

	*a = w->known.addr;
	if (a->w[0] == bpf_htonl(0x0064ff9b) && !a->w[1] && !a->w[2]) {
		a->w[0] = 0;
		a->w[2] = bpf_htonl(0xffff);
	}
	return addr_leads_in(a);
}

/* w->known under all of w->ids, unless it is an odd one. The return value means nothing. */
__noinline int slu_learn(void)
{
	struct dns_work *w = dns_work_get();
	struct dns_ctx ctx = {.w = w};
	struct slu_config *c = config_get();
	__u32 ttl;

	if (!w || !c || !w->n_ids)
		return 0;
	if (w->odd || learn_rebinds(w)) {
		names_count(SLU_NAMES_REBOUND);
		return 0;
	}
	ttl = w->ttl > c->dns_min_ttl ? w->ttl : c->dns_min_ttl;
	w->until = w->now + ttl + c->dns_grace;
	w->learned = w->starved = 0;
	bpf_loop(LEARN_ATTEMPTS, learn_step, &ctx, 0);
	names_count(w->learned < w->n_ids ? SLU_NAMES_FULL : SLU_NAMES_LEARNED);
	return 0;
}

/* ---- who asked ---- */

#define ASKER_TRIES 4 /* neither pods nor policies are written all the time */

static __always_inline __u32 root_of(__u32 policy)
{
	struct slu_policy *found = bpf_map_lookup_elem(&policies, &policy);

	return found ? found->root : 0;
}

/* From one state of the map (judge.bpf.h, consult()). */
static __always_inline bool roots_read(struct dns_work *w, const struct who *who)
{
	__u32 zero = 0, then;
	volatile __u32 *now = bpf_map_lookup_elem(&epoch, &zero);

	if (!now)
		return false;
	for (int i = 0; i < ASKER_TRIES; i++) {
		then = *now;
		w->roots[0] = root_of(who->policy);
		w->roots[1] = root_of(who->audit);
		if (*now == then)
			return true;
	}
	return false;
}

/* The pod behind the device is the one that is told. 0: nobody is there to learn. */
__noinline int slu_asker(__u32 device)
{
	struct dns_work *w = dns_work_get();
	struct slu_pod *pod;
	struct who who;
	__u16 mac[3];

	if (!w)
		return 0;
	w->roots[0] = w->roots[1] = 0;
	for (int i = 0; i < ASKER_TRIES; i++) {
		pod = bpf_map_lookup_elem(&pods, &device);
		if (!pod)
			return 0;
		if (!pod_read(device, pod, &who, mac))
			continue;
		w->known.tenant = who.tenant;
		if (roots_read(w, &who))
			return 1;
		break;
	}
	w->roots[0] = w->roots[1] = 0;
	return 0;
}

/* ---- which patterns a name fits ---- */

/* A rule of the pod's own policies is about it: only then may it take a place in an element. */
static __always_inline bool id_wanted(const struct dns_work *w, __u32 id)
{
	struct slu_name_class key = {w->roots[0], id}, audit = {w->roots[1], id};

	return id && (bpf_map_lookup_elem(&name_classes, &key) ||
		      bpf_map_lookup_elem(&name_classes, &audit));
}

static __always_inline void ids_add(struct dns_work *w, __u32 id)
{
	if (!id_wanted(w, id))
		return;
	for (__u32 i = 0; i < SLU_MAX_NAMES_AT; i++) {
		if (i >= w->n_ids) {
			w->ids[i] = id;
			w->n_ids = i + 1;
			return;
		}
		if (w->ids[i] == id)
			return;
	}
}

/* The i-th character from behind goes into the key; at a dot the key is a name by itself. */
static long match_step(__u32 i, struct dns_ctx *ctx)
{
	struct dns_work *w = ctx->w;
	struct slu_pattern *p;
	__u8 c;

	if (i >= w->n)
		return 1;
	c = w->text[(w->n - 1 - i) & (SLU_NAME_SIZE - 1)];
	if (c == '.') {
		p = bpf_map_lookup_elem(&patterns, &w->key);
		if (p)
			ids_add(w, p->below);
	}
	w->key.text[i & (SLU_NAME_SIZE - 1)] = c;
	return 0;
}

/* Adds the ids of all patterns that the chain's present name, text[0..n), fits. */
static __always_inline void names_match(struct dns_ctx *ctx)
{
	struct dns_work *w = ctx->w;
	struct slu_pattern *p;

	if (w->chain_odd || !w->n)
		return;
	__builtin_memset(&w->key, 0, sizeof(w->key));
	bpf_loop(SLU_NAME_SIZE, match_step, ctx, 0);
	p = bpf_map_lookup_elem(&patterns, &w->key);
	if (p)
		ids_add(w, p->exact);
}
