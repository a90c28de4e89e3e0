/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The steps that rules are made of (nft_rules.c), and what each is in nftables
 * expressions (nft_steps.c). An expression that does not match ends its rule.
 */
#include "kernel/nft_priv.h"

/* include/net/netfilter/nf_conntrack.h, as nft(8) has them */
#define STATE_INVALID	(1u << 0)
#define STATE_BEGUN	(1u << 1) /* established */
#define STATE_NEW	(1u << 3)
#define STATE_UNTRACKED (1u << 6)

enum step_code {
	STEP_END,
	/* matches */
	STEP_UDP_PORT,	 /* to the tunnel's port */
	STEP_OTHER_PORT, /* to another, and for sure */
	STEP_VXLAN,	 /* behind a header of UDP */
	STEP_UNMARKED,	 /* none of our bits */
	STEP_DIVERTED,
	STEP_ADDRESS_ID,       /* id >= 16 without DIVERT: owned here */
	STEP_ANY_ID,	       /* id >= 16, DIVERT or not */
	STEP_CHECK_UNRELEASED, /* CHECK with DIVERT */
	STEP_PRIORITY,	       /* arg: SLU_PRIORITY_*, 0 = nobody's */
	STEP_IDENTITY,	       /* from_pod gave it an address: SLU_PRIORITY_LOCAL or TUNNEL */
	STEP_OUTER,	       /* to_tunnel wrote the priority */
	STEP_MARK_IS,	       /* arg: id, no DIVERT */
	STEP_IIF,	       /* arg: NFT_CMP_EQ or NEQ to sluice0, by its group */
	STEP_OIF,
	STEP_DIRECTION, /* arg: IP_CT_DIR_*; nothing matches without a connection */
	STEP_STATE,	/* arg: any of these bits */
	STEP_DNATTED,
	STEP_AS_SENT,	  /* a connection whose destination was not translated */
	STEP_CT_HAS_NODE, /* ct mark: a node index, no DIVERT */
	STEP_CT_MARKED,	  /* ct mark: any of our bits */
	STEP_PROCESS,	  /* sent by a process: the kernel's own packets have no uid */
	STEP_L4,	  /* arg: IPPROTO_* */
	STEP_DADDR_IN,	  /* arg: set */
	STEP_SADDR_IN,
	STEP_OWNED_IN,	 /* arg: set of mark . saddr */
	STEP_SERVICE_IN, /* what was translated, and to what */
	STEP_SAME_NODE,	 /* ct mark: the node of the priority */
	STEP_OVER_RATE,
	/* acts */
	STEP_CLEAR,
	STEP_RELEASE,	   /* DIVERT off */
	STEP_RELEASE_ZONE, /* the same, and zone of the original direction := id */
	STEP_MARK,	   /* arg: id */
	STEP_MARK_NODE,
	STEP_CT_NODE,
	STEP_CT_IDENTITY, /* ct mark: DIVERT */
	STEP_ZONE,	  /* of the original direction := id, and 1024 more with DIVERT */
	STEP_NOTRACK,
	STEP_COUNT,	   /* arg: reason */
	STEP_COUNT_REASON, /* the mark's id is the reason; no match when it is none */
	STEP_SNAT_SELF,	   /* arg: NFPROTO_* */
	STEP_SNAT,	   /* arg: map */
	STEP_LIMIT,	   /* arg: map, by mark to a chain of nft_limits.c */
	STEP_TO_NODE_IN,   /* by priority, to the node's chain */
	STEP_TO_NODE_OUT,  /* by ct mark */
	STEP_RESET,
	STEP_PROHIBITED,
	STEP_VERDICT, /* arg: NF_DROP, NF_ACCEPT */
	STEP_GOTO,    /* chain */
	STEP_JUMP,
};

struct step {
	enum step_code code;
	uint32_t arg;
	const char *chain;
};

struct rule_ctx {
	struct nft_marks marks;
	uint16_t port;
	uint32_t node;
};

void nft_step_put(struct nftnl_rule *r, const struct rule_ctx *c, const struct step *s);
