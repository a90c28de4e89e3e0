/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each step of a rule as nftables expressions. Everything is computed in
 * NFT_REG_1; the concatenation mark . address is the one case of two registers:
 * four bytes of mark, and the address right behind them (NFT_REG32_01). Marks are
 * in host byte order throughout.
 *
 * A step writes every attribute that the kernel will dump, also those that have a
 * default: the kernel's rules are compared with ours byte by byte.
 */
#include "kernel/nft_steps.h"

#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tuple_common.h>
#include <linux/netfilter/nf_nat.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>

#include <libnftnl/expr.h>

/* ---- expressions ---- */

static struct nftnl_expr *expr_add(struct nftnl_rule *r, const char *name)
{
	struct nftnl_expr *x = nftnl_expr_alloc(name);

	if (!x)
		oom();
	nftnl_rule_add_expr(r, x);
	return x;
}

static void meta_load(struct nftnl_rule *r, uint32_t key)
{
	struct nftnl_expr *x = expr_add(r, "meta");

	nftnl_expr_set_u32(x, NFTNL_EXPR_META_KEY, key);
	nftnl_expr_set_u32(x, NFTNL_EXPR_META_DREG, NFT_REG_1);
}

static void ct_load(struct nftnl_rule *r, uint32_t key)
{
	struct nftnl_expr *x = expr_add(r, "ct");

	nftnl_expr_set_u32(x, NFTNL_EXPR_CT_KEY, key);
	nftnl_expr_set_u32(x, NFTNL_EXPR_CT_DREG, NFT_REG_1);
}

static void cmp(struct nftnl_rule *r, uint32_t op, const void *data, uint32_t len)
{
	struct nftnl_expr *x = expr_add(r, "cmp");

	nftnl_expr_set_u32(x, NFTNL_EXPR_CMP_SREG, NFT_REG_1);
	nftnl_expr_set_u32(x, NFTNL_EXPR_CMP_OP, op);
	nftnl_expr_set(x, NFTNL_EXPR_CMP_DATA, data, len);
}

static void cmp_u32(struct nftnl_rule *r, uint32_t op, uint32_t value)
{
	cmp(r, op, &value, sizeof(value));
}

static void cmp_u8(struct nftnl_rule *r, uint8_t value)
{
	cmp(r, NFT_CMP_EQ, &value, sizeof(value));
}

/* register := (register & mask) ^ xor */
static void bits(struct nftnl_rule *r, uint32_t mask, uint32_t xor)
{
	struct nftnl_expr *x = expr_add(r, "bitwise");

	nftnl_expr_set_u32(x, NFTNL_EXPR_BITWISE_SREG, NFT_REG_1);
	nftnl_expr_set_u32(x, NFTNL_EXPR_BITWISE_DREG, NFT_REG_1);
	nftnl_expr_set_u32(x, NFTNL_EXPR_BITWISE_LEN, sizeof(mask));
	nftnl_expr_set_u32(x, NFTNL_EXPR_BITWISE_OP, NFT_BITWISE_BOOL);
	nftnl_expr_set(x, NFTNL_EXPR_BITWISE_MASK, &mask, sizeof(mask));
	nftnl_expr_set(x, NFTNL_EXPR_BITWISE_XOR, &xor, sizeof(xor));
}

static void shift_right(struct nftnl_rule *r, int by)
{
	uint32_t amount = (uint32_t)(by < 0 ? -by : by);
	struct nftnl_expr *x;

	if (by == 0)
		return;
	x = expr_add(r, "bitwise");
	nftnl_expr_set_u32(x, NFTNL_EXPR_BITWISE_SREG, NFT_REG_1);
	nftnl_expr_set_u32(x, NFTNL_EXPR_BITWISE_DREG, NFT_REG_1);
	nftnl_expr_set_u32(x, NFTNL_EXPR_BITWISE_LEN, sizeof(amount));
	nftnl_expr_set_u32(x, NFTNL_EXPR_BITWISE_OP,
			   by < 0 ? NFT_BITWISE_LSHIFT : NFT_BITWISE_RSHIFT);
	nftnl_expr_set(x, NFTNL_EXPR_BITWISE_DATA, &amount, sizeof(amount));
}

static void meta_store(struct nftnl_rule *r, uint32_t key)
{
	struct nftnl_expr *x = expr_add(r, "meta");

	nftnl_expr_set_u32(x, NFTNL_EXPR_META_KEY, key);
	nftnl_expr_set_u32(x, NFTNL_EXPR_META_SREG, NFT_REG_1);
}

