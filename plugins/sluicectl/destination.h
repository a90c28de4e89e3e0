/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* "198.51.100.7", "198.51.100.7:443", "198.51.100.7:53/UDP", "[2001:db8::1]:443/TCP", "::1/ICMPv6"
 */
#include <stdint.h>

#include "base/err.h"
#include "inet/addr.h"

struct destination {
	struct addr addr;
	uint32_t lo, hi; /* L4 keys that are asked for, inclusive */
};

int destination_parse(const char *text, struct destination *ret, struct err *e); /* 0 or -EINVAL */
/* "TCP/443", "TCP/80–443", "any"; static. */
const char *l4_text(uint32_t lo, uint32_t hi);
