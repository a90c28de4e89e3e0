/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the diff_*.c files share. */
#include "policy/compiled.h"
#include "policy/diff.h"
#include "policy/hash_index.h"

/* ---- diff_pods.c: whom to ask for ---- */
struct diff_pod {
	char *title;
	const char *namespace, *name, *node; /* node may be NULL */
	struct labels labels[2];	     /* before, after; with the implied ones */
};

struct diff_pods {
	struct diff_pod *list;
	size_t n;
	struct hash_index titles; /* of imagined pods: many policies imagine the same one */
};

void diff_pods_init(struct diff_pods *p, const struct diff_input *in);
void diff_pods_done(struct diff_pods *p);

/* ---- diff_compare.c: two programs ---- */
struct diff_side {
	const struct compiled *c;
	const struct program *p;
};

/* spread: the pod's, for identities that are picked by pod. Appends to g and to d's texts. */
void diff_compare(const struct diff_side sides[2], uint32_t spread, struct diff *d,
		  struct diff_group *g);
