/* SPDX-License-Identifier: Apache-2.0 */
/* All policies of this node in the order in which they are asked, and what they lack. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "ctl.h"
#include "policy/accept.h"
#include "policy/explain.h"
#include "policy_list.h"
#include "view.h"

static uint8_t step_of(const struct doc_policy *p)
{
	if (p->meta.kind == DOC_CLUSTER_EGRESS_POLICY)
		return p->tier == TIER_ADMIN ? STEP_ADMIN : STEP_BASELINE;
	return p->n_services ? STEP_SERVICES : STEP_PODS;
}

static char *services_text(const struct doc_policy *p)
{
	char *s = mem_strdup("services ");

	for (size_t i = 0; i < p->n_services; i++) {
		char *longer = mem_printf("%s%s%s", s, i ? "," : "", p->services[i]);

		free(s);
		s = longer;
	}
	return s;
}

static char *subject_text(const struct doc_policy *p)
{
	__cleanup_free char *pods = selector_text(&p->pods);
	__cleanup_free char *namespaces = selector_text(&p->namespaces);
	__cleanup_free char *nodes = selector_text(&p->nodes);

	if (p->n_services)
		return services_text(p);
	return mem_printf("%s%s%s%s%s", pods, p->namespaces.present ? " in " : "",
			  p->namespaces.present ? namespaces : "", p->nodes.present ? " on " : "",
			  p->nodes.present ? nodes : "");
}

static char *default_text(const struct doc_policy *p)
{
	const char *via = p->default_via.kind == VIA_NODE      ? "node"
			  : p->default_via.kind == VIA_GATEWAY ? p->default_via.gateway
							       : NULL;
	const char *action = rule_action_name(p->default_action);

	if (!p->has_default)
		return NULL;
	return mem_printf("%s%s%s%s", action, *action && via ? " " : "", via ? "via " : "",
			  via ?: "");
}

static struct json *row_of(const struct view *v, const struct doc_policy *p)
{
	const struct policy_place at = {step_of(p), p->priority, p->meta.namespace, p->meta.name,
					p->meta.kind == DOC_CLUSTER_EGRESS_POLICY};
	__cleanup_free char *subject = subject_text(p), *fallback = default_text(p);
	struct json *row = policy_row(&at);
	struct acceptance a;
	bool accepted, ready;

	policy_accept(v->policies.set, v->compiled, p, &a);
	accepted = !a.reason;
	ready = accepted && !a.late;
	json_set(row, "mode", json_new_string(p->audit ? "Audit" : "Enforce"));
	json_set(row, "subject", json_new_string(subject));
	json_set(row, "rules", json_new_int((int64_t)p->n_rules));
	json_set(row, "default", json_new_string(fallback));
	policy_row_judge(row, "accepted", &accepted, a.reason ?: "Accepted", a.message);
	policy_row_judge(row, "ready", &ready, !accepted ? "NotAccepted" : a.late ?: "InForce",
			 a.late_message);
	json_set(row, "file", json_new_string(doc_src_file(&p->meta.src)));
	json_set(row, "line", json_new_int(doc_src_line(&p->meta.src)));
	acceptance_done(&a);
	return row;
}

static int run(struct ctl *ctl)
{
	__cleanup(view_done) struct view v = {0};
	__cleanup_free struct json **rows = NULL;
	struct err e = {0};
	size_t n = 0;

	if (view_open(&ctl->conf, time(NULL), &v, &e) < 0)
		return ctl_fail(&e);
	view_warn(&v, &ctl->conf);
	for (size_t i = 0; i < v.policies.set->n_policies; i++) {
		const struct doc_policy *p = v.policies.set->policies[i];

		if (ctl->namespace && *p->meta.namespace &&
		    strcmp(p->meta.namespace, ctl->namespace) != 0)
			continue;
		MEM_GROW(rows, n);
		rows[n++] = row_of(&v, p);
	}
	policy_rows_sort(rows, n);
	policy_rows_print(ctl, rows, n);
	return CTL_OK;
}

const struct verb verb_policies = {
	.name = "policies",
	.run = run,
	.help = "policies [OPTION]…\n"
		"all policies in the order of evaluation, and what they lack\n"
		"\n"
		"  -n, --namespace NS   only those that can apply to pods of that namespace\n"
		"\n"
		"Evaluated are the STEPs in turn; within a step by PRIO (lower first), then by\n"
		"name. -o wide adds mode, number of rules, default. For a node: the policies in\n"
		"force there, with their place. For a cluster: the objects as they are written,\n"
		"with ACCEPTED from the daemon that writes status (\"?\": none has yet).\n"
		"\n",
};
