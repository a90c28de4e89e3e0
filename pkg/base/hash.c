/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hash.h"

#include <string.h>
#include <sys/uio.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t hash_bytes(const void *p, size_t len, uint64_t seed)
{
	return XXH64(p, len, seed);
}

uint64_t hash_pieces(const struct iovec *list, size_t n, uint64_t seed)
{
	XXH64_state_t s;

	XXH64_reset(&s, seed);
	for (size_t i = 0; i < n; i++)
		XXH64_update(&s, list[i].iov_base, list[i].iov_len);
	return XXH64_digest(&s);
}

uint64_t hash_str(const char *s, uint64_t seed)
{
	return s ? XXH64(s, strlen(s), seed) : XXH64("", 0, seed);
}