static void payload(struct nftnl_rule *r, uint32_t base, uint32_t offset, uint32_t len,
		    uint32_t dreg)
{
	struct nftnl_expr *x = expr_add(r, "payload");

	nftnl_expr_set_u32(x, NFTNL_EXPR_PAYLOAD_DREG, dreg);
	nftnl_expr_set_u32(x, NFTNL_EXPR_PAYLOAD_BASE, base);
	nftnl_expr_set_u32(x, NFTNL_EXPR_PAYLOAD_OFFSET, offset);
	nftnl_expr_set_u32(x, NFTNL_EXPR_PAYLOAD_LEN, len);
}

static struct nftnl_expr *lookup(struct nftnl_rule *r, enum nft_set_index set)
{
	struct nftnl_expr *x = expr_add(r, "lookup");

	nftnl_expr_set_u32(x, NFTNL_EXPR_LOOKUP_SREG, NFT_REG_1);
	nftnl_expr_set_str(x, NFTNL_EXPR_LOOKUP_SET, nft_set_name(set));
	nftnl_expr_set_u32(x, NFTNL_EXPR_LOOKUP_FLAGS, 0);
	return x;
}

static void verdict(struct nftnl_rule *r, int code, const char *chain)
{
	struct nftnl_expr *x = expr_add(r, "immediate");

	nftnl_expr_set_u32(x, NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT);
	nftnl_expr_set_u32(x, NFTNL_EXPR_IMM_VERDICT, (uint32_t)code);
	if (chain)
		nftnl_expr_set_str(x, NFTNL_EXPR_IMM_CHAIN, chain);
}

static void match_family(struct nftnl_rule *r, uint8_t nfproto)
{
	meta_load(r, NFT_META_NFPROTO);
	cmp_u8(r, nfproto);
}

/* Sets come in pairs, IPv4 first. */
static bool set_is_v4(uint32_t set)
{
	return set % 2 == 0;
}

static void load_addr(struct nftnl_rule *r, bool v4, bool source, uint32_t dreg)
{
	uint32_t offset = v4 ? (source ? 12 : 16) : (source ? 8 : 24);

	payload(r, NFT_PAYLOAD_NETWORK_HEADER, offset, v4 ? 4 : 16, dreg);
}

static void snat(struct nftnl_rule *r, bool v4)
{
	struct nftnl_expr *x = expr_add(r, "nat");

	nftnl_expr_set_u32(x, NFTNL_EXPR_NAT_TYPE, NFT_NAT_SNAT);
	nftnl_expr_set_u32(x, NFTNL_EXPR_NAT_FAMILY, v4 ? NFPROTO_IPV4 : NFPROTO_IPV6);
	nftnl_expr_set_u32(x, NFTNL_EXPR_NAT_REG_ADDR_MIN, NFT_REG_1);
	nftnl_expr_set_u32(x, NFTNL_EXPR_NAT_REG_ADDR_MAX, NFT_REG_1);
	nftnl_expr_set_u32(x, NFTNL_EXPR_NAT_FLAGS, NF_NAT_RANGE_MAP_IPS);
}

/* ---- steps ---- */

static void match_bits(struct nftnl_rule *r, uint32_t mask, uint32_t op, uint32_t value)
{
	bits(r, mask, 0);
	cmp_u32(r, op, value);
}

static void match_mark(struct nftnl_rule *r, uint32_t mask, uint32_t op, uint32_t value)
{
	meta_load(r, NFT_META_MARK);
	match_bits(r, mask, op, value);
}

static void step_mark(struct nftnl_rule *r, const struct rule_ctx *c, const struct step *s)
{
	const struct nft_marks *m = &c->marks;

	switch (s->code) {
	case STEP_MARKED:
		match_mark(r, m->mask, NFT_CMP_NEQ, 0);
		break;
	case STEP_UNMARKED:
		match_mark(r, m->mask, NFT_CMP_EQ, 0);
		break;
	case STEP_DIVERTED:
		match_mark(r, m->divert, NFT_CMP_NEQ, 0);
		break;
	case STEP_ADDRESS_ID:
		match_mark(r, m->divert, NFT_CMP_EQ, 0);
		match_mark(r, m->high, NFT_CMP_NEQ, 0);
		break;
	case STEP_ANY_ID:
		match_mark(r, m->high, NFT_CMP_NEQ, 0);
		break;
	case STEP_CHECK_UNRELEASED:
		match_mark(r, m->mask, NFT_CMP_EQ, m->divert | SLU_ID_CHECK << m->shift);
		break;
	default:
		match_mark(r, m->mask, NFT_CMP_EQ, s->arg << m->shift);
	}
}

