/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What changes when one set of policies takes another's place: for whom, to where, on which
 * ports, from what to what. Exact: both sets are compiled to the programs that the kernel
 * would get, and all their answers are compared. PURE.
 */
#include <stdbool.h>
#include <stddef.h>

#include "policy/compile.h"

struct diff_input {
	const struct doc_set *old_set, *new_set; /* finished */
	struct node_view node;			 /* of pods that name no node */
	/*
	 * Whom to ask for. Without any: the Pods of the sets, and if there are none either, one
	 * imagined pod for each subject that a policy has.
	 */
	const struct pod_info *pods;
	size_t n_pods;
};

/*
 * Every address of prefixes, to every port of lo..hi. A row with a name is for addresses that are
 * known under it, and there instead of those without; before and after may then be equal: the
 * name spares it from a change.
 */
struct diff_change {
	const char *name;      /* or NULL */
	struct cidr *prefixes; /* sorted; those inside are never meant */
	size_t n_prefixes;
	uint32_t lo, hi;
	const char *before, *after; /* "Allow as 203.0.113.10 of office", "Deny" */
};

/* Pods that all changes concern alike. */
struct diff_group {
	char **pods; /* "shop/web-1", or of an imagined one: "shop: app=web" */
	size_t n_pods;
	struct diff_change *changes;
	size_t n_changes;
};

struct diff {
	struct diff_group *groups; /* only those with changes */
	size_t n;
	size_t n_pods; /* that were asked for */
	char **texts;  /* that the changes point to */
	size_t n_texts;
};

/* 0, or -EINVAL as policy_compile, -E2BIG as policy_flatten; *ret is ended by diff_done. */
int policy_diff(const struct diff_input *in, struct diff *ret, struct err *e);
void diff_done(struct diff *d);
