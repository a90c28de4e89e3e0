/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#pragma once
/*
 * Answers of resolvers (RFC 1035), read on their way to the pod: whatever one tells is in
 * "named" before the pod can act on it, so the first connection after a lookup passes.
 *
 * Read is one question and the answers, in order: a name follows the chain of CNAMEs from
 * the question on, and an address at its end counts for the name that was asked for. An owner
 * that is not the chain's present name is somebody else's. Time to live: the least along
 * the chain. A pointer in a name must lead further back than the name began, so that none
 * goes round in circles.
 *
 * For a name on the way the same answer says nothing. Who owns the asked name may lead it to
 * any other, and a resolver that forwards one zone to a server of its own passes on what that
 * says, addresses of the other name included, unverified (dnsmasq does; unbound asks the
 * other's own servers). Would they count, the owner of evil.example could open any address to
 * whoever may reach *.cdn.example. What the asked name leads to is its owner's to say.
 *
 * Only who is among dns.resolvers is believed, so no pod opens anything with answers from
 * a server of its own; and nothing but the answer's own bytes decides where it begins and
 * ends (by TCP: dns_tcp.bpf.h).
 */
#include "bpf/names.bpf.h"
#include "bpf/parse.bpf.h"

#define DNS_HEAD      12
#define DNS_NAME_MAX  253 /* characters */
#define DNS_JUMPS     16
#define DNS_STEPS     (DNS_NAME_MAX + DNS_JUMPS + 8)
#define DNS_RECORDS   256 /* more than fit into SLU_DNS_MAX */
#define DNS_A	      1
#define DNS_CNAME     5
#define DNS_AAAA      28
#define DNS_IN	      1
#define DNS_TTL_MAX   604800 /* RFC 8767 4 */
#define DNS_RESPONSE  0x8000
#define DNS_OPCODE    0x7800
#define DNS_TRUNCATED 0x0200
#define DNS_RCODE     0x000f

static __always_inline __u32 dns_u8(const struct dns_work *w, __u32 at)
{
	return w->msg[at & (SLU_DNS_MAX - 1)];
}

static __always_inline __u32 dns_u16(const struct dns_work *w, __u32 at)
{
	return dns_u8(w, at) << 8 | dns_u8(w, at + 1);
}

static __always_inline void dns_put(struct dns_work *w, __u8 c)
{
	w->text[(w->base + w->n) & (2 * SLU_NAME_SIZE - 1)] = c;
	w->n++;
}

/* One byte of a label, or its length, or a pointer. 1: the end, and if w->done a good one. */
static long dns_name_step(__u32 i, struct dns_ctx *ctx)
{
	struct dns_work *w = ctx->w;
	__u32 at = w->at, c, to;

	if (at >= w->len || at >= SLU_DNS_MAX || w->n > DNS_NAME_MAX)
		return 1;
	c = dns_u8(w, at);
	w->at = at + 1;
	if (w->left) {
		w->left--;
		w->odd |= c == '.' || !c; /* no pattern has such a label */
		dns_put(w, c >= 'A' && c <= 'Z' ? c | 0x20 : c);
		return 0;
	}
	if (c == 0) {
		w->done = 1;
		if (!w->jumps)
			w->next = at + 1;
		return 1;
	}
	if (c < 64) {
		if (w->n)
			dns_put(w, '.');
		w->left = c;
		return 0;
	}
	if (c < 192 || at + 2 > w->len || w->jumps == DNS_JUMPS)
		return 1;
	to = dns_u16(w, at) & 0x3fff;
	if (to >= w->low)
		return 1;
	if (!w->jumps)
		w->next = at + 2;
	w->jumps++;
	w->low = to;
	w->at = to;
	return 0;
}

/* The name at `at`, in lower case, into text[which]; w->n its length, w->next what follows. */
__noinline int slu_dns_name(__u32 at, __u32 which)
{
	struct dns_work *w = dns_work_get();
	struct dns_ctx ctx = {.w = w};

	if (!w)
		return 0;
	w->base = which ? SLU_NAME_SIZE : 0;
	if (which)
		__builtin_memset(w->text + SLU_NAME_SIZE, 0, SLU_NAME_SIZE);
	else
		__builtin_memset(w->text, 0, SLU_NAME_SIZE);
	w->at = w->low = at;
	w->next = w->left = w->jumps = w->n = w->odd = w->done = 0;
	bpf_loop(DNS_STEPS, dns_name_step, &ctx, 0);
	if (w->n > DNS_NAME_MAX)
		w->done = 0;
	return w->done;
}

static __always_inline bool dns_same(const struct dns_work *w)
{
	const __u64 *a = (const __u64 *)w->text, *b = a + SLU_NAME_SIZE / sizeof(*a);
	__u64 differ = 0;

#pragma unroll
	for (int i = 0; i < SLU_NAME_SIZE / 8; i++)
		differ |= a[i] ^ b[i];
	return !differ;
}

/* Text [1] becomes the chain's present name. */
static __always_inline void dns_chain(struct dns_work *w, __u32 at)
{
	__builtin_memcpy(w->text, w->text + SLU_NAME_SIZE, SLU_NAME_SIZE);
	w->chain_at = at;
	w->chain_odd = w->odd;
}