static void step_unseen(struct nftnl_rule *r, const struct rule_ctx *c, const struct step *s)
{
	match_mark(r, c->marks.mask, NFT_CMP_EQ, 0);
	meta_load(r, NFT_META_PRIORITY);
	cmp_u32(r, NFT_CMP_NEQ, SLU_PRIORITY_SEEN);
}

static void step_to_release(struct nftnl_rule *r, const struct rule_ctx *c, const struct step *s)
{
	match_mark(r, c->marks.divert, NFT_CMP_NEQ, 0);
	meta_load(r, NFT_META_PRIORITY);
	cmp_u32(r, NFT_CMP_EQ, SLU_PRIORITY_RELEASE);
}

static void step_release(struct nftnl_rule *r, const struct rule_ctx *c, const struct step *s)
{
	meta_load(r, NFT_META_MARK);
	bits(r, ~c->marks.divert, 0);
	meta_store(r, NFT_META_MARK);
}

static void step_set_mark(struct nftnl_rule *r, const struct rule_ctx *c, const struct step *s)
{
	uint32_t id = s->code == STEP_MARK_NODE ? c->node : s->arg;

	meta_load(r, NFT_META_MARK);
	bits(r, ~c->marks.mask, s->code == STEP_CLEAR ? 0 : id << c->marks.shift);
	meta_store(r, NFT_META_MARK);
}

static void step_udp_port(struct nftnl_rule *r, const struct rule_ctx *c, const struct step *s)
{
	uint16_t port = htons(c->port);

	meta_load(r, NFT_META_L4PROTO);
	cmp_u8(r, IPPROTO_UDP);
	payload(r, NFT_PAYLOAD_TRANSPORT_HEADER, 2, sizeof(port), NFT_REG_1);
	cmp(r, NFT_CMP_EQ, &port, sizeof(port));
}

