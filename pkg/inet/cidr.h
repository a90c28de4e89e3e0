/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Prefixes and inclusive ranges of addresses. A prefix length counts in the
 * 128-bit form: an IPv4 /n is stored as 96 + n.
 */
#include "inet/addr.h"

struct cidr {
	struct addr addr; /* host bits zero */
	uint8_t len;	  /* 0..128 */
};

struct addr_range {
	struct addr first, last; /* same family, first <= last */
};

#define CIDR_STRLEN (ADDR_STRLEN + 4)

enum cidr_parse_result {
	CIDR_BAD_ADDR = 1, /* not an address */
	CIDR_BAD_LEN,	   /* length missing, not a number, or too long for the family */
	CIDR_HOST_BITS,	   /* bits set right of the prefix */
};

/* "10.0.0.0/8". 0 or a positive enum cidr_parse_result. */
int cidr_parse(const char *s, struct cidr *ret);
const char *cidr_parse_reason(int result);	   /* "host bits set", … */
const char *cidr_str(struct cidr c);		   /* static ring of 8 */
struct cidr cidr_make(struct addr a, uint8_t len); /* len in 128-bit form; host bits are cleared */
struct cidr cidr_host(struct addr a);		   /* /32 or /128 */
struct cidr cidr_all(bool v4);			   /* 0.0.0.0/0 or ::/0 (the latter as len 0) */
bool cidr_is_v4(struct cidr c);
uint8_t cidr_family_len(struct cidr c);			  /* as people write it: 8 for 10.0.0.0/8 */
bool cidr_contains(struct cidr outer, struct cidr inner); /* ::/0 does not contain IPv4 prefixes */
bool cidr_contains_addr(struct cidr c, struct addr a);
/* For sorting: by address, then the shorter one first, so that parents come before children. */
int cidr_cmp(struct cidr a, struct cidr b);
/*
 * Leaves out of v, which is sorted by cidr_cmp, what lies within another of it. Returns how many
 * are left, in front; they are what the next two want.
 */
size_t cidrs_outermost(struct cidr *v, size_t n);
/*
 * Whether one of v holds all of c, or a. v is sorted by cidr_cmp, and none of a family lies within
 * another. At the cost of two binary searches.
 */
bool cidrs_cover(const struct cidr *v, size_t n, struct cidr c);
bool cidrs_hold(const struct cidr *v, size_t n, struct addr a);
struct addr cidr_last(struct cidr c); /* its highest address */

/* "203.0.113.10", "203.0.113.16-203.0.113.31" or a CIDR. 0 or -EINVAL with *ret_reason a static
 * text. */
int addr_range_parse(const char *s, struct addr_range *ret, const char **ret_reason);
uint64_t addr_range_count(struct addr_range r);			/* saturates at UINT64_MAX */
struct addr addr_range_at(struct addr_range r, uint64_t index); /* index < addr_range_count */
bool addr_range_contains(struct addr_range r, struct addr a);
bool addr_range_overlaps(struct addr_range a, struct addr_range b);
