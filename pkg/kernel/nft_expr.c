/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/nft_expr.h"

#include <linux/netfilter/nf_nat.h>

struct nftnl_expr *nft_expr_add(struct nftnl_rule *r, const char *name)
{
	struct nftnl_expr *x = nftnl_expr_alloc(name);

	if (!x)
		oom();
	nftnl_rule_add_expr(r, x);
	return x;
}

void nft_expr_meta_load(struct nftnl_rule *r, uint32_t key)
{
	struct nftnl_expr *x = nft_expr_add(r, "meta");

	nftnl_expr_set_u32(x, NFTNL_EXPR_META_KEY, key);
	nftnl_expr_set_u32(x, NFTNL_EXPR_META_DREG, NFT_REG_1);
}

void nft_expr_ct_load(struct nftnl_rule *r, uint32_t key)
{
	struct nftnl_expr *x = nft_expr_add(r, "ct");

	nftnl_expr_set_u32(x, NFTNL_EXPR_CT_KEY, key);
	nftnl_expr_set_u32(x, NFTNL_EXPR_CT_DREG, NFT_REG_1);
}

void nft_expr_cmp(struct nftnl_rule *r, uint32_t op, const void *data, uint32_t len)
{
	struct nftnl_expr *x = nft_expr_add(r, "cmp");

	nftnl_expr_set_u32(x, NFTNL_EXPR_CMP_SREG, NFT_REG_1);
	nftnl_expr_set_u32(x, NFTNL_EXPR_CMP_OP, op);
	nftnl_expr_set(x, NFTNL_EXPR_CMP_DATA, data, len);
}

void nft_expr_cmp_u32(struct nftnl_rule *r, uint32_t op, uint32_t value)
{
	nft_expr_cmp(r, op, &value, sizeof(value));
}

void nft_expr_cmp_u8(struct nftnl_rule *r, uint8_t value)
{
	nft_expr_cmp(r, NFT_CMP_EQ, &value, sizeof(value));
}

static void put_bits(struct nftnl_rule *r, uint32_t mask, uint32_t xor, uint32_t dreg)
{
	struct nftnl_expr *x = nft_expr_add(r, "bitwise");

	nftnl_expr_set_u32(x, NFTNL_EXPR_BITWISE_SREG, NFT_REG_1);
	nftnl_expr_set_u32(x, NFTNL_EXPR_BITWISE_DREG, dreg);
	nftnl_expr_set_u32(x, NFTNL_EXPR_BITWISE_LEN, sizeof(mask));
	nftnl_expr_set_u32(x, NFTNL_EXPR_BITWISE_OP, NFT_BITWISE_BOOL);
	nftnl_expr_set(x, NFTNL_EXPR_BITWISE_MASK, &mask, sizeof(mask));
	nftnl_expr_set(x, NFTNL_EXPR_BITWISE_XOR, &xor, sizeof(xor));
}

/* register := (register & mask) ^ xor */
void nft_expr_bits(struct nftnl_rule *r, uint32_t mask, uint32_t xor)
{
	put_bits(r, mask, xor, NFT_REG_1);
}

void nft_expr_bits_to(struct nftnl_rule *r, uint32_t mask, uint32_t dreg)
{
	put_bits(r, mask, 0, dreg);
}

void nft_expr_shift_right(struct nftnl_rule *r, int by)
{
	uint32_t amount = (uint32_t)(by < 0 ? -by : by);
	struct nftnl_expr *x;

	if (by == 0)
		return;
	x = nft_expr_add(r, "bitwise");
	nftnl_expr_set_u32(x, NFTNL_EXPR_BITWISE_SREG, NFT_REG_1);
	nftnl_expr_set_u32(x, NFTNL_EXPR_BITWISE_DREG, NFT_REG_1);
	nftnl_expr_set_u32(x, NFTNL_EXPR_BITWISE_LEN, sizeof(amount));
	nftnl_expr_set_u32(x, NFTNL_EXPR_BITWISE_OP,
			   by < 0 ? NFT_BITWISE_LSHIFT : NFT_BITWISE_RSHIFT);
	nftnl_expr_set(x, NFTNL_EXPR_BITWISE_DATA, &amount, sizeof(amount));
}

