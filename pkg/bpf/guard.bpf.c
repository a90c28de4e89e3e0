/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The exit guard that stays when nftables is emptied: a program at netfilter's last hook, behind
 * everybody's translation, held by a link of its own (bpf/guard.h). It repeats what the rules in
 * chain postrouting_exit say of marked packets. Those have been released by our first chain; what
 * is on its way between the two when the table is deleted meets neither translation nor rules any
 * more, and would leave as the node.
 *
 * An object of its own, since it reads the kernel's structures: their fields are found in the
 * running kernel's BTF, and a kernel without that, or before 6.4, does without this program.
 */
#include <bpf/bpf_core_read.h>

#include "bpf/base.bpf.h"

#define GUARD_DROP   0 /* NF_DROP, NF_ACCEPT */
#define GUARD_ACCEPT 1
#define FAMILY_V4    2 /* NFPROTO_IPV4 */
#define V4_SOURCE    12
#define V4_DEST	     16
#define V6_SOURCE    8
#define V6_DEST	     24
#define V4_PROTOCOL  9
#define V6_PROTOCOL  6
#define PORTS_BYTES  4 /* the first of a transport header; ICMP: type and code are the first two */
#define ICMP_BYTES   2
#define PARTIAL	     3 /* CHECKSUM_PARTIAL */

#define KERNELS __attribute__((preserve_access_index))

struct net_device {
	unsigned int group;
} KERNELS;

struct sk_buff {
	void *sk;
	unsigned int len;
	__u32 mark;
	__u16 network_header, transport_header;
	__u16 csum_start, csum_offset;
	__u8 ip_summed : 2;
	unsigned char *head;
} KERNELS;

struct nf_hook_state {
	__u8 pf;
	struct net_device *out;
} KERNELS;

struct bpf_nf_ctx {
	const struct nf_hook_state *state;
	struct sk_buff *skb;
} KERNELS;

/* Its source or destination; an IP header's fields lie where they lie on every kernel. */
static __always_inline bool end_read(const struct sk_buff *skb, __u8 family, __u32 v4_at,
				     __u32 v6_at, struct slu_addr *ret)
{
	const unsigned char *ip = skb->head + skb->network_header;
	__u32 v4;

	if (family != FAMILY_V4)
		return !bpf_probe_read_kernel(ret, sizeof(*ret), ip + v6_at);
	if (bpf_probe_read_kernel(&v4, sizeof(v4), ip + v4_at))
		return false;
	*ret = addr_of_v4(v4);
	return true;
}

/* Where the transport header begins and what it is; 0 = it is not found. */
static __always_inline __u32 transport_find(const unsigned char *ip, __u8 family, __u8 *ret_proto)
{
	__u32 off = 40;
	__u8 head, ext[2];

	if (family == FAMILY_V4) {
		if (bpf_probe_read_kernel(&head, 1, ip) ||
		    bpf_probe_read_kernel(ret_proto, 1, ip + V4_PROTOCOL))
			return 0;
		return (head & 0xf) * 4u;
	}
	if (bpf_probe_read_kernel(ret_proto, 1, ip + V6_PROTOCOL))
		return 0;
	for (int i = 0; i < EXT_MAX && is_ext(*ret_proto); i++) {
		if (bpf_probe_read_kernel(ext, sizeof(ext), ip + off))
			return 0;
		if (*ret_proto == IPPROTO_FRAGMENT)
			off += 8;
		else
			off += *ret_proto == IPPROTO_AH ? (ext[1] + 2u) * 4 : (ext[1] + 1u) * 8;
		*ret_proto = ext[0];
	}
	return is_ext(*ret_proto) ? 0 : off;
}

/*
 * A packet whose checksum is left to the card says where it goes, and nobody has looked at that. A
 * pod that may write frames (PACKET_VNET_HDR) could have an address or a port written over so,
 * behind every rule.
 */
static __always_inline bool checksum_in_place(const struct sk_buff *skb, __u8 family)
{
	const unsigned char *ip = skb->head + skb->network_header;
	__u32 at = skb->csum_start + skb->csum_offset, transport;
	__u8 proto = 0;

	if (family == FAMILY_V4 && skb->csum_start == skb->transport_header &&
	    skb->csum_offset >= PORTS_BYTES)
		return true;
	transport = transport_find(ip, family, &proto);
	if (!transport || at < skb->network_header)
		return false;
	at -= skb->network_header;
	if (proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6)
		return at >= transport + ICMP_BYTES;
	return at >= transport + PORTS_BYTES;
}

static __always_inline int drop(const struct sk_buff *skb, __u32 reason)
{
	struct slu_count *c = bpf_map_lookup_elem(&drops, &reason);

	if (c) {
		c->packets++;
		c->bytes += skb->len;
	}
	return GUARD_DROP;
}

/* A verdict that nobody carried out is the reason itself. */
static __always_inline __u32 reason_of(__u32 id, bool diverted)
{
	if (id && id < SLU_MARK_REASONS)
		return id;
	return diverted ? SLU_DROP_EXIT_DEVICE : SLU_DROP_EXIT_SOURCE;
}

SEC("netfilter")
int slu_exit(struct bpf_nf_ctx *ctx)
{
	const struct sk_buff *skb = ctx->skb;
	__u32 mark = skb->mark, id;
	struct slu_config *c = config_get();
	struct slu_addr src, dst;
	struct slu_egress *a;
	bool diverted;

	if (!c)
		return GUARD_ACCEPT;
	if (BPF_CORE_READ_BITFIELD(skb, ip_summed) == PARTIAL && !skb->sk &&
	    !checksum_in_place(skb, ctx->state->pf))
		return drop(skb, SLU_DROP_MALFORMED);
	mark &= c->mark_mask;
	if (!mark || ctx->state->out->group == SLU_DEVICE_GROUP)
		return GUARD_ACCEPT;
	id = (mark & ~c->divert) >> (c->mark_shift & 31);
	diverted = mark & c->divert;
	if (id < SLU_ID_FIRST && skb->sk) /* what a process of the node has marked so */
		return GUARD_ACCEPT;
	a = bpf_map_lookup_elem(&addrs, &id);
	if (!diverted && a && a->state != SLU_ADDR_FREE &&
	    end_read(skb, ctx->state->pf, V4_SOURCE, V6_SOURCE, &src) && addr_same(&a->addr, &src))
		return GUARD_ACCEPT;
	/* without nftables the routing table alone tells what lies inside */
	if (end_read(skb, ctx->state->pf, V4_DEST, V6_DEST, &dst) &&
	    inside_flags(&dst) & (SLU_INSIDE_ALL | SLU_INSIDE_POD))
		return GUARD_ACCEPT;
	return drop(skb, reason_of(id, diverted));
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
