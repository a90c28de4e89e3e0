/* SPDX-License-Identifier: Apache-2.0 */
#include "testkit/dns_message.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#define HEAD 12

static void put8(struct dns_message *m, uint8_t v)
{
	assert_true(m->n < sizeof(m->b));
	m->b[m->n++] = v;
}

static void put16(struct dns_message *m, uint16_t v)
{
	put8(m, v >> 8);
	put8(m, v & 0xff);
}

static void put32(struct dns_message *m, uint32_t v)
{
	put16(m, v >> 16);
	put16(m, v & 0xffff);
}

void dns_name(struct dns_message *m, const char *name)
{
	size_t length_at;

	while (*name) {
		length_at = m->n;
		put8(m, 0);
		for (; *name && *name != '.'; name++) {
			if (*name == '\\')
				name++;
			put8(m, (uint8_t)*name);
			m->b[length_at]++;
		}
		if (*name)
			name++;
	}
	put8(m, 0);
}

void dns_pointer(struct dns_message *m, size_t to)
{
	put16(m, 0xc000 | (uint16_t)to);
}

void dns_answer(struct dns_message *m, const char *name)
{
	*m = (struct dns_message){.n = 0};
	put16(m, 0x1234);
	put16(m, 0x8180); /* a response, recursion desired and available */
	put16(m, 1);
	for (int i = 0; i < 3; i++)
		put16(m, 0);
	m->question = m->n;
	dns_name(m, name);
	put16(m, DNS_TYPE_A);
	put16(m, 1);
}

size_t dns_record(struct dns_message *m, uint16_t type, uint32_t ttl, const void *data, size_t len)
{
	size_t at;
	uint16_t n = (uint16_t)(m->b[6] << 8 | m->b[7]);

	put16(m, type);
	put16(m, 1);
	put32(m, ttl);
	put16(m, (uint16_t)len);
	at = m->n;
	for (size_t i = 0; i < len; i++)
		put8(m, ((const uint8_t *)data)[i]);
	n++;
	m->b[6] = n >> 8;
	m->b[7] = n & 0xff;
	return at;
}

static void put_owner(struct dns_message *m, const char *owner)
{
	if (owner)
		dns_name(m, owner);
	else
		dns_pointer(m, m->question);
}

size_t dns_cname(struct dns_message *m, const char *owner, const char *target, uint32_t ttl)
{
	size_t at;

	put_owner(m, owner);
	at = dns_record(m, DNS_TYPE_CNAME, ttl, NULL, 0);
	dns_name(m, target);
	m->b[at - 2] = (uint8_t)((m->n - at) >> 8);
	m->b[at - 1] = (uint8_t)(m->n - at);
	return at;
}

void dns_addr(struct dns_message *m, const char *owner, const char *addr, uint32_t ttl)
{
	uint8_t a[16];
	bool v4 = inet_pton(AF_INET, addr, a) == 1;

	if (!v4 && inet_pton(AF_INET6, addr, a) != 1)
		fail_msg("%s is no address", addr);
	put_owner(m, owner);
	dns_record(m, v4 ? DNS_TYPE_A : DNS_TYPE_AAAA, ttl, a, v4 ? 4 : 16);
}

/* ---- the reference ---- */

struct name {
	struct label {
		size_t n;
		uint8_t c[63];
	} labels[128];
	size_t n, next;
	size_t chars; /* as text */
};

struct reader {
	const uint8_t *b;
	size_t len;
};

static bool name_read(const struct reader *r, size_t at, struct name *ret)
{
	size_t start = at;
	int jumps = 0;

	memset(ret, 0, sizeof(*ret));
	for (;;) {
		uint8_t c;

		if (at >= r->len)
			return false;
		c = r->b[at];
		if (c == 0) {
			ret->next = jumps ? ret->next : at + 1;
			return true;
		}
		if ((c & 0xc0) == 0xc0) {
			size_t to;

			if (at + 2 > r->len || jumps == 16)
				return false;
			to = (size_t)(c & 0x3f) << 8 | r->b[at + 1];
			if (to >= start) /* only to what stands before */
				return false;
			ret->next = jumps++ ? ret->next : at + 2;
			at = start = to;
			continue;
		}
		if (c > 63 || at + 1 + c > r->len)
			return false;
		ret->chars += c + (ret->n ? 1u : 0);
		if (ret->chars > 253 || ret->n == 128)
			return false;
		for (size_t i = 0; i < c; i++)
			ret->labels[ret->n].c[i] = (uint8_t)tolower(r->b[at + 1 + i]);
		ret->labels[ret->n++].n = c;
		at += 1u + c;
	}
}

