/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the lint_*.c files share. */
#include "policy/compiled.h"
#include "policy/lint.h"
#include "policy/spans.h"

void lint_add(struct lint *l, struct lint_finding what, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
#define LINT_WARN(l, word, place, ...) \
	lint_add((l), (struct lint_finding){.check = (word), .src = (place)}, __VA_ARGS__)

/* "EgressPolicy shop/payments rule bank" into buf; rule NULL is the default block. */
#define LINT_NAME_LEN (2 * DOC_MAX_NAME + 96)
const char *lint_rule_name(const struct doc_policy *p, const struct doc_rule *rule,
			   char buf[LINT_NAME_LEN]);

/* ---- lint_subject.c ---- */
/* Does a select every pod that b selects? Unsure is no. */
bool subject_covers(const struct doc_set *set, const struct doc_policy *a,
		    const struct doc_policy *b);
/* May a pod be selected by both? Unsure is yes. */
bool subjects_meet(const struct doc_set *set, const struct doc_policy *a,
		   const struct doc_policy *b);

/* ---- lint_reach.c: the program of some policies, with some of their rules ---- */
struct lint_world {
	const struct doc_set *set;
	/*
	 * The same with every rule always present, policies of every node and in mode Enforce.
	 * copies holds its policies, parallel to set's, so an original is found by its place.
	 */
	struct doc_set bare;
	struct doc_policy *copies;
	struct compiled *c; /* of bare */
	struct lint *out;
	struct err *why;	     /* filled where a program cannot be made */
	struct lint_anchor *anchors; /* one per policy of c, sorted */
	/* Places in c->policies, ascending: those that can concern the one that is looked at. */
	uint32_t *near;
	size_t n_near;
	size_t told; /* of out, before that one was looked at */
};

/* The document's own, for one of bare. */
const struct doc_policy *lint_original(const struct lint_world *w, const struct doc_policy *p);
bool lint_is_scheduled(const struct lint_world *w, const struct doc_policy *p,
		       const struct doc_rule *rule);

/* ---- lint_near.c: who can concern whom ---- */
void lint_anchors_init(struct lint_world *w);
/* Fills w->near for the policy at this index of c->policies. */
void lint_near(struct lint_world *w, size_t index);

struct lint_view {
	struct compiled some; /* borrowed but for policies and their rules */
	struct binding b;
	struct program *p;
	struct spans spans;
};

/* Is this rule (NULL: the default block) of this policy (both of bare) part of it? */
typedef bool lint_choice_fn(const struct doc_policy *p, const struct doc_rule *rule, void *data);
int lint_view_init(struct lint_view *v, const struct lint_world *w, lint_choice_fn *choice,
		   void *data);
void lint_view_done(struct lint_view *v);
/* One outside span of each kind that has answers of its own; the array is malloc'd. */
const struct span **lint_view_kinds(const struct lint_view *v, size_t *ret_n);

/* ---- the checks on programs, for each policy: index into c->policies ---- */
int lint_hidden(struct lint_world *w, size_t index);
int lint_contradictions(struct lint_world *w, size_t index);
int lint_open_names(struct lint_world *w, size_t index);
/* Not from the programs, but with them at hand. */
void lint_passes(struct lint_world *w);
