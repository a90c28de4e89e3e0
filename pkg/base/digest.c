/* SPDX-License-Identifier: Apache-2.0 */
#include "base/digest.h"

#include <endian.h>
#include <stdbool.h>
#include <string.h>

#define ROUNDS 12

static const uint64_t iv[8] = {
	0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
	0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179,
};

/* Which words of the block each round takes (2.7). */
static const uint8_t order[10][16] = {
	{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
	{14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
	{11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4},
	{7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
	{9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13},
	{2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
	{12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11},
	{13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
	{6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5},
	{10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0},
};

static uint64_t right(uint64_t v, int by)
{
	return v >> by | v << (64 - by);
}

/* The function G (3.1). Always inline: with places that are known, v stays in registers. */
static inline __attribute__((always_inline)) void mix(uint64_t *v, const uint8_t places[4],
						      uint64_t x, uint64_t y)
{
	uint64_t *a = v + places[0], *b = v + places[1], *c = v + places[2], *d = v + places[3];

	*a += *b + x;
	*d = right(*d ^ *a, 32);
	*c += *d;
	*b = right(*b ^ *c, 24);
	*a += *b + y;
	*d = right(*d ^ *a, 16);
	*c += *d;
	*b = right(*b ^ *c, 63);
}

/* The columns, then the diagonals. */
static const uint8_t lanes[8][4] = {
	{0, 4, 8, 12},	{1, 5, 9, 13},	{2, 6, 10, 14}, {3, 7, 11, 15},
	{0, 5, 10, 15}, {1, 6, 11, 12}, {2, 7, 8, 13},	{3, 4, 9, 14},
};

/* The function F (3.2). */
static void compress(struct digest *d, bool last)
{
	uint64_t v[16], m[16];

	memcpy(v, d->h, sizeof(d->h));
	memcpy(v + 8, iv, sizeof(iv));
	memcpy(m, d->block, sizeof(m));
	for (int i = 0; i < 16; i++)
		m[i] = le64toh(m[i]);
	v[12] ^= d->total + d->n;
	v[14] ^= last ? UINT64_MAX : 0;
	for (int r = 0; r < ROUNDS; r++) {
		const uint8_t *o = order[r % 10];

#pragma GCC unroll 8
		for (int i = 0; i < 8; i++)
			mix(v, lanes[i], m[o[2 * i]], m[o[2 * i + 1]]);
	}
	for (int i = 0; i < 8; i++)
		d->h[i] ^= v[i] ^ v[i + 8];
	d->total += d->n;
	d->n = 0;
}

void digest_begin(struct digest *d)
{
	*d = (struct digest){0};
	memcpy(d->h, iv, sizeof(iv));
	d->h[0] ^= 0x01010000 | sizeof(uint64_t); /* no key, so many bytes out (2.5) */
}

/* The last block is full, too, until something comes behind it. */
void digest_add(struct digest *d, const void *p, size_t len)
{
	const uint8_t *at = p;

	while (len) {
		size_t n = sizeof(d->block) - d->n;

		if (n == 0) {
			compress(d, false);
			continue;
		}
		n = n < len ? n : len;
		memcpy(d->block + d->n, at, n);
		d->n += n;
		at += n;
		len -= n;
	}
}

void digest_u64(struct digest *d, uint64_t v)
{
	v = htole64(v);
	digest_add(d, &v, sizeof(v));
}

void digest_str(struct digest *d, const char *s)
{
	size_t n = s ? strlen(s) : 0;

	digest_u64(d, s ? n : UINT64_MAX);
	digest_add(d, s, n);
}

uint64_t digest_end(struct digest *d)
{
	memset(d->block + d->n, 0, sizeof(d->block) - d->n);
	compress(d, true);
	return d->h[0];
}

uint64_t digest_of(const void *p, size_t len, uint64_t before)
{
	struct digest d;

	digest_begin(&d);
	digest_u64(&d, before);
	digest_add(&d, p, len);
	return digest_end(&d);
}
