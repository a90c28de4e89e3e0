/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What nftables says, attribute by attribute. libnftnl makes our messages; it does not read the
 * kernel's: 1.2.4 ends the process when an attribute has not the length it should have, writes
 * behind its tables when an element carries an attribute that it does not know, and takes the
 * name of a jump without a chain from what the stack holds.
 *
 * Here what is unknown is not read: a newer kernel says more than an older one. What is known and
 * has a wrong length makes the whole answer an error, EBADMSG. Strings are borrowed from the
 * message, NULL when they were not said.
 */
#include "kernel/nft_priv.h"

/* All return 0, or -1 with errno set. */

struct nft_table_said {
	const char *name;
	uint32_t flags;
};
int nft_table_parse(const struct nlmsghdr *h, struct nft_table_said *ret);

struct nft_chain_said {
	const char *table, *name;
	const char *type; /* of a base chain */
	bool hooked;
	uint32_t family, hook, policy;
	int32_t prio;
};
int nft_chain_parse(const struct nlmsghdr *h, struct nft_chain_said *ret);

struct nft_rule_said {
	const char *table, *chain;
	const struct nlattr *exprs; /* may be NULL */
};
int nft_rule_parse(const struct nlmsghdr *h, struct nft_rule_said *ret);
/*
 * A rule's expressions in one form, whoever wrote them: of each its name and the attributes that
 * say what it does, by their numbers. One that none of our rules has is a mark that equals nothing.
 */
int nft_entry_add_exprs(struct nft_entry *entry, const struct nlattr *exprs);

struct nft_set_said {
	const char *table, *name;
	uint32_t flags, key_len, data_type, obj_type, size;
	bool timeout, expr; /* has such a thing */
};
int nft_set_parse(const struct nlmsghdr *h, struct nft_set_said *ret);

/* The elements of an answer to GETSETELEM, behind what is in l. */
int nft_elems_parse(struct nft_elems *l, const struct nlmsghdr *h);

struct nft_obj_said {
	const char *table, *name;
	uint32_t type;
	struct nft_count count; /* of a counter */
};
int nft_obj_parse(const struct nlmsghdr *h, struct nft_obj_said *ret);
