/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * BLAKE2b (RFC 7693) with 8 bytes of output, for texts of several parties, none of whom may be
 * able to write one whose digest equals that of another's. What only has to be found again uses
 * hash.h: its XXH64 can be run backwards, so whoever chooses eight bytes of a text can give it any
 * value.
 */
#include <stddef.h>
#include <stdint.h>

struct digest {
	uint64_t h[8], total; /* bytes that went in before block */
	uint8_t block[128];
	size_t n; /* bytes in block */
};

/* begin, then any number of add, then end, which returns the value. No memory is held. */
void digest_begin(struct digest *d);
void digest_add(struct digest *d, const void *p, size_t len);
void digest_u64(struct digest *d, uint64_t v);
void digest_str(struct digest *d, const char *s); /* with its length; NULL differs from "" */
uint64_t digest_end(struct digest *d);

/* In one call: of the number before, then of p[0..len). */
uint64_t digest_of(const void *p, size_t len, uint64_t before);
