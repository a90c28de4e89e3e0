/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Whether a valid policy can be put in force as it is written, with the other objects that there
 * are: the reason of its condition Accepted, the worst one if there are several. (Reason Invalid is
 * not here: the parser gives it.) PURE.
 */
#include "policy/compile.h"

struct acceptance {
	const char *reason; /* "NotPermitted", "MissingGateway", "Conflict", "MissingDestination",
			       "TooManyNames"; NULL: accepted */
	char *message;	    /* malloc'd; NULL when accepted */
	const char *late;   /* accepted, and still not all in force: "MissingService", "NoOwner" */
	char *late_message;
};

/*
 * set must be finished; compiled (may be NULL) is of it and says who owns addresses. The policy
 * need not be in the set.
 */
void policy_accept(const struct doc_set *set, const struct compiled *compiled,
		   const struct doc_policy *policy, struct acceptance *ret);
void acceptance_done(struct acceptance *a);
