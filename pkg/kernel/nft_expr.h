/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * nftables expressions, each appended to a rule. What is loaded goes to NFT_REG_1
 * unless a register is named; what compares or looks up reads it there.
 */
#include "kernel/nft_priv.h"

#include <libnftnl/expr.h>

struct nftnl_expr *nft_expr_add(struct nftnl_rule *r, const char *name);
void nft_expr_meta_load(struct nftnl_rule *r, uint32_t key);
void nft_expr_ct_load(struct nftnl_rule *r, uint32_t key);
void nft_expr_cmp(struct nftnl_rule *r, uint32_t op, const void *data, uint32_t len);
void nft_expr_cmp_u32(struct nftnl_rule *r, uint32_t op, uint32_t value);
void nft_expr_cmp_u8(struct nftnl_rule *r, uint8_t value);
void nft_expr_bits(struct nftnl_rule *r, uint32_t mask, uint32_t xor);
void nft_expr_bits_to(struct nftnl_rule *r, uint32_t mask, uint32_t dreg);
void nft_expr_shift_right(struct nftnl_rule *r, int by);
void nft_expr_meta_store(struct nftnl_rule *r, uint32_t key);
void nft_expr_payload(struct nftnl_rule *r, uint32_t base, uint32_t offset, uint32_t len,
		      uint32_t dreg);
struct nftnl_expr *nft_expr_lookup(struct nftnl_rule *r, enum nft_set_index set);
void nft_expr_verdict(struct nftnl_rule *r, int code, const char *chain);
void nft_expr_match_family(struct nftnl_rule *r, uint8_t nfproto);
bool nft_expr_set_is_v4(uint32_t set);
void nft_expr_load_addr(struct nftnl_rule *r, bool v4, bool source, uint32_t dreg);
void nft_expr_snat(struct nftnl_rule *r, bool v4);
