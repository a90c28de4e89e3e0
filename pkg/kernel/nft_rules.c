/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The static part of the table as data: a rule is a row of steps, each step one
 * match or one act, so that the rows read like the ruleset. A table of a few
 * dozen rows, plus one small chain per node; everything else is in sets.
 */
#include "kernel/nft_steps.h"

#include <linux/netfilter/nf_conntrack_tuple_common.h>
#include <stdio.h>
#include <string.h>

#include <linux/netfilter_bridge.h>

#include <libnftnl/udata.h>

struct chain_def {
	const char *name;
	const char *type; /* NULL: reached by goto only */
	uint32_t hook;
	int32_t prio;
};

#define RAW	 "prerouting_raw"
#define MARKS	 "prerouting_marks"
#define SERVICES "prerouting_services"
#define INPUT	 "input_guard"
#define OUTPUT	 "output_tunnel"
#define FORWARD	 "forward_tunnel"
#define NAT	 "postrouting_nat"
#define EXIT	 "postrouting_exit"
#define REPLIES	 "replies"
#define ARRIVED	 "arrived"
#define REJECTED "rejected"
#define SERVICE	 "service"
#define STRAY	 "stray"
#define UNJUDGED "unjudged"

static const struct chain_def chains[] = {
	{REPLIES, NULL, 0, 0},
	{ARRIVED, NULL, 0, 0},
	{REJECTED, NULL, 0, 0},
	{SERVICE, NULL, 0, 0},
	{STRAY, NULL, 0, 0},
	{UNJUDGED, NULL, 0, 0},
	{RAW, "filter", NF_INET_PRE_ROUTING, -300},
	{MARKS, "filter", NF_INET_PRE_ROUTING, -175}, /* mangle (-150) may set whole marks */
	{SERVICES, "filter", NF_INET_PRE_ROUTING, -99},
	{INPUT, "filter", NF_INET_LOCAL_IN, -150},
	{OUTPUT, "filter", NF_INET_LOCAL_OUT, -300},
	{FORWARD, "filter", NF_INET_FORWARD, -150},
	{NAT, "nat", NF_INET_POST_ROUTING, -150},
	{EXIT, "filter", NF_INET_POST_ROUTING, 150},
};

#define MAX_STEPS 8
/*
 * Frames that a bridge sends on by itself meet no IP hook, so no verdict and no
 * address: what a policy has decided something about must come up to the node.
 */
static const struct chain_def bridge_chain = {"bridged", "filter", NF_BR_FORWARD, -200};

struct rule_def {
	const char *chain;
	const char *why; /* shown by `nft list` */
	struct step steps[MAX_STEPS];
};

#define UDP_PORT                       \
	{                              \
		STEP_UDP_PORT, 0, NULL \
	}
#define MARKED                       \
	{                            \
		STEP_MARKED, 0, NULL \
	}
#define UNMARKED                       \
	{                              \
		STEP_UNMARKED, 0, NULL \
	}
#define DIVERTED                       \
	{                              \
		STEP_DIVERTED, 0, NULL \
	}
#define ADDRESS_ID                       \
	{                                \
		STEP_ADDRESS_ID, 0, NULL \
	}
#define MARK_IS(id)                    \
	{                              \
		STEP_MARK_IS, id, NULL \
	}
#define IIF_TUNNEL                         \
	{                                  \
		STEP_IIF, NFT_CMP_EQ, NULL \
	}
#define IIF_OTHER                           \
	{                                   \
		STEP_IIF, NFT_CMP_NEQ, NULL \
	}
#define OIF_TUNNEL                         \
	{                                  \
		STEP_OIF, NFT_CMP_EQ, NULL \
	}
#define OIF_OTHER                           \
	{                                   \
		STEP_OIF, NFT_CMP_NEQ, NULL \
	}
#define DIRECTION(d)                                \
	{                                           \
		STEP_DIRECTION, IP_CT_DIR_##d, NULL \
	}
