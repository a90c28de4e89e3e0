/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One address type for both families: 16 bytes in network order, an IPv4 address
 * as ::ffff:a.b.c.d (RFC 4291 2.5.5.2). Everything above, up to the BPF maps,
 * handles IPv4 and IPv6 by this one representation. Passed by value.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct addr {
	uint8_t b[16];
};

#define ADDR_STRLEN 46 /* INET6_ADDRSTRLEN */

struct addr addr_from_v4(const void *four_bytes);
struct addr addr_from_v6(const void *sixteen_bytes);
/* Exactly one address, no prefix, no zone, no blanks; 0 or -EINVAL. An IPv4-mapped text is refused.
 */
int addr_parse(const char *s, struct addr *ret);
/* Writes "10.0.0.1" or "2001:db8::1"; returns buf. */
const char *addr_emit(struct addr a, char buf[ADDR_STRLEN]);
/* The same into one of 8 static buffers: for messages and logs. */
const char *addr_str(struct addr a);

bool addr_is_v4(struct addr a);
int addr_family(struct addr a);		      /* AF_INET or AF_INET6 */
size_t addr_len(struct addr a);		      /* 4 or 16 */
const void *addr_bytes(const struct addr *a); /* the 4 or 16 bytes in network order, borrowed */
int addr_cmp(struct addr a, struct addr b);   /* byte order: all IPv4 are together */
int addr_order(const void *a, const void *b); /* the same of struct addr, for qsort and bsearch */
bool addr_eq(struct addr a, struct addr b);
bool addr_is_zero(struct addr a);     /* :: (the "none" value); 0.0.0.0 is not zero */
struct addr addr_next(struct addr a); /* + 1, wraps */
bool addr_is_link_local(struct addr a);
bool addr_is_loopback(struct addr a);
bool addr_is_multicast(struct addr a);	 /* true for 255.255.255.255, too */
bool addr_is_unspecified(struct addr a); /* 0.0.0.0 or :: */
