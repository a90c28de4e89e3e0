/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Most bytes of an API's answer are plain text within strings: sixteen or eight of them at a time.
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
 * A bit for each byte that is not ASCII of a string that stands for itself: a control, a quote, a
 * backslash, or above 0x7f. Bytes behind the first such may be wrong.
 */
static inline uint64_t scan_special(uint64_t v)
{
	uint64_t quote = v ^ SCAN_EACH('"'), backslash = v ^ SCAN_EACH('\\');

	return (v | (v - SCAN_EACH(0x20)) | (quote - SCAN_EACH(1)) | (backslash - SCAN_EACH(1))) &
	       SCAN_EACH(0x80);
}

/* Where in memory the first of them is. */
static inline size_t scan_first(uint64_t special)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return (size_t)__builtin_ctzll(special) / 8;
#else
	return 0; /* it is one of the eight */
#endif
}

/* To the first of them, or up to where a step would not fit: what is there is to be looked at. */
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