#define STATE(bits)                    \
	{                              \
		STEP_STATE, bits, NULL \
	}
#define L4(proto)                              \
	{                                      \
		STEP_L4, IPPROTO_##proto, NULL \
	}
#define DADDR_IN(set)                    \
	{                                \
		STEP_DADDR_IN, set, NULL \
	}
#define OWNED_IN(set)                    \
	{                                \
		STEP_OWNED_IN, set, NULL \
	}
#define CLEAR                       \
	{                           \
		STEP_CLEAR, 0, NULL \
	}
#define ACCEPT                                \
	{                                     \
		STEP_VERDICT, NF_ACCEPT, NULL \
	}
#define DROP                                \
	{                                   \
		STEP_VERDICT, NF_DROP, NULL \
	}
#define COUNT(reason)                               \
	{                                           \
		STEP_COUNT, SLU_DROP_##reason, NULL \
	}
#define GOTO(chain)                 \
	{                           \
		STEP_GOTO, 0, chain \
	}
#define DO(what)                     \
	{                            \
		STEP_##what, 0, NULL \
	}

static const struct rule_def rules[] = {
	{RAW, "tunnel to this host", {UDP_PORT, DO(LOCAL_DADDR), DO(NOTRACK)}},
	{RAW, "we are in force: DIVERT only where it is meant", {DO(TO_RELEASE), DO(RELEASE)}},
	{RAW, "", {IIF_TUNNEL, DIVERTED, DO(RELEASE)}},
	{RAW,
	 "its program was taken off",
	 {DO(UNSEEN), {STEP_SADDR_IN, NFT_SET_GOVERNED4, NULL}, GOTO(UNJUDGED)}},
	{RAW, "", {DO(UNSEEN), {STEP_SADDR_IN, NFT_SET_GOVERNED6, NULL}, GOTO(UNJUDGED)}},
	{RAW, "an egress address is a zone", {DO(ANY_ID), DO(ZONE)}},

	{MARKS, "replies keep the connection's way", {DIRECTION(REPLY), GOTO(REPLIES)}},
	{MARKS, "", {IIF_TUNNEL, GOTO(ARRIVED)}},
	{MARKS, "", {UNMARKED, ACCEPT}},
	{MARKS, "", {MARK_IS(SLU_DROP_REJECTED), GOTO(REJECTED)}},
	{MARKS, "verdicts", {DO(COUNT_REASON), DROP}},
	{MARKS,
	 "if its mark is lost, it does not leave",
	 {DO(ANY_ID), STATE(STATE_NEW), DO(CT_IDENTITY)}},

	{REPLIES, "", {CLEAR}},
	{REPLIES,
	 "back into the tunnel",
	 {IIF_OTHER, DO(CT_HAS_NODE), {STEP_MARK, SLU_ID_REPLY, NULL}}},

	{ARRIVED, "", {STATE(STATE_INVALID | STATE_UNTRACKED), COUNT(TUNNEL_STATE), DROP}},
	{ARRIVED, "remember the pod's node", {ADDRESS_ID, DO(TO_NODE_IN)}},
	{ARRIVED, "no such node, or a reply nobody asked for", {COUNT(TUNNEL_STATE), DROP}},

	{REJECTED, "", {COUNT(REJECTED)}},
	{REJECTED, "", {DO(OVER_RATE), DROP}},
	{REJECTED, "", {L4(TCP), DO(RESET)}},
	{REJECTED, "", {DO(PROHIBITED)}},

	{SERVICES, "", {UNMARKED, ACCEPT}},
	{SERVICES,
	 "translated: judge the new destination",
	 {DIRECTION(ORIGINAL), DO(DNATTED), GOTO(SERVICE)}},
	{SERVICES,
	 "about a connection with an identity: this is none",
	 {MARK_IS(SLU_ID_CHECK), STATE(STATE_INVALID), L4(ICMP), GOTO(STRAY)}},
	{SERVICES, "", {MARK_IS(SLU_ID_CHECK), STATE(STATE_INVALID), L4(ICMPV6), GOTO(STRAY)}},
	{SERVICES, "allowed as the node", {MARK_IS(SLU_ID_CHECK), CLEAR}},

	{SERVICE, "", {DADDR_IN(NFT_SET_INSIDE4), CLEAR, ACCEPT}},
	{SERVICE, "", {DADDR_IN(NFT_SET_INSIDE6), CLEAR, ACCEPT}},
	{SERVICE, "", {COUNT(SERVICE_OUTSIDE), DROP}},

	{STRAY, "", {DADDR_IN(NFT_SET_INSIDE4), CLEAR, ACCEPT}},
	{STRAY, "", {DADDR_IN(NFT_SET_INSIDE6), CLEAR, ACCEPT}},
	{STRAY, "no connection: nothing would translate its source", {COUNT(EXIT_SOURCE), DROP}},

	{UNJUDGED, "", {DADDR_IN(NFT_SET_INSIDE4), ACCEPT}},
	{UNJUDGED, "", {DADDR_IN(NFT_SET_INSIDE6), ACCEPT}},
	{UNJUDGED, "", {COUNT(UNJUDGED), DROP}},

	{INPUT, "", {UDP_PORT, ACCEPT}},
	{INPUT,
	 "no binding: not for the gateway itself",
	 {DADDR_IN(NFT_SET_GUARDED4), STATE(STATE_NEW | STATE_INVALID), COUNT(INPUT_GUARD), DROP}},
	{INPUT,
	 "",
	 {DADDR_IN(NFT_SET_GUARDED6), STATE(STATE_NEW | STATE_INVALID), COUNT(INPUT_GUARD), DROP}},

	{OUTPUT,
	 "a process that took an egress address",
	 {{STEP_SADDR_IN, NFT_SET_GUARDED4, NULL}, DO(PROCESS), COUNT(EXIT_SOURCE), DROP}},
	{OUTPUT,
	 "",
	 {{STEP_SADDR_IN, NFT_SET_GUARDED6, NULL}, DO(PROCESS), COUNT(EXIT_SOURCE), DROP}},
	{OUTPUT, "made by a process", {UDP_PORT, DO(PROCESS), COUNT(FORGED_TUNNEL), DROP}},
	{OUTPUT, "made by the kernel", {UDP_PORT, DO(NOTRACK)}},

	{FORWARD, "made by a pod", {UDP_PORT, DADDR_IN(NFT_SET_ENDS4), COUNT(FORGED_TUNNEL), DROP}},
	{FORWARD, "", {UDP_PORT, DADDR_IN(NFT_SET_ENDS6), COUNT(FORGED_TUNNEL), DROP}},

	{NAT,
	 "first binding wins: no masquerade after this",
	 {DIVERTED, OIF_TUNNEL, {STEP_SNAT_SELF, NFPROTO_IPV4, NULL}}},
	{NAT, "", {DIVERTED, OIF_TUNNEL, {STEP_SNAT_SELF, NFPROTO_IPV6, NULL}}},
	{NAT, "the egress address", {ADDRESS_ID, {STEP_SNAT, NFT_SET_SNAT4, NULL}}},
	{NAT, "", {ADDRESS_ID, {STEP_SNAT, NFT_SET_SNAT6, NULL}}},

	{EXIT,
	 "somebody took the mark off (the node's own errors have none)",
	 {UNMARKED, DIRECTION(ORIGINAL), STATE(STATE_NEW | STATE_BEGUN), DO(CT_MARKED),
	  GOTO(STRAY)}},
	{EXIT, "", {UNMARKED, ACCEPT}},
	{EXIT, "", {DIVERTED, OIF_OTHER, COUNT(EXIT_DEVICE), DROP}},
	{EXIT, "", {DIVERTED, ACCEPT}},
	{EXIT, "", {ADDRESS_ID, OIF_TUNNEL, COUNT(EXIT_DEVICE), DROP}},
	{EXIT, "its own address", {ADDRESS_ID, OWNED_IN(NFT_SET_OWNED4), ACCEPT}},
	{EXIT, "", {ADDRESS_ID, OWNED_IN(NFT_SET_OWNED6), ACCEPT}},
	{EXIT, "", {ADDRESS_ID, COUNT(EXIT_SOURCE), DROP}},
	{EXIT, "home", {MARK_IS(SLU_ID_REPLY), OIF_TUNNEL, DO(TO_NODE_OUT)}},
	{EXIT, "", {MARK_IS(SLU_ID_REPLY), OIF_TUNNEL, COUNT(TUNNEL_NO_ENTRY), DROP}},
};