static __always_inline void dns_address(struct dns_work *w, __u32 at, bool v4)
{
	const __u8 *b = w->msg + (at & (SLU_DNS_MAX - 1));

	if (v4)
		w->known.addr = addr_of_v4(b[0] | b[1] << 8 | b[2] << 16 | (__u32)b[3] << 24);
	else
		__builtin_memcpy(&w->known.addr, b, sizeof(w->known.addr));
	/* IPv4 in IPv6: the pod would reach an IPv4 address by it */
	w->odd = !v4 && addr_v4(&w->known.addr);
	slu_learn();
}

/* A record of the chain's present name, or of another type 0. False: malformed. */
static __always_inline bool dns_record(struct dns_work *w, __u32 at, __u32 type, __u32 ttl,
				       __u32 len)
{
	if (type == DNS_CNAME) {
		if (!slu_dns_name(at, 1) || w->next != at + len)
			return false;
		w->chain_ttl = ttl;
		dns_chain(w, at);
	} else if (type == DNS_A || type == DNS_AAAA) {
		if (len != (type == DNS_A ? 4 : 16))
			return false;
		w->ttl = ttl;
		dns_address(w, at, type == DNS_A);
	}
	return true;
}

/* One record at w->next. 1: no more of them. */
static long dns_record_step(__u32 i, struct dns_ctx *ctx)
{
	struct dns_work *w = ctx->w;
	__u32 at = w->next, type, ttl, len;
	bool same;

	if (i >= w->records)
		return 1;
	w->failed = 1;
	/* nearly always a pointer to where the chain's name was first written */
	if (at + 2 <= w->len && dns_u16(w, at) == (0xc000 | w->chain_at)) {
		same = true;
		at += 2;
	} else {
		if (!slu_dns_name(at, 1))
			return 1;
		same = !w->odd && !w->chain_odd && dns_same(w);
		at = w->next;
	}
	if (at + 10 > w->len)
		return 1;
	type = dns_u16(w, at);
	ttl = dns_u16(w, at + 4) << 16 | dns_u16(w, at + 6);
	len = dns_u16(w, at + 8);
	at += 10;
	if (at + len > w->len)
		return 1;
	if (dns_u16(w, at - 8) != DNS_IN || !same)
		type = 0;
	if (ttl >> 31) /* RFC 2181 8 */
		ttl = 0;
	if (ttl > w->chain_ttl)
		ttl = w->chain_ttl;
	if (!dns_record(w, at, type, ttl, len))
		return 1;
	w->next = at + len;
	w->failed = 0;
	return 0;
}

/* Is it an answer to one question of class IN that says more than no? */
static __always_inline bool dns_head(struct dns_work *w)
{
	__u32 flags = dns_u16(w, 2);

	w->failed = 0;
	if (!(flags & DNS_RESPONSE) || flags & (DNS_OPCODE | DNS_RCODE)) {
		names_count(SLU_NAMES_FAILED);
		return false;
	}
	if (flags & DNS_TRUNCATED) {
		names_count(SLU_NAMES_TRUNCATED);
		return false;
	}
	w->failed = dns_u16(w, 4) != 1;
	w->records = dns_u16(w, 6);
	return !w->failed;
}

/* The message msg[0..len), by a resolver. The return value means nothing. */
__noinline int slu_dns_message(void)
{
	struct dns_work *w = dns_work_get();
	struct dns_ctx ctx = {.w = w};

	if (!w)
		return 0;
	names_count(SLU_NAMES_ANSWERS);
	if (w->cut)
		names_count(SLU_NAMES_LONG);
	w->failed = 1;
	w->n_ids = 0;
	w->chain_ttl = DNS_TTL_MAX;
	if (w->len >= DNS_HEAD && w->len <= SLU_DNS_MAX) {
		if (!dns_head(w) && !w->failed)
			return 0;
		if (!w->failed)
			w->failed = !slu_dns_name(DNS_HEAD, 1) || w->next + 4 > w->len;
	}
	if (!w->failed && dns_u16(w, w->next + 2) != DNS_IN) {
		names_count(SLU_NAMES_FAILED);
		return 0;
	}
	if (!w->failed) {
		w->next += 4;
		w->now = seconds_now();
		dns_chain(w, DNS_HEAD);
		names_match(&ctx);
		bpf_loop(DNS_RECORDS, dns_record_step, &ctx, 0);
	}
	/* what was cut off fails where it was cut */
	if (w->failed && !w->cut)
		names_count(SLU_NAMES_MALFORMED);
	return 0;
}

/* n bytes at off of the packet become the message. */
static __always_inline bool dns_load(struct __sk_buff *skb, struct dns_work *w, __u32 off, __u32 n)
{
	w->cut |= n > SLU_DNS_MAX;
	w->len = n > SLU_DNS_MAX ? SLU_DNS_MAX : n;
	if (!n)
		return true; /* which is malformed */
	n = (w->len - 1) & (SLU_DNS_MAX - 1);
	barrier_var(n); /* so that the verifier sees 1..4096 */
	return !bpf_skb_load_bytes(skb, off, w->msg, n + 1);
}
