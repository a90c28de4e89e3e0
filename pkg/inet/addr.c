/* SPDX-License-Identifier: Apache-2.0 */
#include "inet/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

static const uint8_t v4_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

struct addr addr_from_v4(const void *four_bytes)
{
	struct addr a;

	memcpy(a.b, v4_prefix, 12);
	memcpy(a.b + 12, four_bytes, 4);
	return a;
}

struct addr addr_from_v6(const void *sixteen_bytes)
{
	struct addr a;

	memcpy(a.b, sixteen_bytes, 16);
	return a;
}

int addr_parse(const char *s, struct addr *ret)
{
	struct addr a;
	uint8_t v4[4];

	if (!s)
		return -EINVAL;
	if (inet_pton(AF_INET, s, v4) == 1) {
		*ret = addr_from_v4(v4);
		return 0;
	}
	if (inet_pton(AF_INET6, s, a.b) != 1 || addr_is_v4(a))
		return -EINVAL;
	*ret = a;
	return 0;
}

const char *addr_emit(struct addr a, char buf[ADDR_STRLEN])
{
	if (!inet_ntop(addr_family(a), addr_bytes(&a), buf, ADDR_STRLEN))
		buf[0] = 0;
	return buf;
}

const char *addr_str(struct addr a)
{
	static char ring[8][ADDR_STRLEN];
	static unsigned int next;

	return addr_emit(a, ring[next++ % 8]);
}

bool addr_is_v4(struct addr a)
{
	return !memcmp(a.b, v4_prefix, 12);
}

int addr_family(struct addr a)
{
	return addr_is_v4(a) ? AF_INET : AF_INET6;
}

size_t addr_len(struct addr a)
{
	return addr_is_v4(a) ? 4 : 16;
}

const void *addr_bytes(const struct addr *a)
{
	return addr_is_v4(*a) ? a->b + 12 : a->b;
}

int addr_cmp(struct addr a, struct addr b)
{
	return memcmp(a.b, b.b, 16);
}

int addr_order(const void *a, const void *b)
{
	return addr_cmp(*(const struct addr *)a, *(const struct addr *)b);
}

bool addr_eq(struct addr a, struct addr b)
{
	return !memcmp(a.b, b.b, 16);
}

bool addr_is_zero(struct addr a)
{
	static const struct addr zero;

	return addr_eq(a, zero);
}

struct addr addr_next(struct addr a)
{
	for (int i = 15; i >= 0; i--) {
		if (++a.b[i])
			break;
	}
	return a;
}

bool addr_is_link_local(struct addr a)
{
	if (addr_is_v4(a))
		return a.b[12] == 169 && a.b[13] == 254;
	return a.b[0] == 0xfe && (a.b[1] & 0xc0) == 0x80;
}

bool addr_is_loopback(struct addr a)
{
	static const struct addr one = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};

	return addr_is_v4(a) ? a.b[12] == 127 : addr_eq(a, one);
}

bool addr_is_multicast(struct addr a)
{
	static const uint8_t broadcast[4] = {255, 255, 255, 255};

	if (addr_is_v4(a))
		return (a.b[12] & 0xf0) == 0xe0 || !memcmp(a.b + 12, broadcast, 4);
	return a.b[0] == 0xff;
}

bool addr_is_unspecified(struct addr a)
{
	static const uint8_t zero[4];

	return addr_is_v4(a) ? !memcmp(a.b + 12, zero, 4) : addr_is_zero(a);
}
