/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Most bytes of an API's answer are plain text within strings: eight of them at a time. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define SCAN_EACH(byte) (0x0101010101010101ull * (byte))

/* Whether each byte is ASCII of a string that stands for itself: no control, quote or backslash. */
static inline bool scan_is_plain(uint64_t v)
{
	uint64_t quote = v ^ SCAN_EACH('"'), backslash = v ^ SCAN_EACH('\\');

	return !((v | (v - SCAN_EACH(0x20)) | (quote - SCAN_EACH(1)) | (backslash - SCAN_EACH(1))) &
		 SCAN_EACH(0x80));
}

/* As far as that can be told in steps of eight. */
static inline const char *scan_plain(const char *p, const char *end)
{
	uint64_t v;

	for (; end - p >= (ptrdiff_t)sizeof(v); p += sizeof(v)) {
		memcpy(&v, p, sizeof(v));
		if (!scan_is_plain(v))
			break;
	}
	return p;
}
