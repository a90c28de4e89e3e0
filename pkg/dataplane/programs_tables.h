/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What programs*.c remember of the maps: which places are taken, and by whom. Only
 * they (and their test) look inside.
 */
#include "bpf/tree.h"
#include "dataplane/programs.h"
#include "dataplane/space.h"

enum place_kind { PLACE_NODE, PLACE_RANGE, PLACE_RULE, PLACE_PICK, PLACE_IDENTITY, PLACE_COUNT };

/* A large set, as a tree of members. */
struct table_tree {
	uint64_t meaning; /* of its intervals */
	uint64_t key;	  /* compiled_set.key it was made of, 0 = not known */
	uint32_t root;
	struct runs nodes;
	uint32_t users; /* policies */
};

/* A list of ranges of ports with their cells, for all policies that have the same one. */
struct table_class {
	uint64_t meaning; /* of its ranges */
	uint32_t first, n;
	uint32_t users; /* policies */
	struct table_class *next;
};

struct class_table { /* by meaning */
	struct table_class **heads;
	size_t cap, n;
};

struct table_policy {
	uint32_t id;
	uint64_t meaning; /* 0: what is there makes no sense */
	struct slu_policy v;
	struct runs nodes;
	struct table_class **classes; /* unique */
	size_t n_classes;
	uint16_t *identities; /* places it refers to, unique */
	size_t n_identities;
	struct table_tree *trees[SLU_MAX_SETS]; /* of v.sets */
	uint32_t *names;
	size_t n_names;
	uint32_t *counters; /* by rule */
};

struct table_identity {
	struct slu_identity v;
	uint64_t meaning;
	uint32_t users; /* policies */
};

struct dp_tables {
	struct space spaces[PLACE_COUNT];
	struct table_policy **policies; /* by id */
	size_t n_policies;
	struct table_tree **trees;
	size_t n_trees;
	struct class_table classes;
	struct table_identity *identities; /* SLU_MAX_IDENTITIES */
	struct slu_name_class *old_names;  /* they go when it settles */
	size_t n_old_names;
};

void policy_free(struct table_policy *p);
void policy_refers(struct table_policy *p, uint32_t identity);
struct table_policy *tables_find(const struct dp_tables *t, uint32_t id);
/* Adds them, in the places of those with their ids: counts what they use, lets go what was used. */
void tables_put(struct dp_tables *t, struct table_policy **take, size_t n);
void tables_remove(struct dp_tables *t, const uint32_t *ids, size_t n); /* ids sorted */
struct table_tree *tables_tree(const struct dp_tables *t, uint64_t key, uint64_t meaning);
void tables_tree_add(struct dp_tables *t, struct table_tree *take);
void tree_free(struct table_tree *t);
uint32_t tables_identity(const struct dp_tables *t, uint64_t meaning); /* 0 = none */
int id_cmp(const void *a, const void *b);

/* ---- programs_classes.c ---- */

struct table_class *class_table_find(const struct class_table *c, uint64_t meaning, uint32_t n);
void class_table_add(struct class_table *c, struct table_class *take);
void class_table_remove(struct class_table *c, struct table_class *v); /* it is the caller's then */
void class_table_each(const struct class_table *c, void (*fn)(struct table_class *v, void *data),
		      void *data);
void class_table_done(struct class_table *c); /* frees them, too */
/* What the kernel has at this place. */
int class_read(struct bpf_pins *pins, uint32_t first, struct table_class **ret, struct err *e);

/*
 * The meaning of a policy: what a packet would meet, whatever the places. The same from
 * what is wanted and from what is read back.
 */
struct meaning {
	uint64_t rules, dests, layers; /* dests: in order; layers: in any */
};
uint64_t meaning_identity(const struct dp_identity *d);
void meaning_rule(struct meaning *m, const struct slu_rule *r, uint64_t identity);
uint64_t meaning_range(uint64_t before, uint32_t lo, const struct slu_cell *cell);
uint64_t meaning_interval(uint64_t before, struct addr first, uint64_t value);
void meaning_set(struct meaning *m, uint64_t tree, uint64_t class_hash);
void meaning_name(struct meaning *m, uint32_t name, uint64_t class_hash);
uint64_t meaning_end(const struct meaning *m); /* never 0 */
