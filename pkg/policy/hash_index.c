/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/hash_index.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static uint32_t match_from(const struct hash_index *ix, uint32_t entry, uint64_t hash)
{
	while (entry != HASH_INDEX_END && ix->hashes[entry] != hash)
		entry = ix->next[entry];
	return entry;
}

uint32_t hash_index_first(const struct hash_index *ix, uint64_t hash)
{
	return ix->cap ? match_from(ix, ix->heads[hash & (ix->cap - 1)], hash) : HASH_INDEX_END;
}

uint32_t hash_index_next(const struct hash_index *ix, uint32_t entry)
{
	return match_from(ix, ix->next[entry], ix->hashes[entry]);
}

static void rehash(struct hash_index *ix)
{
	ix->cap = ix->cap ? ix->cap * 2 : 16;
	ix->heads = mem_resize(ix->heads, ix->cap, sizeof(*ix->heads));
	ix->next = mem_resize(ix->next, ix->cap, sizeof(*ix->next));
	ix->hashes = mem_resize(ix->hashes, ix->cap, sizeof(*ix->hashes));
	memset(ix->heads, 0xff, ix->cap * sizeof(*ix->heads));
	for (uint32_t i = 0; i < ix->n; i++) {
		uint32_t *head = &ix->heads[ix->hashes[i] & (ix->cap - 1)];

		ix->next[i] = *head;
		*head = i;
	}
}

uint32_t hash_index_add(struct hash_index *ix, uint64_t hash)
{
	uint32_t *head;

	if (ix->n == ix->cap)
		rehash(ix);
	head = &ix->heads[hash & (ix->cap - 1)];
	ix->hashes[ix->n] = hash;
	ix->next[ix->n] = *head;
	*head = (uint32_t)ix->n;
	return (uint32_t)ix->n++;
}

void hash_index_done(struct hash_index *ix)
{
	free(ix->heads);
	free(ix->next);
	free(ix->hashes);
	*ix = (struct hash_index){};
}
