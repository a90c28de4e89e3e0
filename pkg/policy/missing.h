/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What policies name and what is not there: gateways, destinations, Services. None of it is
 * an error, as objects come in any order; but until it is there, rules match less than they
 * say, or their traffic is dropped. PURE.
 */
#include <stddef.h>

#include "policy/doc.h"

struct missing {
	const struct doc_policy *policy;
	struct doc_src src;    /* of the via, the rule, or the policy */
	const char *kind;      /* "EgressGateway", "EgressDestination", … "Service" */
	const char *namespace; /* "" for cluster scope */
	const char *name;
	const char *effect; /* what becomes of it: "its traffic is dropped" … */
};

/*
 * In the order of the policies and of what they say; what one policy names twice is there
 * once. set must be finished; everything is borrowed from it. *ret is malloc'd.
 */
void policy_missing(const struct doc_set *set, struct missing **ret, size_t *ret_n);
/* Of one policy; it need not be in the set. */
void policy_missing_of(const struct doc_set *set, const struct doc_policy *policy,
		       struct missing **ret, size_t *ret_n);
/* "EgressDestination shop/bank is missing: …"; malloc'd. */
char *missing_text(const struct missing *m);
