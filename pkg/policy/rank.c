/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/rank.h"

#include <stdint.h>
#include <string.h>

#include "base/hash.h"

static uint64_t rank_score(struct addr addr, const char *name)
{
	return hash_str(name, hash_bytes(addr.b, sizeof(addr.b), 0));
}

long rank_owner(struct addr addr, const char *const *names, size_t n)
{
	long best = -1;
	uint64_t best_score = 0;

	for (size_t i = 0; i < n; i++) {
		uint64_t score = rank_score(addr, names[i]);

		/* equal scores (never seen, but defined): the smaller name */
		if (best < 0 || score > best_score ||
		    (score == best_score && strcmp(names[i], names[best]) < 0)) {
			best = (long)i;
			best_score = score;
		}
	}
	return best;
}