static const struct rule_def bridge_rules[] = {
	{NULL, "", {UNMARKED, ACCEPT}},
	{NULL, "inside, or allowed as the pod is", {MARK_IS(SLU_ID_CHECK), ACCEPT}},
	{NULL,
	 "the same, where IP hooks do not see bridged frames",
	 {DO(CHECK_UNRELEASED), ACCEPT}},
	{NULL, "must not pass by the node", {COUNT(BRIDGED), DROP}},
};

/* One chain per node, for both ways: a mark cannot be or-ed with a register before kernel 6.13. */
static const struct rule_def node_rules[] = {
	{NULL, "reply", {MARK_IS(SLU_ID_REPLY), DO(MARK_NODE), ACCEPT}},
	{NULL, "", {DO(CT_NODE)}},
};

/* ---- building ---- */

static struct nftnl_rule *rule_build(const struct rule_def *def, const char *chain,
				     const struct rule_ctx *c)
{
	struct nftnl_rule *r = nftnl_rule_alloc();
	size_t i;

	if (!r)
		oom();
	nftnl_rule_set_u32(r, NFTNL_RULE_FAMILY, c->family);
	nftnl_rule_set_str(r, NFTNL_RULE_TABLE, NFT_TABLE);
	nftnl_rule_set_str(r, NFTNL_RULE_CHAIN, chain);
	for (i = 0; i < MAX_STEPS && def->steps[i].code != STEP_END; i++)
		nft_step_put(r, c, &def->steps[i]);
	return r;
}

