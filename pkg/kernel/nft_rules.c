/* SPDX-License-Identifier: Apache-2.0 */
/* The ruleset, as a picture to compare with and as messages to the kernel. */
#include "kernel/nft_ruleset.h"

#include <stdio.h>
#include <string.h>

#include <libnftnl/udata.h>

/* ---- building ---- */

static struct nftnl_rule *rule_build(const struct rule_def *def, const char *chain,
				     const struct rule_ctx *c)
{
	struct nftnl_rule *r = nftnl_rule_alloc();
	size_t i;

	if (!r)
		oom();
	nftnl_rule_set_str(r, NFTNL_RULE_TABLE, NFT_TABLE);
	nftnl_rule_set_str(r, NFTNL_RULE_CHAIN, chain);
	for (i = 0; i < MAX_STEPS && def->steps[i].code != STEP_END; i++)
		nft_step_put(r, c, &def->steps[i]);
	return r;
}

/* Of which family, the message around it says. */
static struct nftnl_chain *chain_build(const char *name, const struct chain_def *def)
{
	struct nftnl_chain *c = nftnl_chain_alloc();

	if (!c)
		oom();
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

/* The reason has a counter in the table. */
static bool reason_counted(unsigned int reason)
{
	return (reason >= 1 && reason < SLU_MARK_REASONS) || reason == SLU_DROP_TUNNEL_NO_ENTRY ||
	       (reason >= SLU_DROP_SERVICE_OUTSIDE && reason <= SLU_DROP_INPUT_GUARD) ||
	       (reason >= SLU_DROP_UNJUDGED && reason <= SLU_DROP_POD_LIMIT);
}

static struct rule_ctx ctx_of(const struct nft_model *m, uint32_t node)
{
	return (struct rule_ctx){
		.marks = nft_marks_of(m->mark_mask), .port = m->port, .node = node};
}

/* ---- as a picture ---- */

static void picture_rules(struct nft_entry *entry, const struct ruleset *set, const char *chain,
			  const struct rule_ctx *c)
{
	const struct rule_def *def = set->rules;
	size_t i;

	for (i = 0; i < set->n_rules; i++) {
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
	__cleanup(nftnl_chain_freep) struct nftnl_chain *c = chain_build(name, def);
	struct nft_entry *entry = nft_picture_entry(p, "chain", name);

	nft_entry_add_chain(entry, c);
	return entry;
}

void nft_rules_picture(struct nft_picture *p, const struct nft_model *m)
{
	struct rule_ctx c = ctx_of(m, 0);
	char name[24];
	size_t i;

	for (i = 0; i < nft_ruleset.n_chains; i++) {
		const struct chain_def *def = &nft_ruleset.chains[i];

		picture_rules(picture_chain(p, def->name, def), &nft_ruleset, def->name, &c);
	}
	for (i = 0; i < m->n_nodes; i++) {
		c.node = m->nodes[i];
		nft_node_name(name, sizeof(name), c.node);
		picture_rules(picture_chain(p, name, NULL), &nft_ruleset_node, name, &c);
	}
	nft_limits_picture(p, m);
	for (i = 0; i < SLU_REASON_MAX; i++) {
		snprintf(name, sizeof(name), "r%zu", i);
		if (reason_counted((unsigned int)i))
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
		if (reason_counted(i))
			put_counter(b, i, &counts[i]);
}

static void put_chain(struct nft_batch *b, const char *name, const struct chain_def *def)
{
	__cleanup(nftnl_chain_freep) struct nftnl_chain *c = chain_build(name, def);

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

	for (i = 0; i < nft_ruleset.n_chains; i++)
		put_chain(b, nft_ruleset.chains[i].name, &nft_ruleset.chains[i]);
}

void nft_rules_put_rules(struct nft_batch *b, const struct nft_model *m)
{
	struct rule_ctx c = ctx_of(m, 0);
	size_t i;

	for (i = 0; i < nft_ruleset.n_rules; i++)
		put_rule(b, &nft_ruleset.rules[i], nft_ruleset.rules[i].chain, &c);
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
void nft_rules_put_empty(struct nft_batch *b, const char *name)
{
	put_chain(b, name, NULL);
	put_del(b, NFT_MSG_DELRULE, name);
}

void nft_rules_put_node(struct nft_batch *b, const struct nft_model *m, uint32_t node)
{
	struct rule_ctx c = ctx_of(m, node);
	char name[24];
	size_t i;

	nft_node_name(name, sizeof(name), node);
	nft_rules_put_empty(b, name);
	for (i = 0; i < nft_ruleset_node.n_rules; i++)
		put_rule(b, &nft_ruleset_node.rules[i], name, &c);
}

void nft_rules_put_chain_del(struct nft_batch *b, const char *name)
{
	put_del(b, NFT_MSG_DELCHAIN, name);
}

/* ---- the bridge's table ---- */

void nft_bridge_picture(struct nft_picture *p, const struct nft_model *m)
{
	const struct chain_def *def = nft_ruleset_bridge.chains;
	struct rule_ctx c = ctx_of(m, 0);
	char counter[8];

	snprintf(counter, sizeof(counter), "r%u", SLU_DROP_BRIDGED);
	nft_picture_entry(p, "counter", counter);
	picture_rules(picture_chain(p, def->name, def), &nft_ruleset_bridge, def->name, &c);
}

void nft_bridge_put(struct nft_batch *b, const struct nft_model *m, const struct nft_count *counts)
{
	const struct chain_def *def = nft_ruleset_bridge.chains;
	struct rule_ctx c = ctx_of(m, 0);
	size_t i;

	put_counter(b, SLU_DROP_BRIDGED, &counts[SLU_DROP_BRIDGED]);
	put_chain(b, def->name, def);
	for (i = 0; i < nft_ruleset_bridge.n_rules; i++)
		put_rule(b, &nft_ruleset_bridge.rules[i], def->name, &c);
}