static void step_local_daddr(struct nftnl_rule *r, const struct rule_ctx *c, const struct step *s)
{
	struct nftnl_expr *x = expr_add(r, "fib");

	nftnl_expr_set_u32(x, NFTNL_EXPR_FIB_DREG, NFT_REG_1);
	nftnl_expr_set_u32(x, NFTNL_EXPR_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
	nftnl_expr_set_u32(x, NFTNL_EXPR_FIB_FLAGS, NFTA_FIB_F_DADDR);
	cmp_u32(r, NFT_CMP_EQ, RTN_LOCAL);
}

static void step_device(struct nftnl_rule *r, const struct rule_ctx *c, const struct step *s)
{
	char name[IFNAMSIZ] = NFT_DEVICE; /* all 16 bytes, or it would be a prefix */

	meta_load(r, s->code == STEP_IIF ? NFT_META_IIFNAME : NFT_META_OIFNAME);
	cmp(r, s->arg, name, sizeof(name));
}

static void step_ct(struct nftnl_rule *r, const struct rule_ctx *c, const struct step *s)
{
	switch (s->code) {
	case STEP_DIRECTION:
		ct_load(r, NFT_CT_DIRECTION);
		cmp_u8(r, (uint8_t)s->arg);
		break;
	case STEP_STATE:
		ct_load(r, NFT_CT_STATE);
		match_bits(r, s->arg, NFT_CMP_NEQ, 0);
		break;
	case STEP_DNATTED:
		ct_load(r, NFT_CT_STATUS);
		match_bits(r, IPS_DST_NAT, NFT_CMP_NEQ, 0);
		break;
	case STEP_CT_MARKED:
		ct_load(r, NFT_CT_MARK);
		match_bits(r, c->marks.mask, NFT_CMP_NEQ, 0);
		break;
	default: /* STEP_CT_HAS_NODE */
		ct_load(r, NFT_CT_MARK);
		match_bits(r, c->marks.divert, NFT_CMP_EQ, 0);
		ct_load(r, NFT_CT_MARK);
		match_bits(r, c->marks.id, NFT_CMP_NEQ, 0);
	}
}

/* A load that fails (no socket, or a kernel's) ends the rule; -1 is no uid. */
static void step_process(struct nftnl_rule *r, const struct rule_ctx *c, const struct step *s)
{
	meta_load(r, NFT_META_SKUID);
	cmp_u32(r, NFT_CMP_NEQ, UINT32_MAX);
}

static void step_l4(struct nftnl_rule *r, const struct rule_ctx *c, const struct step *s)
{
	meta_load(r, NFT_META_L4PROTO);
	cmp_u8(r, (uint8_t)s->arg);
}

static void step_addr_in(struct nftnl_rule *r, const struct rule_ctx *c, const struct step *s)
{
	bool v4 = set_is_v4(s->arg);

	match_family(r, v4 ? NFPROTO_IPV4 : NFPROTO_IPV6);
	load_addr(r, v4, s->code == STEP_SADDR_IN, NFT_REG_1);
	lookup(r, s->arg);
}

static void step_owned_in(struct nftnl_rule *r, const struct rule_ctx *c, const struct step *s)
{
	bool v4 = set_is_v4(s->arg);

	match_family(r, v4 ? NFPROTO_IPV4 : NFPROTO_IPV6);
	meta_load(r, NFT_META_MARK);
	bits(r, c->marks.mask, 0);
	load_addr(r, v4, true, NFT_REG32_01);
	lookup(r, s->arg);
}

static void step_over_rate(struct nftnl_rule *r, const struct rule_ctx *c, const struct step *s)
{
	struct nftnl_expr *x = expr_add(r, "limit");

	nftnl_expr_set_u64(x, NFTNL_EXPR_LIMIT_RATE, 100);
	nftnl_expr_set_u64(x, NFTNL_EXPR_LIMIT_UNIT, 1); /* second */
	nftnl_expr_set_u32(x, NFTNL_EXPR_LIMIT_BURST, 100);
	nftnl_expr_set_u32(x, NFTNL_EXPR_LIMIT_TYPE, NFT_LIMIT_PKTS);
	nftnl_expr_set_u32(x, NFTNL_EXPR_LIMIT_FLAGS, NFT_LIMIT_F_INV);
}

static void ct_mark_change(struct nftnl_rule *r, uint32_t mask, uint32_t xor)
{
	struct nftnl_expr *x;

	ct_load(r, NFT_CT_MARK);
	bits(r, mask, xor);
	x = expr_add(r, "ct");
	nftnl_expr_set_u32(x, NFTNL_EXPR_CT_KEY, NFT_CT_MARK);
	nftnl_expr_set_u32(x, NFTNL_EXPR_CT_SREG, NFT_REG_1);
}

static void step_ct_node(struct nftnl_rule *r, const struct rule_ctx *c, const struct step *s)
{
	ct_mark_change(r, ~c->marks.mask, c->node << c->marks.shift);
}

static void step_ct_identity(struct nftnl_rule *r, const struct rule_ctx *c, const struct step *s)
{
	ct_mark_change(r, ~c->marks.divert, c->marks.divert);
}

/* The kernel reads the zone as the register's first two bytes. */
static void step_zone(struct nftnl_rule *r, const struct rule_ctx *c, const struct step *s)
{
	int by = (int)c->marks.shift - (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? 16 : 0);
	struct nftnl_expr *x;

	meta_load(r, NFT_META_MARK);
	bits(r, c->marks.mask, 0);
	shift_right(r, by);
	x = expr_add(r, "ct");
	nftnl_expr_set_u32(x, NFTNL_EXPR_CT_KEY, NFT_CT_ZONE);
	nftnl_expr_set_u8(x, NFTNL_EXPR_CT_DIR, IP_CT_DIR_ORIGINAL);
	nftnl_expr_set_u32(x, NFTNL_EXPR_CT_SREG, NFT_REG_1);
}

static void step_notrack(struct nftnl_rule *r, const struct rule_ctx *c, const struct step *s)
{
	expr_add(r, "notrack");
}

static void step_count(struct nftnl_rule *r, const struct rule_ctx *c, const struct step *s)
{
	struct nftnl_expr *x = expr_add(r, "objref");
	char name[8];

	snprintf(name, sizeof(name), "r%u", s->arg);
	nftnl_expr_set_u32(x, NFTNL_EXPR_OBJREF_IMM_TYPE, NFT_OBJECT_COUNTER);
	nftnl_expr_set_str(x, NFTNL_EXPR_OBJREF_IMM_NAME, name);
}

static void step_count_reason(struct nftnl_rule *r, const struct rule_ctx *c, const struct step *s)
{
	struct nftnl_expr *x;

	meta_load(r, NFT_META_MARK);
	bits(r, c->marks.mask, 0);
	x = expr_add(r, "objref");
	nftnl_expr_set_u32(x, NFTNL_EXPR_OBJREF_SET_SREG, NFT_REG_1);
	nftnl_expr_set_str(x, NFTNL_EXPR_OBJREF_SET_NAME, nft_set_name(NFT_SET_REASONS));
}

static void step_snat_self(struct nftnl_rule *r, const struct rule_ctx *c, const struct step *s)
{
	bool v4 = s->arg == NFPROTO_IPV4;

	match_family(r, (uint8_t)s->arg);
	load_addr(r, v4, true, NFT_REG_1);
	snat(r, v4);
}

static void step_snat(struct nftnl_rule *r, const struct rule_ctx *c, const struct step *s)
{
	bool v4 = set_is_v4(s->arg);

	match_family(r, v4 ? NFPROTO_IPV4 : NFPROTO_IPV6);
	meta_load(r, NFT_META_MARK);
	bits(r, c->marks.mask, 0);
	nftnl_expr_set_u32(lookup(r, s->arg), NFTNL_EXPR_LOOKUP_DREG, NFT_REG_1);
	snat(r, v4);
}

static void step_to_node(struct nftnl_rule *r, const struct rule_ctx *c, const struct step *s)
{
	bool in = s->code == STEP_TO_NODE_IN;

	if (in) {
		meta_load(r, NFT_META_PRIORITY);
	} else {
		ct_load(r, NFT_CT_MARK);
		bits(r, c->marks.mask, 0);
	}
	nftnl_expr_set_u32(lookup(r, in ? NFT_SET_NODES_IN : NFT_SET_NODES_OUT),
			   NFTNL_EXPR_LOOKUP_DREG, NFT_REG_VERDICT);
}

static void step_reject(struct nftnl_rule *r, const struct rule_ctx *c, const struct step *s)
{
	struct nftnl_expr *x = expr_add(r, "reject");

	if (s->code == STEP_RESET) {
		nftnl_expr_set_u32(x, NFTNL_EXPR_REJECT_TYPE, NFT_REJECT_TCP_RST);
		return;
	}
	nftnl_expr_set_u32(x, NFTNL_EXPR_REJECT_TYPE, NFT_REJECT_ICMPX_UNREACH);
	nftnl_expr_set_u8(x, NFTNL_EXPR_REJECT_CODE, NFT_REJECT_ICMPX_ADMIN_PROHIBITED);
}

static void step_verdict(struct nftnl_rule *r, const struct rule_ctx *c, const struct step *s)
{
	verdict(r, s->code == STEP_GOTO ? NFT_GOTO : (int)s->arg, s->chain);
}

typedef void (*step_fn)(struct nftnl_rule *, const struct rule_ctx *, const struct step *);

static const step_fn steps[] = {
	[STEP_UDP_PORT] = step_udp_port,
	[STEP_LOCAL_DADDR] = step_local_daddr,
	[STEP_MARKED] = step_mark,
	[STEP_UNMARKED] = step_mark,
	[STEP_DIVERTED] = step_mark,
	[STEP_ADDRESS_ID] = step_mark,
	[STEP_ANY_ID] = step_mark,
	[STEP_CHECK_UNRELEASED] = step_mark,
	[STEP_UNSEEN] = step_unseen,
	[STEP_TO_RELEASE] = step_to_release,
	[STEP_RELEASE] = step_release,
	[STEP_CT_MARKED] = step_ct,
	[STEP_MARK_IS] = step_mark,
	[STEP_IIF] = step_device,
	[STEP_OIF] = step_device,
	[STEP_DIRECTION] = step_ct,
	[STEP_STATE] = step_ct,
	[STEP_DNATTED] = step_ct,
	[STEP_CT_HAS_NODE] = step_ct,
	[STEP_PROCESS] = step_process,
	[STEP_L4] = step_l4,
	[STEP_DADDR_IN] = step_addr_in,
	[STEP_SADDR_IN] = step_addr_in,
	[STEP_OWNED_IN] = step_owned_in,
	[STEP_OVER_RATE] = step_over_rate,
	[STEP_CLEAR] = step_set_mark,
	[STEP_MARK] = step_set_mark,
	[STEP_MARK_NODE] = step_set_mark,
	[STEP_CT_NODE] = step_ct_node,
	[STEP_CT_IDENTITY] = step_ct_identity,
	[STEP_ZONE] = step_zone,
	[STEP_NOTRACK] = step_notrack,
	[STEP_COUNT] = step_count,
	[STEP_COUNT_REASON] = step_count_reason,
	[STEP_SNAT_SELF] = step_snat_self,
	[STEP_SNAT] = step_snat,
	[STEP_TO_NODE_IN] = step_to_node,
	[STEP_TO_NODE_OUT] = step_to_node,
	[STEP_RESET] = step_reject,
	[STEP_PROHIBITED] = step_reject,
	[STEP_VERDICT] = step_verdict,
	[STEP_GOTO] = step_verdict,
};

void nft_step_put(struct nftnl_rule *r, const struct rule_ctx *c, const struct step *s)
{
	steps[s->code](r, c, s);
}
