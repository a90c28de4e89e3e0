/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#pragma once
/* What is told about a single packet, when a rule asks for it or audit differs. */
#include "bpf/layers.bpf.h"

struct slu_pod;

/* What a policy says about a packet. */
struct ruling {
	struct slu_cell cell;
	__u32 first_rule;
	__u32 flags;	      /* RULED_* */
	__u32 verdict;	      /* SLU_ALLOW, SLU_DENY or SLU_REJECT */
	__u32 at;	      /* the rule that decided, its place in "rules"; RULE_NONE */
	struct slu_rule rule; /* it; all zero when none did */
	struct slu_rule via;  /* the one that says as whom; all zero: none does */
};
#define RULED_INSIDE SLU_RECENT_INSIDE /* no verdict: none of the policy's business */
#define RULED_NAMES  SLU_RECENT_NAMES
#define RULED_FRESH  (1u << 2) /* was not in "recent" */
#define RULE_NONE    0xffffffffu

/*
 * Once for a packet that is outside, when the deciding rule has SLU_RULE_LOG or the verdict in
 * audit (enum slu_action) is another than r->verdict.
 */
static __always_inline void report(struct __sk_buff *skb, const struct slu_pod *pod,
				   const struct pkt *p, const struct ruling *r, __u32 audit_verdict)
{
}
