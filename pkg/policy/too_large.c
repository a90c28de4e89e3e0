/* SPDX-License-Identifier: Apache-2.0 */
/* In words: why policies do not come to a program (policy_flatten said -E2BIG), and what to do. */
#include <errno.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "policy/compile.h"

/* "EgressPolicy shop/huge" */
static char *title(const struct doc_meta *m)
{
	if (m->kind == DOC_CLUSTER_EGRESS_POLICY)
		return mem_printf("ClusterEgressPolicy %s", m->name);
	return mem_printf("EgressPolicy %s/%s", m->namespace, m->name);
}

int policy_too_large(const struct compiled *c, const struct binding *b, struct err *e)
{
	__cleanup_free char *most = NULL;
	size_t rules = 0, n, largest = 0, at = 0;

	for (size_t i = 0; i < b->n; i++) {
		compiled_policy_rules(c, b->policies[i], &n);
		rules += n;
		if (n > largest) {
			largest = n;
			at = i;
		}
	}
	most = title(&compiled_policy(c, b->policies[at])->meta);
	if (rules > PROGRAM_MAX_RULES)
		return err_set(e, -E2BIG,
			       "too many rules: %zu in %zu policies, %zu of them in %s; a pod can "
			       "have %u: join rules, or select fewer pods",
			       rules, b->n, largest, most, PROGRAM_MAX_RULES);
	return err_set(e, -E2BIG,
		       "too many combinations of destinations and ports: the rules (%zu of %zu in "
		       "%s) make more than the %u ranges of ports that a pod can have; let fewer "
		       "prefixes overlap, or give their rules the same ports",
		       largest, rules, most, PROGRAM_MAX_RANGES);
}
