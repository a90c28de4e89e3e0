/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one pod may hold of an egress address. The NAT chain leads the first packet of a
 * connection, and no other, into a chain for the number that the address allows; there the
 * kernel itself counts the pod's connections (connlimit, which forgets those that conntrack
 * forgets). Two rows of chains, one chain for each number in use:
 *
 *	conns-N		connections: held (mark . N . source), at most N
 *	ports-N		source ports: a port that has a connection costs nothing (ports), the first
 *			on a port is counted in used (mark . N . source), at most N
 *
 * The number is part of the key, so that another number counts anew instead of being held to
 * the old one. Who is over a number is in `full` for FULL_MS, and costs one lookup: connlimit
 * notes each attempt, and a pod that sends nothing but attempts would fill its list faster than
 * the kernel weeds it.
 */
#include "kernel/nft_expr.h"

#include <stdio.h>
#include <string.h>

#define FULL_MS 100 /* in whole ticks at any CONFIG_HZ, for the kernel tells it in these */

static const struct limit_kind {
	const char *prefix;
	enum nft_set_index map, counted;
} kinds[] = {
	{"conns-", NFT_SET_CONNS, NFT_SET_HELD4},
	{"ports-", NFT_SET_PORT_LIMITS, NFT_SET_USED4},
};

static uint32_t limit_of(const struct nft_limit *l, size_t kind)
{
	return kind == 0 ? l->connections : l->ports;
}

/* NULL: it is no chain of ours. */
static const struct limit_kind *kind_of(const char *chain)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (strncmp(chain, kinds[i].prefix, strlen(kinds[i].prefix)) == 0)
			return &kinds[i];
	return NULL;
}

bool nft_limits_is_chain(const char *name)
{
	return kind_of(name);
}

/* ---- keys ---- */

struct limit_ctx {
	const char *chain;
	struct nft_marks marks;
	uint32_t limit;
	bool v4;
	bool picture; /* as the kernel tells it: with a timeout of 0, which it takes from nobody */
};

static void load_mark(struct nftnl_rule *r, const struct limit_ctx *c)
{
	nft_expr_meta_load(r, NFT_META_MARK);
	nft_expr_bits(r, c->marks.mask, 0);
}

/* mark . limit . source */
static void load_counted(struct nftnl_rule *r, const struct limit_ctx *c)
{
	struct nftnl_expr *x;

	load_mark(r, c);
	x = nft_expr_add(r, "immediate");
	nftnl_expr_set_u32(x, NFTNL_EXPR_IMM_DREG, NFT_REG32_01);
	nftnl_expr_set(x, NFTNL_EXPR_IMM_DATA, &c->limit, sizeof(c->limit));
	nft_expr_load_addr(r, c->v4, true, NFT_REG32_02);
}

/* mark . protocol . port . source; what has no ports has one, by its first two bytes */
static void load_port(struct nftnl_rule *r, const struct limit_ctx *c)
{
	struct nftnl_expr *x;

	load_mark(r, c);
	x = nft_expr_add(r, "meta");
	nftnl_expr_set_u32(x, NFTNL_EXPR_META_KEY, NFT_META_L4PROTO);
	nftnl_expr_set_u32(x, NFTNL_EXPR_META_DREG, NFT_REG32_01);
	nft_expr_payload(r, NFT_PAYLOAD_TRANSPORT_HEADER, 0, sizeof(uint16_t), NFT_REG32_02);
	nft_expr_load_addr(r, c->v4, true, NFT_REG32_03);
}

/* ---- rules ---- */

static struct nftnl_rule *rule_new(const struct limit_ctx *c)
{
	struct nftnl_rule *r = nftnl_rule_alloc();

	if (!r)
		oom();
	nftnl_rule_set_u32(r, NFTNL_RULE_FAMILY, NFPROTO_INET);
	nftnl_rule_set_str(r, NFTNL_RULE_TABLE, NFT_TABLE);
	nftnl_rule_set_str(r, NFTNL_RULE_CHAIN, c->chain);
	nft_expr_match_family(r, c->v4 ? NFPROTO_IPV4 : NFPROTO_IPV6);
	return r;
}

static struct nftnl_expr *add_to(struct nftnl_rule *r, const struct limit_ctx *c,
				 enum nft_set_index pair, uint64_t timeout_ms)
{
	struct nftnl_expr *x = nft_expr_add(r, "dynset");

	nftnl_expr_set_u32(x, NFTNL_EXPR_DYNSET_SREG_KEY, NFT_REG_1);
	nftnl_expr_set_u32(x, NFTNL_EXPR_DYNSET_OP, NFT_DYNSET_OP_ADD);
	nftnl_expr_set_u32(x, NFTNL_EXPR_DYNSET_FLAGS, 0);
	if (timeout_ms || c->picture)
		nftnl_expr_set_u64(x, NFTNL_EXPR_DYNSET_TIMEOUT, timeout_ms);
	nftnl_expr_set_str(x, NFTNL_EXPR_DYNSET_SET_NAME, nft_set_name(c->v4 ? pair : pair + 1));
	return x;
}

