/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#pragma once
/*
 * Answers by TCP, and the program that sees all of them: tc egress on the host side of a
 * pod's veth, of those pods alone whose policies have names.
 *
 * A stream is followed from its first byte, since only who knows where the last message
 * ended knows where the next one begins: the pod chooses the size of segments, and what
 * its own zone on the internet makes a resolver say could look like any answer if a
 * segment were taken for the beginning of a message. A message may be spread over many
 * segments; what has come of it is put aside, and the last piece is not let through
 * before the whole was read. A segment from beyond a gap is dropped: TCP sends it again,
 * after what is missing. If that does not come within a second, the stream is given up:
 * it passes, and nothing is learned from it.
 */
#include "bpf/dns.bpf.h"

#define DNS_MESSAGES 64 /* in one packet */
#define DNS_PATIENCE NS_PER_S
#define PART_STEP    64
#define TCP_HEAD_MIN 20

SLU_MAP(dns_streams, BPF_MAP_TYPE_LRU_HASH, struct slu_flow, struct dns_stream, MAX_DNS_STREAMS, 0);

struct dns_part {
	struct slu_flow flow;
	__u32 pad;
	__u8 msg[SLU_DNS_MAX];
};

SLU_MAP(dns_parts, BPF_MAP_TYPE_LRU_HASH, struct slu_flow, struct dns_part, MAX_DNS_PARTS, 0);

_Static_assert(__builtin_offsetof(struct dns_part, msg) == __builtin_offsetof(struct dns_work, msg),
	       "a part is the beginning of dns_work");
_Static_assert(__builtin_offsetof(struct dns_part, msg) % 8 == 0, "words are copied");

struct part_ctx {
	struct dns_work *w;
	struct dns_part *part;
};

static long part_step(__u32 i, struct part_ctx *ctx)
{
	__u32 at = i * PART_STEP;
	__u64 *to, *from;

	barrier_var(at);
	at &= SLU_DNS_MAX - PART_STEP; /* what it is; so that the verifier sees it */
	to = (__u64 *)(ctx->w->msg + at);
	from = (__u64 *)(ctx->part->msg + at);
#pragma unroll
	for (int k = 0; k < PART_STEP / 8; k++)
		to[k] = from[k];
	return 0;
}

static __always_inline bool flow_same(const struct slu_flow *a, const struct slu_flow *b)
{
	return addr_same(&a->local, &b->local) && addr_same(&a->remote, &b->remote) &&
	       a->parent == b->parent && a->lport == b->lport && a->rport == b->rport;
}

/* What had come of the message. False: others needed the place. */
static __always_inline bool part_get(struct dns_work *w)
{
	struct part_ctx ctx = {.w = w, .part = bpf_map_lookup_elem(&dns_parts, &w->flow)};

	if (!ctx.part)
		return false;
	bpf_loop(SLU_DNS_MAX / PART_STEP, part_step, &ctx, 0);
	return flow_same(&ctx.part->flow, &w->flow); /* asked last: it was ours all the while */
}

/* One more byte of the two that say how long the message is. */
static __always_inline long stream_length(struct dns_ctx *ctx)
{
	struct dns_work *w = ctx->w;
	struct dns_stream *s = &w->stream;
	__u8 b;

	if (bpf_skb_load_bytes(ctx->skb, w->off, &b, sizeof(b)))
		return 1;
	s->len = s->have ? s->len | b : (__u32)b << 8;
	s->have++;
	w->off++;
	return 0;
}

/* n more bytes of the message, of which pos were there. */
static __always_inline bool stream_append(struct dns_ctx *ctx, __u32 pos, __u32 n)
{
	struct dns_work *w = ctx->w;

	if (pos && !part_get(w))
		return false;
	if (pos >= SLU_DNS_MAX)
		return true;
	if (n > SLU_DNS_MAX - pos)
		n = SLU_DNS_MAX - pos;
	/* so that the verifier sees 0..4095 and 1..4096 */
	barrier_var(pos);
	pos &= SLU_DNS_MAX - 1;
	n = (n - 1) & (SLU_DNS_MAX - 1);
	barrier_var(n);
	return !bpf_skb_load_bytes(ctx->skb, w->off, w->msg + pos, n + 1);
}

