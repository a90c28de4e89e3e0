/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the files of the planner share: programs.c, programs_encode.c, programs_set.c,
 * programs_apply.c.
 */
#include "dataplane/programs_tables.h"

/* Elements of one array map that are to be written: values in the order of the runs. */
struct writes {
	struct runs runs;
	size_t size; /* of an element */
	uint8_t *values;
	size_t n, room;
};

struct name_write {
	struct slu_name_class key;
	uint32_t class;
};

struct plan_identity {
	uint32_t slot;
	uint64_t meaning;
	struct slu_identity v;
};

struct plan_tree {
	uint64_t key;
	struct table_tree *tree;
	bool fresh; /* not in the tables yet */
};

struct programs_plan {
	struct space spaces[PLACE_COUNT]; /* with everything old and new in it */
	struct writes writes[PLACE_COUNT];
	struct name_write *names;
	size_t n_names;
	struct table_policy **sets;
	size_t n_sets, n_added;		  /* n_added: of ids that were not there */
	struct plan_identity *identities; /* those that are new */
	size_t n_identities;
	struct plan_tree *trees;
	size_t n_trees;
	struct table_class **classes; /* those that are new, in the order in which they came */
	size_t n_classes;
	struct class_table class_index; /* the same */
	uint32_t *retires;		/* sorted */
	size_t n_retires;
	uint32_t *refused; /* in the order of items */
	size_t n_refused;
	struct err refusal; /* of the first */
};

/* What one run of the planner works on. */
struct planner {
	const struct dp_tables *t;
	const struct dp_programs *want;
	struct programs_plan *p;
	uint32_t *slots;	   /* by compiled identity: its place, 0 = not looked for yet */
	uint64_t *meaning;	   /* by compiled identity: hash of its content, 0 = not yet */
	struct table_tree **trees; /* by compiled set: its tree, NULL = not looked for yet */
	struct err *e;
};

/* Room for n elements from first on. */
void *writes_add(struct writes *w, uint32_t first, uint32_t n);
int places_take(struct planner *pl, enum place_kind kind, uint32_t n, uint32_t *ret_first);

/* ---- programs_set.c ---- */

/* Puts the intervals into nodes of their own: where they are, and the root. */
int tree_place(struct planner *pl, const struct tree_interval *v, size_t n, struct runs *ret,
	       uint32_t *ret_root);
/* The tree of the compiled set with this index. */
int set_tree(struct planner *pl, uint32_t index, struct table_tree **ret);

/* ---- programs_encode.c ---- */

/* A program with all that is asked of it more than once. */
struct draft {
	const struct dp_program *d;
	struct program_interval *dests;
	size_t n_dests;
	struct slu_rule *rules; /* without their identities */
	uint64_t *classes;	/* hash of each */
	uint64_t meaning;
};

int draft_make(struct planner *pl, const struct dp_program *d, struct draft *ret);
void draft_done(struct draft *d);
int draft_encode(struct planner *pl, const struct draft *d, struct table_policy *ret);
