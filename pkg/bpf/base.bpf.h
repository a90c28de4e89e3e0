/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#pragma once
/*
 * What both objects share, the one for tc and the exit guard's: the maps that the guard looks
 * into, addresses, and what lies before a transport header.
 */
#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <stdbool.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "bpf/abi.h"
#include "bpf/drop_reasons.h"

#define SLU_MAP(name_, type_, key_, value_, max_, flags_) \
	struct {                                          \
		__uint(type, type_);                      \
		__uint(max_entries, max_);                \
		__uint(map_flags, flags_);                \
		__uint(pinning, LIBBPF_PIN_BY_NAME);      \
		__type(key, key_);                        \
		__type(value, value_);                    \
	} name_ SEC(".maps")

SLU_MAP(addrs, BPF_MAP_TYPE_ARRAY, __u32, struct slu_egress, SLU_ID_MAX, 0);
SLU_MAP(inside, BPF_MAP_TYPE_LPM_TRIE, struct slu_lpm_key, __u32, SLU_MAX_INSIDE,
	BPF_F_NO_PREALLOC);
SLU_MAP(config, BPF_MAP_TYPE_ARRAY, __u32, struct slu_config, 1, 0);
SLU_MAP(drops, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, struct slu_count, SLU_REASON_MAX, 0);

static __always_inline struct slu_config *config_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&config, &zero);
}

static __always_inline bool addr_same(const struct slu_addr *a, const struct slu_addr *b)
{
	return a->w[3] == b->w[3] && a->w[2] == b->w[2] && a->w[1] == b->w[1] && a->w[0] == b->w[0];
}

static __always_inline bool addr_zero(const struct slu_addr *a)
{
	return !(a->w[0] | a->w[1] | a->w[2] | a->w[3]);
}

static __always_inline bool addr_v4(const struct slu_addr *a)
{
	return !a->w[0] && !a->w[1] && a->w[2] == bpf_htonl(0xffff);
}

static __always_inline struct slu_addr addr_of_v4(__u32 network_order)
{
	return (struct slu_addr){{0, 0, bpf_htonl(0xffff), network_order}};
}

#define EXT_MAX 8 /* extension headers of IPv6 that are walked through; one more is malformed */

static __always_inline bool is_ext(__u32 next)
{
	return next == IPPROTO_HOPOPTS || next == IPPROTO_ROUTING || next == IPPROTO_FRAGMENT ||
	       next == IPPROTO_DSTOPTS || next == IPPROTO_AH;
}

/* SLU_INSIDE_* of an address; 0: it lies outside. */
static __always_inline __u32 inside_flags(const struct slu_addr *a)
{
	struct slu_lpm_key key = {.prefixlen = 128, .addr = *a};
	__u32 *flags = bpf_map_lookup_elem(&inside, &key);

	return flags ? *flags : 0;
}