/* With this one there are more than limit. */
static void count_over(struct nftnl_rule *r, const struct limit_ctx *c, enum nft_set_index pair,
		       uint32_t limit)
{
	struct nftnl_expr *count = nftnl_expr_alloc("connlimit");

	if (!count)
		oom();
	nftnl_expr_set_u32(count, NFTNL_EXPR_CONNLIMIT_COUNT, limit);
	nftnl_expr_set_u32(count, NFTNL_EXPR_CONNLIMIT_FLAGS, NFT_CONNLIMIT_F_INV);
	nftnl_expr_set(add_to(r, c, pair, 0), NFTNL_EXPR_DYNSET_EXPR, count, 0);
}

static void refuse(struct nftnl_rule *r)
{
	struct nftnl_expr *x = nft_expr_add(r, "objref");
	char name[8];

	snprintf(name, sizeof(name), "r%u", SLU_DROP_POD_LIMIT);
	nftnl_expr_set_u32(x, NFTNL_EXPR_OBJREF_IMM_TYPE, NFT_OBJECT_COUNTER);
	nftnl_expr_set_str(x, NFTNL_EXPR_OBJREF_IMM_NAME, name);
	nft_expr_verdict(r, NF_DROP, NULL);
}

static struct nftnl_rule *rule_full(const struct limit_ctx *c)
{
	struct nftnl_rule *r = rule_new(c);

	load_counted(r, c);
	nft_expr_lookup(r, c->v4 ? NFT_SET_FULL4 : NFT_SET_FULL6);
	refuse(r);
	return r;
}

static struct nftnl_rule *rule_old_port(const struct limit_ctx *c)
{
	struct nftnl_rule *r = rule_new(c);

	load_port(r, c);
	count_over(r, c, NFT_SET_PORTS4, 1);
	nft_expr_verdict(r, NFT_RETURN, NULL);
	return r;
}

static struct nftnl_rule *rule_over(const struct limit_ctx *c, enum nft_set_index counted)
{
	struct nftnl_rule *r = rule_new(c);

	load_counted(r, c);
	count_over(r, c, counted, c->limit);
	add_to(r, c, NFT_SET_FULL4, FULL_MS);
	refuse(r);
	return r;
}

/* Of chain, whose name says what it is; as many as it returns. */
#define MAX_LIMIT_RULES 6
static size_t rules_build(const char *chain, uint32_t mask, bool picture,
			  struct nftnl_rule *ret[MAX_LIMIT_RULES])
{
	const struct limit_kind *kind = kind_of(chain);
	struct limit_ctx c = {.chain = chain, .marks = nft_marks_of(mask), .picture = picture};
	size_t n = 0;

	c.limit = (uint32_t)strtoul(chain + strlen(kind->prefix), NULL, 10);
	for (int v4 = 1; v4 >= 0; v4--) {
		c.v4 = v4;
		ret[n++] = rule_full(&c);
		if (kind->map == NFT_SET_PORT_LIMITS)
			ret[n++] = rule_old_port(&c);
		ret[n++] = rule_over(&c, kind->counted);
	}
	return n;
}

/* ---- as a picture ---- */

static void picture_chain(struct nft_picture *p, uint32_t mask, const char *chain)
{
	struct nft_entry *entry = nft_picture_entry(p, "chain", chain);
	struct nftnl_rule *rules[MAX_LIMIT_RULES];
	size_t n;

	if (entry->len) /* another address has the same number */
		return;
	n = rules_build(chain, mask, true, rules);
	for (size_t i = 0; i < n; i++) {
		nft_entry_add_rule(entry, rules[i]);
		nftnl_rule_free(rules[i]);
	}
}

void nft_limits_picture(struct nft_picture *p, const struct nft_model *m)
{
	struct nft_marks marks = nft_marks_of(m->mark_mask);

	for (size_t i = 0; i < m->n_limits; i++)
		for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
			uint32_t limit = limit_of(&m->limits[i], k);
			uint32_t mark = m->limits[i].id << marks.shift;
			struct nft_elem *e;

			if (!limit)
				continue;
			e = nft_elems_grow(&p->elems[kinds[k].map]);
			memcpy(e->key, &mark, sizeof(mark));
			e->verdict = NFT_JUMP;
			snprintf(e->name, sizeof(e->name), "%s%u", kinds[k].prefix, limit);
			picture_chain(p, m->mark_mask, e->name);
		}
}

/* ---- as messages ---- */

void nft_limits_put_chain(struct nft_batch *b, const struct nft_model *m, const char *name)
{
	struct nftnl_rule *rules[MAX_LIMIT_RULES];
	size_t n = rules_build(name, m->mark_mask, false, rules);

	nft_rules_put_empty(b, name);
	for (size_t i = 0; i < n; i++) {
		nftnl_rule_nlmsg_build_payload(
			nft_batch_open(b, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND), rules[i]);
		nft_batch_close(b);
		nftnl_rule_free(rules[i]);
	}
}