/* A piece of a message, a length, or a whole one. 1: the packet is read. */
static long stream_step(__u32 i, struct dns_ctx *ctx)
{
	struct dns_work *w = ctx->w;
	struct dns_stream *s = &w->stream;
	__u32 pos, n;

	if (w->off >= w->end)
		return 1;
	if (s->have < 2)
		return stream_length(ctx);
	pos = s->have - 2;
	n = w->end - w->off;
	if (pos > s->len)
		return 1;
	if (n > s->len - pos)
		n = s->len - pos;
	if (n && !s->lost && !stream_append(ctx, pos, n))
		s->lost = 1;
	w->off += n;
	s->have += n;
	if (pos + n < s->len) {
		if (!s->lost && bpf_map_update_elem(&dns_parts, &w->flow, w, BPF_ANY))
			s->lost = 1;
		return 1;
	}
	if (s->lost) {
		names_count(SLU_NAMES_UNREAD);
	} else {
		w->cut = s->len > SLU_DNS_MAX;
		w->len = w->cut ? SLU_DNS_MAX : s->len;
		slu_dns_message();
	}
	s->have = s->lost = 0;
	return 0;
}

/* Something is missing before this segment. 0: it passes, or a reason. */
static __always_inline int stream_gap(struct dns_work *w, struct dns_stream *s)
{
	__u64 now = bpf_ktime_get_boot_ns();

	if (!s->waits_from)
		s->waits_from = now;
	if (now - s->waits_from < DNS_PATIENCE)
		return SLU_DROP_DNS_ORDER;
	bpf_map_delete_elem(&dns_streams, &w->flow);
	names_count(SLU_NAMES_UNREAD);
	return 0;
}

/* The bytes [off, end) of the packet, whose first one has this number. 0 or a reason. */
static __always_inline int stream_read(struct __sk_buff *skb, struct dns_work *w, __u32 seq)
{
	struct dns_stream *s = bpf_map_lookup_elem(&dns_streams, &w->flow);
	struct dns_ctx ctx = {.w = w, .skb = skb};
	__u32 start;

	if (!s) {
		names_count(SLU_NAMES_UNREAD);
		return 0;
	}
	if ((__s32)(seq - s->next) > 0)
		return stream_gap(w, s);
	if (s->next - seq >= w->end - w->off) /* all of it was seen */
		return 0;
	w->off += s->next - seq;
	start = w->off;
	w->stream = *s;
	bpf_loop(3 * DNS_MESSAGES, stream_step, &ctx, 0);
	if (w->off < w->end) { /* tiny messages, far too many of them */
		bpf_map_delete_elem(&dns_streams, &w->flow);
		names_count(SLU_NAMES_UNREAD);
		return 0;
	}
	s->have = w->stream.have;
	s->len = w->stream.len;
	s->lost = w->stream.lost;
	s->next += w->off - start;
	s->waits_from = 0;
	return 0;
}

struct dns_tcp_head {
	__u16 ports[2];
	__u32 seq, ack;
	__u8 doff, flags;
};

static __always_inline int dns_tcp(struct __sk_buff *skb, const struct pkt *p, struct dns_work *w)
{
	struct dns_stream s = {};
	struct dns_tcp_head h;

	if (bpf_skb_load_bytes(skb, p->l4, &h, 14))
		return 0;
	w->flow.local = p->dst;
	w->flow.remote = p->src;
	w->flow.parent = skb->ifindex;
	w->flow.lport = p->dport;
	w->flow.rport = p->sport;
	w->flow.proto = IPPROTO_TCP;
	w->flow.fragment = 0;
	w->flow.pad = 0;
	h.seq = bpf_ntohl(h.seq);
	if ((h.flags & 0x12) == 0x12) { /* SYN and ACK: the stream begins behind it */
		s.next = ++h.seq;
		bpf_map_update_elem(&dns_streams, &w->flow, &s, BPF_ANY);
	}
	w->off = p->l4 + (h.doff >> 4) * 4u;
	w->end = p->end;
	if ((h.doff >> 4) * 4u < TCP_HEAD_MIN || w->off >= w->end)
		return 0;
	return stream_read(skb, w, h.seq);
}

