/* SPDX-License-Identifier: Apache-2.0 */
#include "inet/cidr.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct addr mask_addr(struct addr a, uint8_t len)
{
	for (int i = 0; i < 16; i++) {
		int bits = len - i * 8;

		if (bits <= 0)
			a.b[i] = 0;
		else if (bits < 8)
			a.b[i] &= (uint8_t)(0xff << (8 - bits));
	}
	return a;
}

/* "0".."128" without sign, blank or leading zero; -1 otherwise. */
static int parse_len(const char *s)
{
	int v = 0;

	if (!*s || strlen(s) > 3 || (*s == '0' && s[1]))
		return -1;
	for (; *s; s++) {
		if (*s < '0' || *s > '9')
			return -1;
		v = v * 10 + (*s - '0');
	}
	return v;
}

int cidr_parse(const char *s, struct cidr *ret)
{
	const char *slash = s ? strchr(s, '/') : NULL;
	char text[ADDR_STRLEN];
	struct addr a;
	int len;

	if (!slash)
		return s && !addr_parse(s, &a) ? CIDR_BAD_LEN : CIDR_BAD_ADDR;
	if ((size_t)(slash - s) >= sizeof(text))
		return CIDR_BAD_ADDR;
	memcpy(text, s, (size_t)(slash - s));
	text[slash - s] = 0;
	if (addr_parse(text, &a) < 0)
		return CIDR_BAD_ADDR;
	len = parse_len(slash + 1);
	if (len < 0 || len > (addr_is_v4(a) ? 32 : 128))
		return CIDR_BAD_LEN;
	if (addr_is_v4(a))
		len += 96;
	if (!addr_eq(mask_addr(a, (uint8_t)len), a))
		return CIDR_HOST_BITS;
	ret->addr = a;
	ret->len = (uint8_t)len;
	return 0;
}

const char *cidr_parse_reason(int result)
{
	switch (result) {
	case CIDR_BAD_ADDR:
		return "not an IPv4 or IPv6 prefix";
	case CIDR_BAD_LEN:
		return "prefix length missing or too long for the family (one address is /32, of "
		       "IPv6 "
		       "/128)";
	case CIDR_HOST_BITS:
		return "host bits set right of the prefix length";
	default:
		return "ok";
	}
}

const char *cidr_str(struct cidr c)
{
	static char ring[8][CIDR_STRLEN];
	static unsigned int next;
	char *text = ring[next++ % 8], addr[ADDR_STRLEN];

	snprintf(text, CIDR_STRLEN, "%s/%u", addr_emit(c.addr, addr), cidr_family_len(c));
	return text;
}

struct cidr cidr_make(struct addr a, uint8_t len)
{
	struct cidr c = {.addr = mask_addr(a, len), .len = len};

	return c;
}

struct cidr cidr_host(struct addr a)
{
	return cidr_make(a, 128);
}

struct cidr cidr_all(bool v4)
{
	static const uint8_t zero[16];

	return v4 ? cidr_make(addr_from_v4(zero), 96) : cidr_make(addr_from_v6(zero), 0);
}

bool cidr_is_v4(struct cidr c)
{
	return c.len >= 96 && addr_is_v4(c.addr);
}

uint8_t cidr_family_len(struct cidr c)
{
	return cidr_is_v4(c) ? (uint8_t)(c.len - 96) : c.len;
}

bool cidr_contains_addr(struct cidr c, struct addr a)
{
	if (cidr_is_v4(c) != addr_is_v4(a))
		return false;
	return addr_eq(mask_addr(a, c.len), c.addr);
}

bool cidr_contains(struct cidr outer, struct cidr inner)
{
	return outer.len <= inner.len && cidr_is_v4(outer) == cidr_is_v4(inner) &&
	       cidr_contains_addr(outer, inner.addr);
}

int cidr_cmp(struct cidr a, struct cidr b)
{
	int r = addr_cmp(a.addr, b.addr);

	return r ? r : (int)a.len - (int)b.len;
}