void nft_expr_meta_store(struct nftnl_rule *r, uint32_t key)
{
	struct nftnl_expr *x = nft_expr_add(r, "meta");

	nftnl_expr_set_u32(x, NFTNL_EXPR_META_KEY, key);
	nftnl_expr_set_u32(x, NFTNL_EXPR_META_SREG, NFT_REG_1);
}

void nft_expr_payload(struct nftnl_rule *r, uint32_t base, uint32_t offset, uint32_t len,
		      uint32_t dreg)
{
	struct nftnl_expr *x = nft_expr_add(r, "payload");

	nftnl_expr_set_u32(x, NFTNL_EXPR_PAYLOAD_DREG, dreg);
	nftnl_expr_set_u32(x, NFTNL_EXPR_PAYLOAD_BASE, base);
	nftnl_expr_set_u32(x, NFTNL_EXPR_PAYLOAD_OFFSET, offset);
	nftnl_expr_set_u32(x, NFTNL_EXPR_PAYLOAD_LEN, len);
}

struct nftnl_expr *nft_expr_lookup(struct nftnl_rule *r, enum nft_set_index set)
{
	struct nftnl_expr *x = nft_expr_add(r, "lookup");

	nftnl_expr_set_u32(x, NFTNL_EXPR_LOOKUP_SREG, NFT_REG_1);
	nftnl_expr_set_str(x, NFTNL_EXPR_LOOKUP_SET, nft_set_name(set));
	nftnl_expr_set_u32(x, NFTNL_EXPR_LOOKUP_FLAGS, 0);
	return x;
}

void nft_expr_verdict(struct nftnl_rule *r, int code, const char *chain)
{
	struct nftnl_expr *x = nft_expr_add(r, "immediate");

	nftnl_expr_set_u32(x, NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT);
	nftnl_expr_set_u32(x, NFTNL_EXPR_IMM_VERDICT, (uint32_t)code);
	if (chain)
		nftnl_expr_set_str(x, NFTNL_EXPR_IMM_CHAIN, chain);
}

void nft_expr_match_family(struct nftnl_rule *r, uint8_t nfproto)
{
	nft_expr_meta_load(r, NFT_META_NFPROTO);
	nft_expr_cmp_u8(r, nfproto);
}

/* Sets come in pairs, IPv4 first. */
bool nft_expr_set_is_v4(uint32_t set)
{
	return set % 2 == 0;
}

void nft_expr_load_addr(struct nftnl_rule *r, bool v4, bool source, uint32_t dreg)
{
	uint32_t offset = v4 ? (source ? 12 : 16) : (source ? 8 : 24);

	nft_expr_payload(r, NFT_PAYLOAD_NETWORK_HEADER, offset, v4 ? 4 : 16, dreg);
}

void nft_expr_snat(struct nftnl_rule *r, bool v4)
{
	struct nftnl_expr *x = nft_expr_add(r, "nat");

	nftnl_expr_set_u32(x, NFTNL_EXPR_NAT_TYPE, NFT_NAT_SNAT);
	nftnl_expr_set_u32(x, NFTNL_EXPR_NAT_FAMILY, v4 ? NFPROTO_IPV4 : NFPROTO_IPV6);
	nftnl_expr_set_u32(x, NFTNL_EXPR_NAT_REG_ADDR_MIN, NFT_REG_1);
	nftnl_expr_set_u32(x, NFTNL_EXPR_NAT_REG_ADDR_MAX, NFT_REG_1);
	nftnl_expr_set_u32(x, NFTNL_EXPR_NAT_FLAGS, NF_NAT_RANGE_MAP_IPS);
}
