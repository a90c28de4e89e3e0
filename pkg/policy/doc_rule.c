/* SPDX-License-Identifier: Apache-2.0 */
/* One rule of a policy, and a via, which a default block has too. */
#include <string.h>

#include "base/mem.h"
#include "policy/doc_priv.h"

#define LATER(field)                                \
	{                                           \
		.name = (field), .use = FIELD_LATER \
	}

void doc_via_done(struct doc_via *via)
{
	free(via->gateway);
	free(via->addrs);
}

void doc_rule_done(struct doc_rule *rule)
{
	for (size_t i = 0; i < rule->n_to; i++)
		doc_to_done(rule->to + i);
	free(rule->to);
	doc_schedule_free(rule->schedule);
	free(rule->ports);
	free(rule->name);
	doc_via_done(&rule->via);
}

/* ---- via ---- */

static int parse_gateway(const struct doc_ctx *c, const struct json *j, void *out)
{
	struct doc_via *via = out;

	via->kind = VIA_GATEWAY;
	return doc_subdomain(c, j, &via->gateway);
}

static int parse_via_addr(const struct doc_ctx *c, const struct json *j, void *out)
{
	struct doc_via *via = out;
	struct addr a;
	int r = doc_addr(c, j, &a);

	if (r < 0)
		return r;
	for (size_t i = 0; i < via->n_addrs; i++)
		if (addr_eq(via->addrs[i], a))
			return doc_fail(c, j, "expected each address once, found %s again",
					addr_str(a));
	MEM_GROW(via->addrs, via->n_addrs);
	via->addrs[via->n_addrs++] = a;
	return 0;
}

static int parse_via_addrs(const struct doc_ctx *c, const struct json *j, void *out)
{
	struct doc_via *via = out;
	int r = doc_list(c, j, DOC_MAX_GATEWAY_ADDRS, parse_via_addr, via);

	if (r == 0)
		qsort(via->addrs, via->n_addrs, sizeof(*via->addrs), addr_order);
	return r;
}

static int parse_via_node(const struct doc_ctx *c, const struct json *j, void *out)
{
	static const struct field none[] = {FIELDS_END};
	struct doc_via *via = out;

	via->kind = VIA_NODE;
	return doc_fields(c, j, none, via);
}

static int parse_unavailable(const struct doc_ctx *c, const struct json *j, void *out)
{
	static const struct choice choices[] = {{"Drop", false}, {"Node", true}, {NULL, 0}};
	struct doc_via *via = out;
	int v = 0, r = doc_choice(c, j, choices, &v);

	via->or_node = v;
	return r;
}

int doc_via_parse(const struct doc_ctx *c, const struct json *j, struct doc_via *via)
{
	static const char *const kinds[] = {"gateway", "node", NULL};
	static const char *const of_gateway[] = {"addresses", "unavailable"};
	static const struct field fields[] = {
		{.name = "gateway", .parse = parse_gateway},
		{.name = "addresses", .parse = parse_via_addrs},
		{.name = "node", .parse = parse_via_node},
		{.name = "unavailable", .parse = parse_unavailable},
		FIELDS_END,
	};
	int r;

	via->src = doc_src_of(c, j);
	r = doc_fields(c, j, fields, via);
	if (r == 0)
		r = doc_union(c, j, kinds);
	for (size_t i = 0; r == 0 && via->kind == VIA_NODE && i < 2; i++)
		if (json_get(j, of_gateway[i]))
			r = doc_fail(c, json_get(j, of_gateway[i]),
				     "expected only together with gateway");
	return r;
}

/* ---- the rule ---- */

int doc_action_parse(const struct doc_ctx *c, const struct json *j, enum rule_action *ret)
{
	static const struct choice choices[] = {{"Allow", ACTION_ALLOW},
						{"Deny", ACTION_DENY},
						{"Reject", ACTION_REJECT},
						{"Pass", ACTION_PASS},
						{NULL, 0}};
	int v = ACTION_NONE, r = doc_choice(c, j, choices, &v);

	*ret = (enum rule_action)v;
	return r;
}

static int parse_action(const struct doc_ctx *c, const struct json *j, void *out)
{
	return doc_action_parse(c, j, &((struct doc_rule *)out)->action);
}

static int parse_via(const struct doc_ctx *c, const struct json *j, void *out)
{
	return doc_via_parse(c, j, &((struct doc_rule *)out)->via);
}

static int parse_name(const struct doc_ctx *c, const struct json *j, void *out)
{
	struct doc_rule *rule = out;
	const char *s = "";
	int r = doc_string(c, j, DOC_MAX_STRING, &s);

	if (r < 0)
		return r;
	if (!*s || label_value_check(s) < 0)
		return doc_fail(
			c, j, "expected a name of 1 to 63 letters, digits, '-', '_', '.', found %s",
			json_show(j));
	rule->name = mem_strdup(s);
	return 0;
}

static int parse_to(const struct doc_ctx *c, const struct json *j, void *out)
{
	struct doc_rule *rule = out;

	MEM_GROW(rule->to, rule->n_to);
	rule->to[rule->n_to] = (struct doc_to){0};
	return doc_to_parse(c, j, rule->to + rule->n_to++);
}

static int parse_to_list(const struct doc_ctx *c, const struct json *j, void *out)
{
	return doc_list(c, j, DOC_MAX_TO, parse_to, out);
}

static int parse_ports(const struct doc_ctx *c, const struct json *j, void *out)
{
	struct doc_rule *rule = out;

	return doc_ports_parse(c, j, &rule->ports, &rule->n_ports);
}

static int parse_schedule(const struct doc_ctx *c, const struct json *j, void *out)
{
	return doc_schedule_parse(c, j, &((struct doc_rule *)out)->schedule);
}

static int parse_log(const struct doc_ctx *c, const struct json *j, void *out)
{
	return doc_bool(c, j, &((struct doc_rule *)out)->log);
}

int doc_rule_parse(const struct doc_ctx *c, const struct json *j, struct doc_rule *rule)
{
	static const struct field fields[] = {
		{.name = "name", .parse = parse_name},
		{.name = "action", .parse = parse_action},
		{.name = "to", .parse = parse_to_list},
		{.name = "ports", .parse = parse_ports},
		{.name = "via", .parse = parse_via},
		{.name = "schedule", .parse = parse_schedule},
		{.name = "log", .parse = parse_log},
		LATER("limit"),
		LATER("notify"),
		LATER("appProtocols"),
		LATER("redirect"),
		FIELDS_END,
	};
	int r;

	rule->src = doc_src_of(c, j);
	r = doc_fields(c, j, fields, rule);
	if (r == 0 && rule->action == ACTION_NONE && rule->via.kind == VIA_NONE)
		return doc_fail(c, j, "expected an action, a via, or both, found none");
	return r;
}
