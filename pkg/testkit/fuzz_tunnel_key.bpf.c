/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * A test run cannot carry a tunnel key. This stands before a program: the first time
 * a packet comes it gets the key and goes on to the program; the second time (repeat 2)
 * the key that it has then is read. The kernel keeps one form for both directions, what
 * is sent from somewhere was sent by somewhere, so the two ends change places.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} program SEC(".maps");

struct bpf_tunnel_key key;
__u32 give;  /* 0: the packet comes without a key */
__u32 six;   /* BPF_F_TUNINFO_IPV6 or 0 */
__u32 runs;  /* of this packet */
__s32 found; /* what reading the key said */

SEC("tc")
int with_key(struct __sk_buff *skb)
{
	struct bpf_tunnel_key k = {};

	if (runs++) {
		six = 0;
		found = bpf_skb_get_tunnel_key(skb, &k, sizeof(k), 0);
		if (found) {
			six = BPF_F_TUNINFO_IPV6;
			found = bpf_skb_get_tunnel_key(skb, &k, sizeof(k), six);
		}
		key = k;
		return 0;
	}
	k = key;
	if (give && bpf_skb_set_tunnel_key(skb, &k, sizeof(k), six))
		return 0;
	bpf_tail_call(skb, &program, 0);
	return 0; /* no verdict of the program's */
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
