/* SPDX-License-Identifier: Apache-2.0 */
/* The words for what explain found. */
#include <stdio.h>

#include "policy/explain.h"

const char *explain_scope_text(enum explain_scope scope)
{
	static const char *const texts[] = {
		[EXPLAIN_OUTSIDE] = "outside",
		[EXPLAIN_LINK_LOCAL] = "link-local: a verdict, never an identity",
		[EXPLAIN_INSIDE] = "inside: not governed",
		[EXPLAIN_RESOLVER] = "DNS resolver: not governed",
		[EXPLAIN_UNTOUCHED] = "multicast, broadcast or loopback: not governed",
	};

	return texts[scope];
}

static const char *no_match_text(enum explain_match match)
{
	static const char *const texts[] = {
		[EXPLAIN_OTHER_DESTINATION] = "other destination",
		[EXPLAIN_EXCEPTED] = "excepted",
		[EXPLAIN_OTHER_PORT] = "other port",
		[EXPLAIN_OTHER_TIME] = "outside its schedule",
		[EXPLAIN_MISSING] = "destination missing",
	};

	return match == EXPLAIN_MATCHES ? NULL : texts[match];
}

static const char *const role_texts[] = {
	[EXPLAIN_WINS] = "wins",
	[EXPLAIN_TOO_LATE] = "too late",
	[EXPLAIN_PASSES] = "passes",
	[EXPLAIN_PASSED_OVER] = "passed over",
};

const char *explain_verdict_text(const struct explain_line *line)
{
	if (no_match_text(line->match))
		return no_match_text(line->match);
	return line->verdict == EXPLAIN_NOT_ASKED ? "no action" : role_texts[line->verdict];
}

const char *explain_identity_text(const struct explain_line *line)
{
	if (no_match_text(line->match))
		return no_match_text(line->match);
	return line->identity == EXPLAIN_NOT_ASKED ? "no via" : role_texts[line->identity];
}

const char *flat_rule_name(const struct flat_rule *r, char *buf, size_t size)
{
	const struct doc_meta *meta = &r->policy->meta;
	bool cluster = meta->kind == DOC_CLUSTER_EGRESS_POLICY;
	int n = snprintf(buf, size, "%s %s%s%s ", cluster ? "ClusterEgressPolicy" : "EgressPolicy",
			 meta->namespace, cluster ? "" : "/", meta->name);

	if (n < 0 || (size_t)n >= size)
		return buf;
	if (!r->rule)
		snprintf(buf + n, size - (size_t)n, "default");
	else if (r->rule->name)
		snprintf(buf + n, size - (size_t)n, "rule %s", r->rule->name);
	else
		snprintf(buf + n, size - (size_t)n, "rules[%td]", r->rule - r->policy->rules);
	return buf;
}

struct doc_src flat_rule_src(const struct flat_rule *r)
{
	return r->rule ? r->rule->src : r->policy->default_src;
}

const char *policy_step_name(uint8_t step)
{
	static const char *const names[] = {
		[STEP_ADMIN] = "Admin",	      [STEP_PODS] = "Pods",
		[STEP_SERVICES] = "Services", [STEP_DEFAULTS] = "Defaults",
		[STEP_BASELINE] = "Baseline",
	};

	return step < sizeof(names) / sizeof(*names) ? names[step] : "unknown";
}

const char *rule_action_name(enum rule_action action)
{
	static const char *const names[] = {
		[ACTION_NONE] = "",	    [ACTION_ALLOW] = "Allow", [ACTION_DENY] = "Deny",
		[ACTION_REJECT] = "Reject", [ACTION_PASS] = "Pass",
	};

	return names[action];
}
