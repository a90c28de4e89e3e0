/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What is valid and surely not meant: rules that others hide, that never match or never hold,
 * objects that nobody uses or that are missing, contradictions. What concerns several rules is
 * read off the programs a kernel would get, with whichever policies select at least the same
 * pods; so what is called hidden is hidden for every pod. PURE.
 */
#include <stddef.h>

#include "policy/compile.h"

enum lint_level { LINT_WARNING, LINT_ERROR };

struct lint_finding {
	enum lint_level level;
	const char *check; /* "hidden-rule": a stable word */
	char *text;
	struct doc_src src;
};

struct lint {
	struct lint_finding *list; /* by file, line, check */
	size_t n;
};

/* set must be finished; node.now is the present. 0 or -EINVAL as policy_compile. */
int policy_lint(const struct doc_set *set, const struct node_view *node, struct lint *ret,
		struct err *e);
void lint_done(struct lint *l);