/* The last of v[0..n) that is not behind c; n when all are. */
static size_t last_not_behind(const struct cidr *v, size_t n, struct cidr c)
{
	size_t lo = 0, hi = n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (cidr_cmp(v[mid], c) <= 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo ? lo - 1 : n;
}

size_t cidrs_outermost(struct cidr *v, size_t n)
{
	size_t kept = 0, parent[2] = {SIZE_MAX, SIZE_MAX};

	/* within a family a parent stands before its children, and nothing else between them */
	for (size_t i = 0; i < n; i++) {
		size_t *last = &parent[cidr_is_v4(v[i])];

		if (*last != SIZE_MAX && cidr_contains(v[*last], v[i]))
			continue;
		*last = kept;
		v[kept++] = v[i];
	}
	return kept;
}

bool cidrs_cover(const struct cidr *v, size_t n, struct cidr c)
{
	size_t i = last_not_behind(v, n, c);

	/* IPv4 lies within IPv6's order: what holds a prefix behind it may begin before it */
	if (i < n && !cidr_is_v4(c) && cidr_is_v4(v[i]))
		i = last_not_behind(v, n, cidr_make(cidr_all(true).addr, 95));
	return i < n && cidr_contains(v[i], c);
}

bool cidrs_hold(const struct cidr *v, size_t n, struct addr a)
{
	return cidrs_cover(v, n, cidr_host(a));
}

struct addr cidr_last(struct cidr c)
{
	struct addr a = c.addr;

	for (int i = 0; i < 16; i++) {
		int bits = c.len - i * 8;

		if (bits <= 0)
			a.b[i] = 0xff;
		else if (bits < 8)
			a.b[i] |= (uint8_t)(0xff >> bits);
	}
	return a;
}

static int range_parse_pair(const char *s, const char *dash, struct addr_range *ret,
			    const char **ret_reason)
{
	char first[ADDR_STRLEN];
	struct addr_range r;

	*ret_reason = "not an address range: expected FIRST-LAST";
	if ((size_t)(dash - s) >= sizeof(first))
		return -EINVAL;
	memcpy(first, s, (size_t)(dash - s));
	first[dash - s] = 0;
	if (addr_parse(first, &r.first) < 0 || addr_parse(dash + 1, &r.last) < 0)
		return -EINVAL;
	*ret_reason = "range mixes IPv4 and IPv6";
	if (addr_is_v4(r.first) != addr_is_v4(r.last))
		return -EINVAL;
	*ret_reason = "range ends before it begins";
	if (addr_cmp(r.first, r.last) > 0)
		return -EINVAL;
	*ret = r;
	return 0;
}

int addr_range_parse(const char *s, struct addr_range *ret, const char **ret_reason)
{
	const char *dash = strchr(s, '-');
	struct cidr c;
	int r;

	if (dash)
		return range_parse_pair(s, dash, ret, ret_reason);
	if (!strchr(s, '/')) {
		*ret_reason = "not an address, a range FIRST-LAST or a CIDR";
		if (addr_parse(s, &ret->first) < 0)
			return -EINVAL;
		ret->last = ret->first;
		return 0;
	}
	r = cidr_parse(s, &c);
	*ret_reason = cidr_parse_reason(r);
	if (r)
		return -EINVAL;
	ret->first = c.addr;
	ret->last = cidr_last(c);
	return 0;
}

static uint64_t addr_half(struct addr a, int half)
{
	uint64_t v = 0;

	for (int i = 0; i < 8; i++)
		v = v << 8 | a.b[half * 8 + i];
	return v;
}

uint64_t addr_range_count(struct addr_range r)
{
	uint64_t lo = addr_half(r.last, 1) - addr_half(r.first, 1);
	uint64_t hi = addr_half(r.last, 0) - addr_half(r.first, 0);

	if (addr_half(r.last, 1) < addr_half(r.first, 1))
		hi--;
	return hi || lo == UINT64_MAX ? UINT64_MAX : lo + 1;
}

struct addr addr_range_at(struct addr_range r, uint64_t index)
{
	unsigned int carry = 0;

	for (int i = 15; i >= 0; i--) {
		unsigned int sum = r.first.b[i] + (unsigned int)(index & 0xff) + carry;

		r.first.b[i] = (uint8_t)sum;
		carry = sum >> 8;
		index >>= 8;
	}
	return r.first;
}

bool addr_range_contains(struct addr_range r, struct addr a)
{
	return addr_is_v4(r.first) == addr_is_v4(a) && addr_cmp(r.first, a) <= 0 &&
	       addr_cmp(a, r.last) <= 0;
}

bool addr_range_overlaps(struct addr_range a, struct addr_range b)
{
	return addr_is_v4(a.first) == addr_is_v4(b.first) && addr_cmp(a.first, b.last) <= 0 &&
	       addr_cmp(b.first, a.last) <= 0;
}
