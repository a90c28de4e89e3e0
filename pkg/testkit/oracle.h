/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The definition of the answer, word for word from the API's page and slowly: straight
 * from the documents, for one packet, with nothing compiled, indexed or shared. Whatever
 * else judges packets is compared with it.
 */
#include <stdbool.h>
#include <stdint.h>

#include "policy/compile.h"

struct oracle_packet {
	const struct pod_info *pod;
	const struct labels *namespace; /* labels of the pod's namespace */
	struct addr dst;
	uint32_t key;		  /* L4_KEY */
	const char *const *names; /* patterns that dst is known under */
	size_t n_names;
	int64_t now;
	bool audit; /* with the policies in mode Audit, as if they were enforced */
};

/* Who said it: policy NULL: nobody. rule NULL: its default block. */
struct oracle_by {
	const struct doc_policy *policy;
	const struct doc_rule *rule;
};

struct oracle_answer {
	enum rule_action verdict; /* ACTION_NONE: nothing matched */
	struct oracle_by verdict_by;
	const struct doc_via *via; /* NULL: the node's own way */
	struct oracle_by via_by;
	bool audited; /* a policy in mode Audit selects the pod */
};

/* Schedules must be in UTC. */
struct oracle_answer oracle_evaluate(const struct doc_set *set, const struct oracle_packet *pkt);
enum verdict oracle_verdict(const struct oracle_answer *a);
