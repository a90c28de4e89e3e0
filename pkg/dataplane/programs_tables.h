/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What programs.c remembers of the maps: which places are taken, and by whom. Only
 * programs.c and programs_tables.c (and their test) look inside.
 */
#include <stdbool.h>

#include "dataplane/programs.h"

struct space { /* places 0..size-1 of one array map */
	uint8_t *taken;
	uint32_t size, next;
};

struct table_space {
	struct space ranges, picks, identities;
	struct slu_identity *identity; /* SLU_MAX_IDENTITIES, as in the map */
	uint64_t *identity_meaning;
};

struct table_policy {
	uint32_t id;
	uint64_t meaning;
	uint32_t first, n_ranges; /* its block */
	uint16_t *identities;	  /* places it refers to, unique */
	size_t n_identities;
};

struct dp_tables {
	struct table_space space;
	struct table_policy *policies;
	size_t n_policies;
};

bool space_take(struct space *s, uint32_t n, uint32_t *ret_first);
void space_mark(struct space *s, uint32_t first, uint32_t n);
void space_copy(struct table_space *to, const struct table_space *from);
void space_done(struct table_space *s);
uint32_t space_find_identity(const struct table_space *s, uint64_t meaning); /* 0 = none */

const struct table_policy *tables_find(const struct dp_tables *t, uint32_t id);
void tables_remove(struct dp_tables *t, uint32_t id);
/* Frees every place no policy refers to. */
void tables_collect(struct dp_tables *t);

uint64_t table_identity_hash(const struct dp_identity *d);
uint64_t table_range_hash(uint64_t before, uint32_t lo, uint32_t verdict, uint64_t identity);
uint64_t table_entry_hash(const struct slu_lpm_key *key, uint64_t class_hash);
