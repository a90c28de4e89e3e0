/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#pragma once
/*
 * Whose frame is it, where many pods share a parent? A frame carries no more than the addresses
 * that are in it. Those are the sender's own, as far as the kernel wrote them: it takes the MAC of
 * the device, which a process cannot choose. Two kinds of sockets let it write the whole frame
 * instead (NET_RAW is enough): packet sockets and AF_XDP. Such a frame still belongs to its socket
 * when it comes to the parent, past every way of leaving out a queueing discipline or the filters
 * of the pod's own device.
 *
 * Where the kernel cuts a frame in parts, only the last one keeps the socket, of a ring none. The
 * fragments of a frame that asks for UDP fragmentation show otherwise: what the kernel cuts
 * counts as verified, and no card can verify a fragment. Segments of a frame that is larger than
 * the device may send (64 KiB) do not show: README.md says what is left open.
 */
#include "bpf/source.bpf.h"

#define FAMILY_PACKET 17 /* AF_PACKET, AF_XDP */
#define FAMILY_XDP    44

static __always_inline bool is_vlan(__u16 proto)
{
	return proto == bpf_htons(ETH_P_8021Q) || proto == bpf_htons(ETH_P_8021AD);
}

/* Written by a process, headers and all. */
static __always_inline bool hand_made(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;

	if (sk)
		sk = bpf_sk_fullsock(sk);
	return sk && (sk->family == FAMILY_PACKET || sk->family == FAMILY_XDP);
}

/* The kernel may have cut it from one: it has no socket, and its checksum counts as verified. */
static __always_inline bool maybe_cut(struct __sk_buff *skb)
{
	return !skb->sk && bpf_csum_level(skb, BPF_CSUM_LEVEL_QUERY) >= 0;
}

static __always_inline bool hand_made_part(struct __sk_buff *skb, const struct pkt *p)
{
	return p->flags & PKT_FRAG && maybe_cut(skb);
}
