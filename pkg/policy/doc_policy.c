/* SPDX-License-Identifier: Apache-2.0 */
/* EgressPolicy and ClusterEgressPolicy: one struct, two tables of fields. */
#include <string.h>

#include "base/mem.h"
#include "policy/doc_priv.h"

#define MAX_PRIORITY	 1000
#define DEFAULT_PRIORITY 500

void doc_policy_done(void *policy)
{
	struct doc_policy *p = policy;

	for (size_t i = 0; i < p->n_rules; i++)
		doc_rule_done(p->rules + i);
	free(p->rules);
	for (size_t i = 0; i < p->n_services; i++)
		free(p->services[i]);
	free(p->services);
	selector_done(&p->pods);
	selector_done(&p->namespaces);
	selector_done(&p->nodes);
	doc_via_done(&p->default_via);
	doc_meta_done(&p->meta);
}

static int parse_tier(const struct doc_ctx *c, const struct json *j, void *out)
{
	static const struct choice choices[] = {
		{"Admin", TIER_ADMIN}, {"Baseline", TIER_BASELINE}, {NULL, 0}};
	struct doc_policy *p = out;
	int v = 0, r = doc_choice(c, j, choices, &v);

	p->tier = (enum policy_tier)v;
	return r;
}

static int parse_priority(const struct doc_ctx *c, const struct json *j, void *out)
{
	struct doc_policy *p = out;
	int64_t v = 0;
	int r = doc_int(c, j, MAX_PRIORITY, &v);

	p->priority = (uint16_t)v;
	return r;
}

static int parse_mode(const struct doc_ctx *c, const struct json *j, void *out)
{
	static const struct choice choices[] = {{"Enforce", false}, {"Audit", true}, {NULL, 0}};
	struct doc_policy *p = out;
	int v = 0, r = doc_choice(c, j, choices, &v);

	p->audit = v;
	return r;
}

static int parse_existing(const struct doc_ctx *c, const struct json *j, void *out)
{
	static const struct choice choices[] = {{"Keep", false}, {"Reset", true}, {NULL, 0}};
	struct doc_policy *p = out;
	int v = 0, r = doc_choice(c, j, choices, &v);

	p->reset = v;
	return r;
}

/* ---- subject ---- */

static int parse_pods(const struct doc_ctx *c, const struct json *j, void *out)
{
	return doc_selector(c, j, &((struct doc_policy *)out)->pods);
}

static int parse_namespaces(const struct doc_ctx *c, const struct json *j, void *out)
{
	return doc_selector(c, j, &((struct doc_policy *)out)->namespaces);
}

static int parse_nodes(const struct doc_ctx *c, const struct json *j, void *out)
{
	return doc_selector(c, j, &((struct doc_policy *)out)->nodes);
}

static int parse_service(const struct doc_ctx *c, const struct json *j, void *out)
{
	struct doc_policy *p = out;

	MEM_GROW(p->services, p->n_services);
	p->services[p->n_services] = NULL;
	return doc_dns_label(c, j, &p->services[p->n_services++]);
}

static int cmp_strings(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int parse_services(const struct doc_ctx *c, const struct json *j, void *out)
{
	struct doc_policy *p = out;
	int r = doc_list(c, j, DOC_MAX_LIST, parse_service, p);

	if (r < 0)
		return r;
	qsort(p->services, p->n_services, sizeof(*p->services), cmp_strings);
	for (size_t i = 1; i < p->n_services; i++)
		if (strcmp(p->services[i - 1], p->services[i]) == 0)
			return doc_fail(c, j, "expected each Service once, found '%s' again",
					p->services[i]);
	return 0;
}

static int check_subject(const struct doc_ctx *c, const struct json *j, void *out)
{
	static const char *const kinds[] = {"podSelector", "services", NULL};

	return doc_union(c, j, kinds);
}

/* ---- rules ---- */

static int parse_rule(const struct doc_ctx *c, const struct json *j, void *out)
{
	struct doc_policy *p = out;
	struct doc_rule *rule;
	int r;

	MEM_GROW(p->rules, p->n_rules);
	rule = p->rules + p->n_rules++;
	*rule = (struct doc_rule){0};
	r = doc_rule_parse(c, j, rule);
	for (size_t i = 0; r == 0 && rule->name && i + 1 < p->n_rules; i++)
		if (p->rules[i].name && strcmp(p->rules[i].name, rule->name) == 0)
			r = doc_fail(c, json_get(j, "name"),
				     "expected unique names, found '%s' also in line %d",
				     rule->name, doc_src_line(&p->rules[i].src));
	return r;
}

static int parse_rules(const struct doc_ctx *c, const struct json *j, void *out)
{
	return doc_list(c, j, DOC_MAX_RULES, parse_rule, out);
}

/* ---- default ---- */

static int parse_default_action(const struct doc_ctx *c, const struct json *j, void *out)
{
	return doc_action_parse(c, j, &((struct doc_policy *)out)->default_action);
}

static int parse_default_via(const struct doc_ctx *c, const struct json *j, void *out)
{
	return doc_via_parse(c, j, &((struct doc_policy *)out)->default_via);
}

static int check_default(const struct doc_ctx *c, const struct json *j, void *out)
{
	struct doc_policy *p = out;

	if (json_len(j) == 0)
		return doc_fail(c, j, "expected an action, a via, or both, found none");
	p->has_default = true;
	p->default_src = doc_src_of(c, j);
	return 0;
}

static const struct field default_fields[] = {
	{.name = "action", .parse = parse_default_action},
	{.name = "via", .parse = parse_default_via},
	FIELDS_END,
};

/* ---- the two kinds ---- */

#define COMMON_FIELDS                                                                         \
	{.name = "priority", .parse = parse_priority}, {.name = "mode", .parse = parse_mode}, \
		{.name = "existingConnections", .parse = parse_existing},                     \
	{                                                                                     \
		.name = "rules", .parse = parse_rules                                         \
	}

static const struct field subject_fields[] = {
	{.name = "podSelector", .parse = parse_pods},
	{.name = "services", .parse = parse_services},
	FIELDS_END,
};

static const struct field cluster_subject_fields[] = {
	{.name = "podSelector", .parse = parse_pods},
	{.name = "namespaceSelector", .parse = parse_namespaces},
	{.name = "nodeSelector", .parse = parse_nodes},
	{.name = "services", .use = FIELD_LATER},
	FIELDS_END,
};

static const struct field spec_fields[] = {
	{.name = "subject", .sub = subject_fields, .parse = check_subject, .use = FIELD_REQUIRED},
	COMMON_FIELDS,
	{.name = "default", .sub = default_fields, .parse = check_default},
	FIELDS_END,
};

static const struct field cluster_spec_fields[] = {
	{.name = "tier", .parse = parse_tier},
	{.name = "subject",
	 .sub = cluster_subject_fields,
	 .parse = check_subject,
	 .use = FIELD_REQUIRED},
	COMMON_FIELDS,
	FIELDS_END,
};

static int finish_spec(const struct doc_ctx *c, const struct json *j, void *out)
{
	struct doc_policy *p = out;

	if (!json_get(j, "priority"))
		p->priority = DEFAULT_PRIORITY;
	return 0;
}

const struct field doc_policy_fields[] = {OBJECT_FIELDS(spec_fields, finish_spec)};
const struct field doc_cluster_policy_fields[] = {OBJECT_FIELDS(cluster_spec_fields, finish_spec)};
