/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Whether a valid policy can be had as it is written, among the objects that there are: the
 * reasons of the condition Accepted (but for Invalid, which is the parser's word), worst first.
 * PURE.
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