static struct nftnl_chain *chain_build(const char *name, const struct chain_def *def,
				       uint8_t family)
{
	struct nftnl_chain *c = nftnl_chain_alloc();

	if (!c)
		oom();
	nftnl_chain_set_u32(c, NFTNL_CHAIN_FAMILY, family);
	nftnl_chain_set_str(c, NFTNL_CHAIN_TABLE, NFT_TABLE);
	nftnl_chain_set_str(c, NFTNL_CHAIN_NAME, name);
	if (def && def->type) {
		nftnl_chain_set_str(c, NFTNL_CHAIN_TYPE, def->type);
		nftnl_chain_set_u32(c, NFTNL_CHAIN_HOOKNUM, def->hook);
		nftnl_chain_set_s32(c, NFTNL_CHAIN_PRIO, def->prio);
		nftnl_chain_set_u32(c, NFTNL_CHAIN_POLICY, NF_ACCEPT);
	}
	return c;
}

void nft_node_name(char *buf, size_t len, uint32_t node)
{
	snprintf(buf, len, NFT_NODE_NAME "%u", node);
}

bool nft_reason_counted(unsigned int reason)
{
	return (reason >= 1 && reason < SLU_MARK_REASONS) || reason == SLU_DROP_TUNNEL_NO_ENTRY ||
	       (reason >= SLU_DROP_SERVICE_OUTSIDE && reason <= SLU_DROP_INPUT_GUARD) ||
	       reason == SLU_DROP_UNJUDGED;
}