/* One datagram of those that the kernel put together (UDP GRO): all of one size but the last. */
static long datagram_step(__u32 i, struct dns_ctx *ctx)
{
	struct dns_work *w = ctx->w;
	__u32 n = w->end - w->off, size = ((struct __sk_buff *)ctx->skb)->gso_size;

	if (w->off >= w->end)
		return 1;
	if (size && n > size)
		n = size;
	if (dns_load(ctx->skb, w, w->off, n))
		slu_dns_message();
	w->off += n;
	return 0;
}

static __always_inline void dns_udp(struct __sk_buff *skb, const struct pkt *p, struct dns_work *w)
{
	struct dns_ctx ctx = {.w = w, .skb = skb};
	__u16 len;

	if (bpf_skb_load_bytes(skb, p->l4 + 4, &len, sizeof(len)))
		return;
	w->off = p->l4 + 8;
	w->end = p->end;
	w->cut = !!(p->flags & PKT_FRAG_FIRST);
	if (!w->cut && !skb->gso_size && p->l4 + bpf_ntohs(len) < w->end)
		w->end = p->l4 + bpf_ntohs(len);
	bpf_loop(DNS_MESSAGES, datagram_step, &ctx, 0);
}

/* w->p: an answer on its way to a pod? 0: it passes, or a reason. */
static __always_inline int dns_look(struct __sk_buff *skb, struct dns_work *w)
{
	const struct pkt *p = &w->p;

	if (p->sport != bpf_htons(53) ||
	    (pkt_proto(p) != IPPROTO_UDP && pkt_proto(p) != IPPROTO_TCP))
		return 0;
	if (!(inside_flags(&p->src) & SLU_INSIDE_DNS)) {
		names_count(SLU_NAMES_FOREIGN);
		return 0;
	}
	slu_asker(skb->ifindex); /* if nobody is there, streams are followed and teach nothing */
	if (pkt_proto(p) == IPPROTO_TCP)
		return dns_tcp(skb, p, w);
	dns_udp(skb, p, w);
	return 0;
}

/* Most packets are none: told by the first bytes, if they are as usual. */
static __always_inline bool dns_maybe(struct __sk_buff *skb)
{
	struct {
		__u8 ip[40];
		__u16 sport;
	} v6;
	struct {
		__u8 ip[20];
		__u16 sport;
	} v4;

	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		if (bpf_skb_load_bytes(skb, ETH_HLEN, &v4, sizeof(v4)))
			return false;
		return v4.ip[0] != 0x45 || v4.sport == bpf_htons(53);
	}
	if (skb->protocol != bpf_htons(ETH_P_IPV6) ||
	    bpf_skb_load_bytes(skb, ETH_HLEN, &v6, sizeof(v6)))
		return false;
	return is_ext(v6.ip[6]) || v6.sport == bpf_htons(53);
}

SEC("tc")
int slu_to_pod(struct __sk_buff *skb)
{
	struct dns_work *w;
	int reason;

	if (!dns_maybe(skb) || skb->vlan_present)
		return TC_ACT_UNSPEC;
	w = dns_work_get();
	if (!w)
		return TC_ACT_UNSPEC;
	__builtin_memset(&w->p, 0, sizeof(w->p));
	if (slu_parse(skb, &w->p, skb->protocol))
		return TC_ACT_UNSPEC;
	reason = dns_look(skb, w);
	return reason ? drop(skb, reason) : TC_ACT_UNSPEC;
}
