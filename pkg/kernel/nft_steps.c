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
#include "kernel/nft_expr.h"

#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tuple_common.h>
#include <linux/netfilter/nf_nat.h>
#include <linux/rtnetlink.h>
#include <linux/udp.h>
#include <net/if.h>
#include <stdio.h>

/* ---- steps ---- */

static void match_bits(struct nftnl_rule *r, uint32_t mask, uint32_t op, uint32_t value)
{
	nft_expr_bits(r, mask, 0);
	nft_expr_cmp_u32(r, op, value);
}

static void match_mark(struct nftnl_rule *r, uint32_t mask, uint32_t op, uint32_t value)
{
	nft_expr_meta_load(r, NFT_META_MARK);
	match_bits(r, mask, op, value);
}

static void step_mark(struct nftnl_rule *r, const struct rule_ctx *c, const struct step *s)
{
	const struct nft_marks *m = &c->marks;

	switch (s->code) {
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

static void step_priority(struct nftnl_rule *r, const struct rule_ctx *c, const struct step *s)
{
	nft_expr_meta_load(r, NFT_META_PRIORITY);
	nft_expr_cmp_u32(r, NFT_CMP_EQ, s->arg);
}

static void step_identity(struct nftnl_rule *r, const struct rule_ctx *c, const struct step *s)
{
	_Static_assert(SLU_PRIORITY_LOCAL == (SLU_PRIORITY_TUNNEL ^ 1), "told by all other bits");
	nft_expr_meta_load(r, NFT_META_PRIORITY);
	match_bits(r, ~1u, NFT_CMP_EQ, SLU_PRIORITY_LOCAL & ~1u);
}

static void step_outer(struct nftnl_rule *r, const struct rule_ctx *c, const struct step *s)
{
	nft_expr_meta_load(r, NFT_META_PRIORITY);
	match_bits(r, SLU_PRIORITY_OUTER_MASK, NFT_CMP_EQ, SLU_PRIORITY_OUTER);
}

static void step_release(struct nftnl_rule *r, const struct rule_ctx *c, const struct step *s)
{
	nft_expr_meta_load(r, NFT_META_MARK);
	nft_expr_bits(r, ~c->marks.divert, 0);
	nft_expr_meta_store(r, NFT_META_MARK);
}

static void step_set_mark(struct nftnl_rule *r, const struct rule_ctx *c, const struct step *s)
{
	uint32_t id = s->code == STEP_MARK_NODE ? c->node : s->arg;

	nft_expr_meta_load(r, NFT_META_MARK);
	nft_expr_bits(r, ~c->marks.mask, s->code == STEP_CLEAR ? 0 : id << c->marks.shift);
	nft_expr_meta_store(r, NFT_META_MARK);
}

/* The port first: it tells more packets apart than the protocol. */
static void step_udp_port(struct nftnl_rule *r, const struct rule_ctx *c, const struct step *s)
{
	uint16_t port = htons(c->port);

	nft_expr_payload(r, NFT_PAYLOAD_TRANSPORT_HEADER, 2, sizeof(port), NFT_REG_1);
	nft_expr_cmp(r, NFT_CMP_EQ, &port, sizeof(port));
	nft_expr_meta_load(r, NFT_META_L4PROTO);
	nft_expr_cmp_u8(r, IPPROTO_UDP);
}

/* Packets without one, fragments among them, are not told by this. */
static void step_other_port(struct nftnl_rule *r, const struct rule_ctx *c, const struct step *s)
{
	uint16_t port = htons(c->port);

	nft_expr_payload(r, NFT_PAYLOAD_TRANSPORT_HEADER, 2, sizeof(port), NFT_REG_1);
	nft_expr_cmp(r, NFT_CMP_NEQ, &port, sizeof(port));
}

/*
 * What VXLAN begins with (RFC 7348): a number is there, and nothing else. Our device drops what
 * says more. Other datagrams come to the port, too: masquerading gives it to somebody's connection.
 */
static void step_vxlan(struct nftnl_rule *r, const struct rule_ctx *c, const struct step *s)
{
	uint32_t flags = htonl(1u << 27);

	nft_expr_payload(r, NFT_PAYLOAD_TRANSPORT_HEADER, sizeof(struct udphdr), sizeof(flags),
			 NFT_REG_1);
	nft_expr_cmp(r, NFT_CMP_EQ, &flags, sizeof(flags));
}

static void step_device(struct nftnl_rule *r, const struct rule_ctx *c, const struct step *s)
{
	nft_expr_meta_load(r, s->code == STEP_IIF ? NFT_META_IIFGROUP : NFT_META_OIFGROUP);
	nft_expr_cmp_u32(r, s->arg, SLU_DEVICE_GROUP);
}

static void step_ct(struct nftnl_rule *r, const struct rule_ctx *c, const struct step *s)
{
	switch (s->code) {
	case STEP_DIRECTION:
		nft_expr_ct_load(r, NFT_CT_DIRECTION);
		nft_expr_cmp_u8(r, (uint8_t)s->arg);
		break;
	case STEP_STATE:
		nft_expr_ct_load(r, NFT_CT_STATE);
		match_bits(r, s->arg, NFT_CMP_NEQ, 0);
		break;
	case STEP_DNATTED:
		nft_expr_ct_load(r, NFT_CT_STATUS);
		match_bits(r, IPS_DST_NAT, NFT_CMP_NEQ, 0);
		break;
	case STEP_AS_SENT:
		nft_expr_ct_load(r, NFT_CT_STATUS);
		match_bits(r, IPS_DST_NAT, NFT_CMP_EQ, 0);
		break;
	case STEP_CT_MARKED:
		nft_expr_ct_load(r, NFT_CT_MARK);
		match_bits(r, c->marks.mask, NFT_CMP_NEQ, 0);
		break;
	default: /* STEP_CT_HAS_NODE */
		nft_expr_ct_load(r, NFT_CT_MARK);
		match_bits(r, c->marks.id, NFT_CMP_NEQ, 0);
		nft_expr_ct_load(r, NFT_CT_MARK);
		match_bits(r, c->marks.divert, NFT_CMP_EQ, 0);
	}
}

/* A load that fails (no socket, or a kernel's) ends the rule; -1 is no uid. */
static void step_process(struct nftnl_rule *r, const struct rule_ctx *c, const struct step *s)
{
	nft_expr_meta_load(r, NFT_META_SKUID);
	nft_expr_cmp_u32(r, NFT_CMP_NEQ, UINT32_MAX);
}

static void step_l4(struct nftnl_rule *r, const struct rule_ctx *c, const struct step *s)
{
	nft_expr_meta_load(r, NFT_META_L4PROTO);
	nft_expr_cmp_u8(r, (uint8_t)s->arg);
}

/*
 * Of IPv4, the family comes last, since almost nothing is in such a set: an IPv6 header has
 * four bytes there as well.
 */
static void step_addr_in(struct nftnl_rule *r, const struct rule_ctx *c, const struct step *s)
{
	bool v4 = nft_expr_set_is_v4(s->arg);
	bool late = v4 && s->code == STEP_SADDR_IN;

	if (!late)
		nft_expr_match_family(r, v4 ? NFPROTO_IPV4 : NFPROTO_IPV6);
	nft_expr_load_addr(r, v4, s->code == STEP_SADDR_IN, NFT_REG_1);
	nft_expr_lookup(r, s->arg);
	if (late)
		nft_expr_match_family(r, NFPROTO_IPV4);
}

/*
 * No family for IPv4: an id belongs to one address, so a packet of IPv6 has another one, and
 * were it otherwise, then no such address in these four bytes.
 */
static void step_owned_in(struct nftnl_rule *r, const struct rule_ctx *c, const struct step *s)
{
	bool v4 = nft_expr_set_is_v4(s->arg);

	if (!v4)
		nft_expr_match_family(r, NFPROTO_IPV6);
	nft_expr_meta_load(r, NFT_META_MARK);
	nft_expr_bits(r, c->marks.mask, 0);
	nft_expr_load_addr(r, v4, true, NFT_REG32_01);
	nft_expr_lookup(r, s->arg);
}

static void ct_original(struct nftnl_rule *r, uint32_t key, uint32_t dreg)
{
	struct nftnl_expr *x = nft_expr_add(r, "ct");

	nftnl_expr_set_u32(x, NFTNL_EXPR_CT_KEY, key);
	nftnl_expr_set_u8(x, NFTNL_EXPR_CT_DIR, IP_CT_DIR_ORIGINAL);
	nftnl_expr_set_u32(x, NFTNL_EXPR_CT_DREG, dreg);
}

/* The nth register of four bytes, by the name that the kernel dumps. */
static uint32_t reg32(uint32_t n)
{
	return n % 4 ? NFT_REG32_00 + n : NFT_REG_1 + n / 4;
}

/* Registers of four bytes one behind the other, as in the elements (nft_sets.c). */
static void step_service_in(struct nftnl_rule *r, const struct rule_ctx *c, const struct step *s)
{
	bool v4 = s->arg == NFT_SET_SERVICES4;
	uint32_t words = v4 ? 1 : 4;
	struct nftnl_expr *x;

	nft_expr_match_family(r, v4 ? NFPROTO_IPV4 : NFPROTO_IPV6);
	ct_original(r, v4 ? NFT_CT_DST_IP : NFT_CT_DST_IP6, reg32(0));
	ct_original(r, NFT_CT_PROTO_DST, reg32(words));
	x = nft_expr_add(r, "meta");
	nftnl_expr_set_u32(x, NFTNL_EXPR_META_KEY, NFT_META_L4PROTO);
	nftnl_expr_set_u32(x, NFTNL_EXPR_META_DREG, reg32(words + 1));
	nft_expr_load_addr(r, v4, false, reg32(words + 2));
	nft_expr_payload(r, NFT_PAYLOAD_TRANSPORT_HEADER, 2, sizeof(uint16_t),
			 reg32(2 * words + 2));
	nft_expr_lookup(r, s->arg);
}

static void step_same_node(struct nftnl_rule *r, const struct rule_ctx *c, const struct step *s)
{
	nft_expr_ct_load(r, NFT_CT_MARK);
	nft_expr_bits_to(r, c->marks.mask, NFT_REG32_01);
	nft_expr_meta_load(r, NFT_META_PRIORITY);
	nft_expr_lookup(r, NFT_SET_NODES);
}

static void step_over_rate(struct nftnl_rule *r, const struct rule_ctx *c, const struct step *s)
{
	struct nftnl_expr *x = nft_expr_add(r, "limit");

	nftnl_expr_set_u64(x, NFTNL_EXPR_LIMIT_RATE, 100);
	nftnl_expr_set_u64(x, NFTNL_EXPR_LIMIT_UNIT, 1); /* second */
	nftnl_expr_set_u32(x, NFTNL_EXPR_LIMIT_BURST, 100);
	nftnl_expr_set_u32(x, NFTNL_EXPR_LIMIT_TYPE, NFT_LIMIT_PKTS);
	nftnl_expr_set_u32(x, NFTNL_EXPR_LIMIT_FLAGS, NFT_LIMIT_F_INV);
}

static void ct_mark_change(struct nftnl_rule *r, uint32_t mask, uint32_t xor)
{
	struct nftnl_expr *x;

	nft_expr_ct_load(r, NFT_CT_MARK);
	nft_expr_bits(r, mask, xor);
	x = nft_expr_add(r, "ct");
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

	if (s->code == STEP_RELEASE_ZONE)
		step_release(r, c, s); /* and the mark is in the register */
	else
		nft_expr_meta_load(r, NFT_META_MARK);
	nft_expr_bits(r, c->marks.mask, 0);
	nft_expr_shift_right(r, by);
	x = nft_expr_add(r, "ct");
	nftnl_expr_set_u32(x, NFTNL_EXPR_CT_KEY, NFT_CT_ZONE);
	nftnl_expr_set_u8(x, NFTNL_EXPR_CT_DIR, IP_CT_DIR_ORIGINAL);
	nftnl_expr_set_u32(x, NFTNL_EXPR_CT_SREG, NFT_REG_1);
}

static void step_notrack(struct nftnl_rule *r, const struct rule_ctx *c, const struct step *s)
{
	nft_expr_add(r, "notrack");
}

static void step_count(struct nftnl_rule *r, const struct rule_ctx *c, const struct step *s)
{
	struct nftnl_expr *x = nft_expr_add(r, "objref");
	char name[8];

	snprintf(name, sizeof(name), "r%u", s->arg);
	nftnl_expr_set_u32(x, NFTNL_EXPR_OBJREF_IMM_TYPE, NFT_OBJECT_COUNTER);
	nftnl_expr_set_str(x, NFTNL_EXPR_OBJREF_IMM_NAME, name);
}

static void step_count_reason(struct nftnl_rule *r, const struct rule_ctx *c, const struct step *s)
{
	struct nftnl_expr *x;

	nft_expr_meta_load(r, NFT_META_MARK);
	nft_expr_bits(r, c->marks.mask, 0);
	x = nft_expr_add(r, "objref");
	nftnl_expr_set_u32(x, NFTNL_EXPR_OBJREF_SET_SREG, NFT_REG_1);
	nftnl_expr_set_str(x, NFTNL_EXPR_OBJREF_SET_NAME, nft_set_name(NFT_SET_REASONS));
}

static void step_snat_self(struct nftnl_rule *r, const struct rule_ctx *c, const struct step *s)
{
	bool v4 = s->arg == NFPROTO_IPV4;

	nft_expr_match_family(r, (uint8_t)s->arg);
	nft_expr_load_addr(r, v4, true, NFT_REG_1);
	nft_expr_snat(r, v4);
}

static void step_snat(struct nftnl_rule *r, const struct rule_ctx *c, const struct step *s)
{
	bool v4 = nft_expr_set_is_v4(s->arg);

	nft_expr_match_family(r, v4 ? NFPROTO_IPV4 : NFPROTO_IPV6);
	nft_expr_meta_load(r, NFT_META_MARK);
	nft_expr_bits(r, c->marks.mask, 0);
	nftnl_expr_set_u32(nft_expr_lookup(r, s->arg), NFTNL_EXPR_LOOKUP_DREG, NFT_REG_1);
	nft_expr_snat(r, v4);
}

static void step_limit(struct nftnl_rule *r, const struct rule_ctx *c, const struct step *s)
{
	nft_expr_meta_load(r, NFT_META_MARK);
	nft_expr_bits(r, c->marks.mask, 0);
	nftnl_expr_set_u32(nft_expr_lookup(r, s->arg), NFTNL_EXPR_LOOKUP_DREG, NFT_REG_VERDICT);
}

static void step_to_node(struct nftnl_rule *r, const struct rule_ctx *c, const struct step *s)
{
	bool in = s->code == STEP_TO_NODE_IN;

	if (in) {
		nft_expr_meta_load(r, NFT_META_PRIORITY);
	} else {
		nft_expr_ct_load(r, NFT_CT_MARK);
		nft_expr_bits(r, c->marks.mask, 0);
	}
	nftnl_expr_set_u32(nft_expr_lookup(r, in ? NFT_SET_NODES_IN : NFT_SET_NODES_OUT),
			   NFTNL_EXPR_LOOKUP_DREG, NFT_REG_VERDICT);
}

static void step_reject(struct nftnl_rule *r, const struct rule_ctx *c, const struct step *s)
{
	struct nftnl_expr *x = nft_expr_add(r, "reject");

	if (s->code == STEP_RESET) {
		nftnl_expr_set_u32(x, NFTNL_EXPR_REJECT_TYPE, NFT_REJECT_TCP_RST);
		return;
	}
	nftnl_expr_set_u32(x, NFTNL_EXPR_REJECT_TYPE, NFT_REJECT_ICMPX_UNREACH);
	nftnl_expr_set_u8(x, NFTNL_EXPR_REJECT_CODE, NFT_REJECT_ICMPX_ADMIN_PROHIBITED);
}

static void step_verdict(struct nftnl_rule *r, const struct rule_ctx *c, const struct step *s)
{
	int code = s->code == STEP_GOTO ? NFT_GOTO : s->code == STEP_JUMP ? NFT_JUMP : (int)s->arg;

	nft_expr_verdict(r, code, s->chain);
}

typedef void (*step_fn)(struct nftnl_rule *, const struct rule_ctx *, const struct step *);

static const step_fn steps[] = {
	[STEP_UDP_PORT] = step_udp_port,
	[STEP_OTHER_PORT] = step_other_port,
	[STEP_VXLAN] = step_vxlan,
	[STEP_IDENTITY] = step_identity,
	[STEP_OUTER] = step_outer,
	[STEP_UNMARKED] = step_mark,
	[STEP_DIVERTED] = step_mark,
	[STEP_ADDRESS_ID] = step_mark,
	[STEP_ANY_ID] = step_mark,
	[STEP_CHECK_UNRELEASED] = step_mark,
	[STEP_PRIORITY] = step_priority,
	[STEP_RELEASE] = step_release,
	[STEP_RELEASE_ZONE] = step_zone,
	[STEP_CT_MARKED] = step_ct,
	[STEP_MARK_IS] = step_mark,
	[STEP_IIF] = step_device,
	[STEP_OIF] = step_device,
	[STEP_DIRECTION] = step_ct,
	[STEP_STATE] = step_ct,
	[STEP_DNATTED] = step_ct,
	[STEP_AS_SENT] = step_ct,
	[STEP_CT_HAS_NODE] = step_ct,
	[STEP_PROCESS] = step_process,
	[STEP_L4] = step_l4,
	[STEP_DADDR_IN] = step_addr_in,
	[STEP_SADDR_IN] = step_addr_in,
	[STEP_OWNED_IN] = step_owned_in,
	[STEP_SERVICE_IN] = step_service_in,
	[STEP_SAME_NODE] = step_same_node,
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
	[STEP_LIMIT] = step_limit,
	[STEP_TO_NODE_IN] = step_to_node,
	[STEP_TO_NODE_OUT] = step_to_node,
	[STEP_RESET] = step_reject,
	[STEP_PROHIBITED] = step_reject,
	[STEP_VERDICT] = step_verdict,
	[STEP_GOTO] = step_verdict,
	[STEP_JUMP] = step_verdict,
};

void nft_step_put(struct nftnl_rule *r, const struct rule_ctx *c, const struct step *s)
{
	steps[s->code](r, c, s);
}
