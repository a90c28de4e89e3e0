/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Finds the end of plain text in a JSON string, sixteen or eight bytes at a time: most bytes of an
 * API's answer are such text.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define SCAN_EACH(byte) (0x0101010101010101ull * (byte))

/*
 * Sets the top bit of each byte of v that does not stand for itself in a string: a control
 * character, a quote, a backslash, or one above 0x7f. Behind the first of them, in the order of
 * memory, bits may be set that should not be.
 */
static inline uint64_t scan_special(uint64_t v)
{
	uint64_t quote = v ^ SCAN_EACH('"'), backslash = v ^ SCAN_EACH('\\');

	return (v | (v - SCAN_EACH(0x20)) | (quote - SCAN_EACH(1)) | (backslash - SCAN_EACH(1))) &
	       SCAN_EACH(0x80);
}

/* The index in memory of the first such byte. special is not 0. */
static inline size_t scan_first(uint64_t special)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return (size_t)__builtin_ctzll(special) / 8;
#else
	return 0; /* it is one of the eight */
#endif
}

/*
 * The place from p on up to which all is plain text: at most a few bytes before the next byte that
 * is not, or before end. The caller looks at those bytes one by one.
 */
static inline const char *scan_plain(const char *p, const char *end)
{
	uint64_t v;

#ifdef __SSE2__
	for (; end - p >= 16; p += 16) {
		__m128i b = _mm_loadu_si128((const __m128i *)(const void *)p);
		/* signed: what is above 0x7f is below 0x20, too */
		__m128i odd = _mm_or_si128(_mm_cmplt_epi8(b, _mm_set1_epi8(0x20)),
					   _mm_or_si128(_mm_cmpeq_epi8(b, _mm_set1_epi8('"')),
							_mm_cmpeq_epi8(b, _mm_set1_epi8('\\'))));
		int found = _mm_movemask_epi8(odd);

		if (found)
			return p + __builtin_ctz((unsigned int)found);
	}
#endif
	for (; end - p >= (ptrdiff_t)sizeof(v); p += sizeof(v)) {
		uint64_t special;

		memcpy(&v, p, sizeof(v));
		special = scan_special(v);
		if (special)
			return p + scan_first(special);
	}
	return p;
}