static struct rule_ctx ctx_of(const struct nft_model *m, uint32_t node)
{
	return (struct rule_ctx){.marks = nft_marks_of(m->mark_mask),
				 .port = m->port,
				 .node = node,
				 .family = NFPROTO_INET};
}

/* ---- as a picture ---- */

static void picture_rules(struct nft_entry *entry, const struct rule_def *def, size_t n,
			  const char *chain, const struct rule_ctx *c)
{
	size_t i;

	for (i = 0; i < n; i++) {
		__cleanup(nftnl_rule_freep) struct nftnl_rule *r = NULL;

		if (def[i].chain && strcmp(def[i].chain, chain) != 0)
			continue;
		r = rule_build(&def[i], chain, c);
		nft_entry_add_rule(entry, r);
	}
}

static struct nft_entry *picture_chain(struct nft_picture *p, const char *name,
				       const struct chain_def *def)
{
	__cleanup(nftnl_chain_freep) struct nftnl_chain *c = chain_build(name, def, NFPROTO_INET);
	struct nft_entry *entry = nft_picture_entry(p, "chain", name);

	nft_entry_add_chain(entry, c);
	return entry;
}

void nft_rules_picture(struct nft_picture *p, const struct nft_model *m)
{
	struct rule_ctx c = ctx_of(m, 0);
	char name[24];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(chains); i++)
		picture_rules(picture_chain(p, chains[i].name, &chains[i]), rules,
			      ARRAY_SIZE(rules), chains[i].name, &c);
	for (i = 0; i < m->n_nodes; i++) {
		c.node = m->nodes[i];
		nft_node_name(name, sizeof(name), c.node);
		picture_rules(picture_chain(p, name, NULL), node_rules, ARRAY_SIZE(node_rules),
			      name, &c);
	}
	for (i = 0; i < SLU_REASON_MAX; i++) {
		snprintf(name, sizeof(name), "r%zu", i);
		if (nft_reason_counted((unsigned int)i))
			nft_picture_entry(p, "counter", name);
	}
}

/* ---- as messages ---- */

static void put_counter(struct nft_batch *b, unsigned int reason, const struct nft_count *count)
{
	__cleanup(nftnl_obj_freep) struct nftnl_obj *o = nftnl_obj_alloc();
	char name[8];

	if (!o)
		oom();
	snprintf(name, sizeof(name), "r%u", reason);
	nftnl_obj_set_str(o, NFTNL_OBJ_TABLE, NFT_TABLE);
	nftnl_obj_set_str(o, NFTNL_OBJ_NAME, name);
	nftnl_obj_set_u32(o, NFTNL_OBJ_TYPE, NFT_OBJECT_COUNTER);
	nftnl_obj_set_u64(o, NFTNL_OBJ_CTR_PKTS, count->packets);
	nftnl_obj_set_u64(o, NFTNL_OBJ_CTR_BYTES, count->bytes);
	nftnl_obj_nlmsg_build_payload(nft_batch_open(b, NFT_MSG_NEWOBJ, NLM_F_CREATE), o);
	nft_batch_close(b);
}

void nft_rules_put_objects(struct nft_batch *b, const struct nft_count *counts)
{
	unsigned int i;

	for (i = 0; i < SLU_REASON_MAX; i++)
		if (nft_reason_counted(i))
			put_counter(b, i, &counts[i]);
}

static void put_chain(struct nft_batch *b, const char *name, const struct chain_def *def)
{
	__cleanup(nftnl_chain_freep) struct nftnl_chain *c = chain_build(name, def, b->family);

	nftnl_chain_nlmsg_build_payload(nft_batch_open(b, NFT_MSG_NEWCHAIN, NLM_F_CREATE), c);
	nft_batch_close(b);
}