/* False: a label has what no pattern has, and what text could not tell from the end of one. */
static bool name_text(const struct name *n, char ret[256])
{
	size_t at = 0;
	bool plain = true;

	for (size_t i = 0; i < n->n; i++) {
		if (i)
			ret[at++] = '.';
		for (size_t k = 0; k < n->labels[i].n; k++) {
			plain = plain && n->labels[i].c[k] && n->labels[i].c[k] != '.';
			ret[at++] = (char)n->labels[i].c[k];
		}
	}
	ret[at] = '\0';
	return plain;
}

static bool name_same(const struct name *a, const struct name *b)
{
	char text_a[256], text_b[256];

	return name_text(a, text_a) && name_text(b, text_b) && strcmp(text_a, text_b) == 0;
}

static uint32_t get16(const struct reader *r, size_t at)
{
	return (uint32_t)(r->b[at] << 8 | r->b[at + 1]);
}

static void address_add(struct dns_read *ret, const uint8_t *data, bool v4, uint32_t ttl)
{
	static const uint8_t mapped[12] = {[10] = 0xff, 0xff};
	uint8_t a[16] = {[10] = 0xff, 0xff};

	memcpy(v4 ? a + 12 : a, data, v4 ? 4 : 16);
	assert_true(ret->n_addrs < DNS_READ_ADDRS);
	memcpy(&ret->addrs[ret->n_addrs].addr, a, sizeof(a));
	ret->addrs[ret->n_addrs].v4_in_v6 = !v4 && memcmp(data, mapped, sizeof(mapped)) == 0;
	ret->addrs[ret->n_addrs++].ttl = ttl;
}

void dns_read(const uint8_t *b, size_t len, struct dns_read *ret)
{
	struct reader r = {b, len};
	struct name chain, owner, target;
	uint32_t chain_ttl = 604800;
	size_t at, chain_at = HEAD, records;

	memset(ret, 0, sizeof(*ret));
	ret->malformed = true;
	if (len < HEAD)
		return;
	/* a response, to a query, without error, not truncated */
	if (!(b[2] & 0x80) || b[2] & 0x78 || b[3] & 0x0f || b[2] & 0x02) {
		ret->malformed = false;
		return;
	}
	records = get16(&r, 6) < 256 ? get16(&r, 6) : 256;
	if (get16(&r, 4) != 1 || !name_read(&r, HEAD, &chain) || chain.next + 4 > len)
		return;
	at = chain.next + 4;
	if (get16(&r, at - 2) != 1) {
		ret->malformed = false;
		return;
	}
	ret->answered = true;
	if (!name_text(&chain, ret->asked))
		ret->asked[0] = '\0';
	for (size_t i = 0; i < records; i++) {
		uint32_t type, ttl, n;
		bool pointer, ours;

		if (!name_read(&r, at, &owner))
			return;
		pointer = b[at] >= 0xc0 && (get16(&r, at) & 0x3fff) == chain_at;
		at = owner.next;
		if (at + 10 > len)
			return;
		type = get16(&r, at);
		ours = get16(&r, at + 2) == 1 && (pointer || name_same(&owner, &chain));
		ttl = get16(&r, at + 4) << 16 | get16(&r, at + 6);
		ttl = ttl & 0x80000000u ? 0 : ttl;
		ttl = ttl < chain_ttl ? ttl : chain_ttl;
		n = get16(&r, at + 8);
		at += 10;
		if (at + n > len)
			return;
		if (ours && type == DNS_TYPE_CNAME) {
			if (!name_read(&r, at, &target) || target.next != at + n)
				return;
			chain = target;
			chain_at = at;
			chain_ttl = ttl;
		} else if (ours && (type == DNS_TYPE_A || type == DNS_TYPE_AAAA)) {
			if (n != (type == DNS_TYPE_A ? 4 : 16))
				return;
			address_add(ret, b + at, type == DNS_TYPE_A, ttl);
		}
		at += n;
	}
	ret->malformed = false;
}

bool dns_pattern_fits(const char *pattern, const char *name)
{
	size_t n = strlen(name), p = strlen(pattern);

	if (!n)
		return false;
	if (strncmp(pattern, "*.", 2) != 0)
		return strcmp(pattern, name) == 0;
	/* "x" and what stands behind the star, its dot included */
	return n > p - 1 && strcmp(name + n - (p - 1), pattern + 1) == 0;
}
