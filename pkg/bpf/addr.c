/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses and prefixes as the maps hold them. */
#include <string.h>

#include "bpf/maps.h"

_Static_assert(sizeof(struct slu_addr) == sizeof(struct addr), "one representation");

struct slu_addr slu_addr_make(struct addr a)
{
	struct slu_addr s;

	memcpy(&s, &a, sizeof(s));
	return s;
}

struct addr slu_addr_get(struct slu_addr a)
{
	struct addr r;

	memcpy(&r, &a, sizeof(r));
	return r;
}

struct slu_lpm_key slu_lpm_key_make(struct cidr c)
{
	return (struct slu_lpm_key){.prefixlen = c.len, .addr = slu_addr_make(c.addr)};
}