static void put_comment(struct nftnl_rule *r, const char *why)
{
	struct nftnl_udata_buf *u;

	if (!*why)
		return;
	u = nftnl_udata_buf_alloc(NFT_USERDATA_MAXLEN);
	if (!u)
		oom();
	nftnl_udata_put_strz(u, NFTNL_UDATA_RULE_COMMENT, why);
	nftnl_rule_set_data(r, NFTNL_RULE_USERDATA, nftnl_udata_buf_data(u),
			    nftnl_udata_buf_len(u));
	nftnl_udata_buf_free(u);
}

static void put_rule(struct nft_batch *b, const struct rule_def *def, const char *chain,
		     const struct rule_ctx *c)
{
	__cleanup(nftnl_rule_freep) struct nftnl_rule *r = rule_build(def, chain, c);

	put_comment(r, def->why);
	nftnl_rule_nlmsg_build_payload(
		nft_batch_open(b, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND), r);
	nft_batch_close(b);
}

void nft_rules_put_chains(struct nft_batch *b)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(chains); i++)
		put_chain(b, chains[i].name, &chains[i]);
}

void nft_rules_put_rules(struct nft_batch *b, const struct nft_model *m)
{
	struct rule_ctx c = ctx_of(m, 0);
	size_t i;

	for (i = 0; i < ARRAY_SIZE(rules); i++)
		put_rule(b, &rules[i], rules[i].chain, &c);
}

static void put_del(struct nft_batch *b, uint16_t type, const char *chain)
{
	struct nlmsghdr *nlh = nft_batch_open(b, type, 0);

	mnl_attr_put_strz(nlh, NFTA_CHAIN_TABLE, NFT_TABLE);
	/* NFTA_RULE_CHAIN is another number; without a handle all rules of the chain go */
	mnl_attr_put_strz(nlh, type == NFT_MSG_DELRULE ? NFTA_RULE_CHAIN : NFTA_CHAIN_NAME, chain);
	nft_batch_close(b);
}

/* Whatever was in a chain of that name goes, so this also mends one. */
void nft_rules_put_node(struct nft_batch *b, const struct nft_model *m, uint32_t node)
{
	struct rule_ctx c = ctx_of(m, node);
	char name[24];
	size_t i;

	nft_node_name(name, sizeof(name), node);
	put_chain(b, name, NULL);
	put_del(b, NFT_MSG_DELRULE, name);
	for (i = 0; i < ARRAY_SIZE(node_rules); i++)
		put_rule(b, &node_rules[i], name, &c);
}

void nft_rules_put_node_del(struct nft_batch *b, const char *name)
{
	put_del(b, NFT_MSG_DELCHAIN, name);
}

/* ---- the bridge's table ---- */

static struct rule_ctx bridge_ctx(const struct nft_model *m)
{
	struct rule_ctx c = ctx_of(m, 0);

	c.family = NFPROTO_BRIDGE;
	return c;
}

void nft_bridge_picture(struct nft_picture *p, const struct nft_model *m)
{
	const struct chain_def *def = &bridge_chain;
	struct rule_ctx c = bridge_ctx(m);
	char counter[8];

	snprintf(counter, sizeof(counter), "r%u", SLU_DROP_BRIDGED);
	nft_picture_entry(p, "counter", counter);
	picture_rules(picture_chain(p, def->name, def), bridge_rules, ARRAY_SIZE(bridge_rules),
		      def->name, &c);
}

void nft_bridge_put(struct nft_batch *b, const struct nft_model *m, const struct nft_count *counts)
{
	struct rule_ctx c = bridge_ctx(m);
	size_t i;

	put_counter(b, SLU_DROP_BRIDGED, &counts[SLU_DROP_BRIDGED]);
	put_chain(b, bridge_chain.name, &bridge_chain);
	for (i = 0; i < ARRAY_SIZE(bridge_rules); i++)
		put_rule(b, &bridge_rules[i], bridge_chain.name, &c);
}
