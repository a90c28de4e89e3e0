/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hash.h"

#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t hash_bytes(const void *p, size_t len, uint64_t seed)
{
	return XXH64(p, len, seed);
}

uint64_t hash_str(const char *s, uint64_t seed)
{
	return s ? XXH64(s, strlen(s), seed) : XXH64("", 0, seed);
}
