/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Numbers things by their hash: entry i is the i-th that was added. The caller
 * keeps the things and compares them, since hashes may collide:
 *	for (i = hash_index_first(&ix, h); i != HASH_INDEX_END; i = hash_index_next(&ix, i))
 *		if (things[i] is it)
 *			return i;
 *	return hash_index_add(&ix, h);
 */
#include <stddef.h>
#include <stdint.h>

#define HASH_INDEX_END UINT32_MAX

struct hash_index {
	uint32_t *heads; /* by hash, cap of them */
	uint32_t *next;	 /* by entry */
	uint64_t *hashes;
	size_t n, cap;
};

uint32_t hash_index_first(const struct hash_index *ix, uint64_t hash);
uint32_t hash_index_next(const struct hash_index *ix, uint32_t entry);
uint32_t hash_index_add(struct hash_index *ix, uint64_t hash);
void hash_index_done(struct hash_index *ix); /* a zeroed one is empty and valid */
