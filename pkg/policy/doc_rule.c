/* SPDX-License-Identifier: Apache-2.0 */
/* One rule of a policy: destinations, ports, action, via. */
#include <netinet/in.h>
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
	for (size_t i = 0; i < rule->n_to; i++) {
		free(rule->to[i].except);
		selector_done(&rule->to[i].nodes);
	}
	free(rule->to);
	free(rule->ports);
	free(rule->name);
	doc_via_done(&rule->via);
}

/* ---- to ---- */

static int parse_cidr(const struct doc_ctx *c, const struct json *j, void *out)
{
	struct doc_to *to = out;

	to->kind = TO_CIDR;
	return doc_cidr(c, j, &to->cidr);
}

static int parse_exception(const struct doc_ctx *c, const struct json *j, void *out)
{
	struct doc_to *to = out;

	MEM_GROW(to->except, to->n_except);
	return doc_cidr(c, j, &to->except[to->n_except++]);
}

static int parse_except(const struct doc_ctx *c, const struct json *j, void *out)
{
	return doc_list(c, j, DOC_MAX_TO, parse_exception, out);
}

static int parse_nodes(const struct doc_ctx *c, const struct json *j, void *out)
{
	struct doc_to *to = out;

	to->kind = TO_NODES;
	return doc_selector(c, j, &to->nodes);
}

static int cmp_cidrs(const void *a, const void *b)
{
	return cidr_cmp(*(const struct cidr *)a, *(const struct cidr *)b);
}

/* Fields come in any order, so `except` can be judged only when all are read. */
static int check_except(const struct doc_ctx *c, const struct json *j, struct doc_to *to)
{
	const struct json *except = json_get(j, "except");

	if (except && to->kind != TO_CIDR)
		return doc_fail(c, except, "expected only together with cidr");
	for (size_t i = 0; i < to->n_except; i++)
		if (!cidr_contains(to->cidr, to->except[i]) ||
		    cidr_cmp(to->cidr, to->except[i]) == 0)
			return doc_fail(c, json_at(except, i),
					"expected a smaller prefix inside %s, found %s",
					cidr_str(to->cidr), cidr_str(to->except[i]));
	if (to->n_except)
		qsort(to->except, to->n_except, sizeof(*to->except), cmp_cidrs);
	return 0;
}

static int parse_to(const struct doc_ctx *c, const struct json *j, void *out)
{
	static const char *const kinds[] = {
		"cidr", "nodes", "fqdn", "destination", "destinationSelector", NULL};
	static const struct field fields[] = {
		{.name = "cidr", .parse = parse_cidr},
		{.name = "except", .parse = parse_except},
		{.name = "nodes", .parse = parse_nodes},
		LATER("fqdn"),
		LATER("destination"),
		LATER("destinationSelector"),
		FIELDS_END,
	};
	struct doc_rule *rule = out;
	struct doc_to *to;
	int r;

	MEM_GROW(rule->to, rule->n_to);
	to = rule->to + rule->n_to++;
	*to = (struct doc_to){0};
	r = doc_fields(c, j, fields, to);
	if (r == 0)
		r = doc_union(c, j, kinds);
	return r < 0 ? r : check_except(c, j, to);
}

static int parse_to_list(const struct doc_ctx *c, const struct json *j, void *out)
{
	return doc_list(c, j, DOC_MAX_TO, parse_to, out);
}

/* ---- ports ---- */

/* The fields of one item of `ports`; -1 = absent. */
struct port_item {
	int protocol;
	int64_t port, end, type, code;
};

static int parse_protocol(const struct doc_ctx *c, const struct json *j, void *out)
{
	static const struct choice choices[] = {
		{"TCP", IPPROTO_TCP},	{"UDP", IPPROTO_UDP},	    {"SCTP", IPPROTO_SCTP},
		{"ICMP", IPPROTO_ICMP}, {"ICMPv6", IPPROTO_ICMPV6}, {NULL, 0},
	};

	return doc_choice(c, j, choices, &((struct port_item *)out)->protocol);
}

static int parse_port_number(const struct doc_ctx *c, const struct json *j, int64_t *ret)
{
	int r = doc_int(c, j, UINT16_MAX, ret);

	return r == 0 && *ret == 0 ? doc_fail(c, j, "expected a port from 1 to 65535, found 0") : r;
}

static int parse_port(const struct doc_ctx *c, const struct json *j, void *out)
{
	return parse_port_number(c, j, &((struct port_item *)out)->port);
}

static int parse_end_port(const struct doc_ctx *c, const struct json *j, void *out)
{
	return parse_port_number(c, j, &((struct port_item *)out)->end);
}

static int parse_icmp_type(const struct doc_ctx *c, const struct json *j, void *out)
{
	return doc_int(c, j, UINT8_MAX, &((struct port_item *)out)->type);
}

static int parse_icmp_code(const struct doc_ctx *c, const struct json *j, void *out)
{
	return doc_int(c, j, UINT8_MAX, &((struct port_item *)out)->code);
}

static int check_port_item(const struct doc_ctx *c, const struct json *j, const struct port_item *p)
{
	bool icmp = p->protocol == IPPROTO_ICMP || p->protocol == IPPROTO_ICMPV6;

	if (icmp && (p->port >= 0 || p->end >= 0))
		return doc_fail(c, j, "expected type and code with an ICMP protocol, found a port");
	if (!icmp && (p->type >= 0 || p->code >= 0))
		return doc_fail(c, j,
				"expected port and endPort with this protocol, found type or code");
	if (p->end >= 0 && p->port < 0)
		return doc_fail(c, json_get(j, "endPort"), "expected only together with port");
	if (p->end >= 0 && p->end < p->port)
		return doc_fail(c, json_get(j, "endPort"),
				"expected a port not below port %d, found %d", (int)p->port,
				(int)p->end);
	if (p->code >= 0 && p->type < 0)
		return doc_fail(c, json_get(j, "code"), "expected only together with type");
	return 0;
}

static struct l4_range range_of(const struct port_item *p)
{
	struct l4_range r = {L4_KEY(p->protocol, 0), L4_KEY(p->protocol, 0xffff)};

	if (p->port >= 0) {
		r.lo = L4_KEY(p->protocol, p->port);
		r.hi = L4_KEY(p->protocol, p->end >= 0 ? p->end : p->port);
	} else if (p->type >= 0) {
		r.lo = L4_KEY(p->protocol, p->type << 8 | (p->code >= 0 ? p->code : 0));
		r.hi = L4_KEY(p->protocol, p->type << 8 | (p->code >= 0 ? p->code : 0xff));
	}
	return r;
}

static int parse_port_item(const struct doc_ctx *c, const struct json *j, void *out)
{
	static const struct field fields[] = {
		{.name = "protocol", .parse = parse_protocol, .use = FIELD_REQUIRED},
		{.name = "port", .parse = parse_port},
		{.name = "endPort", .parse = parse_end_port},
		{.name = "type", .parse = parse_icmp_type},
		{.name = "code", .parse = parse_icmp_code},
		FIELDS_END,
	};
	struct port_item p = {.port = -1, .end = -1, .type = -1, .code = -1};
	struct doc_rule *rule = out;
	int r = doc_fields(c, j, fields, &p);

	if (r == 0)
		r = check_port_item(c, j, &p);
	if (r < 0)
		return r;
	MEM_GROW(rule->ports, rule->n_ports);
	rule->ports[rule->n_ports++] = range_of(&p);
	return 0;
}

static int cmp_ranges(const void *a, const void *b)
{
	const struct l4_range *x = a, *y = b;

	return (x->lo > y->lo) - (x->lo < y->lo);
}

/* Sorted and merged, so that equal sets are equal arrays. */
static int parse_ports(const struct doc_ctx *c, const struct json *j, void *out)
{
	struct doc_rule *rule = out;
	size_t n = 1;
	int r = doc_list(c, j, DOC_MAX_PORTS, parse_port_item, rule);

	if (r < 0)
		return r;
	qsort(rule->ports, rule->n_ports, sizeof(*rule->ports), cmp_ranges);
	for (size_t i = 1; i < rule->n_ports; i++) {
		struct l4_range *last = rule->ports + n - 1;

		if (rule->ports[i].lo > last->hi + 1)
			rule->ports[n++] = rule->ports[i];
		else if (rule->ports[i].hi > last->hi)
			last->hi = rule->ports[i].hi;
	}
	rule->n_ports = n;
	return 0;
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

static int cmp_addrs(const void *a, const void *b)
{
	return addr_cmp(*(const struct addr *)a, *(const struct addr *)b);
}

static int parse_via_addrs(const struct doc_ctx *c, const struct json *j, void *out)
{
	struct doc_via *via = out;
	int r = doc_list(c, j, DOC_MAX_GATEWAY_ADDRS, parse_via_addr, via);

	if (r == 0)
		qsort(via->addrs, via->n_addrs, sizeof(*via->addrs), cmp_addrs);
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

int doc_rule_parse(const struct doc_ctx *c, const struct json *j, struct doc_rule *rule)
{
	static const struct field fields[] = {
		{.name = "name", .parse = parse_name},
		{.name = "action", .parse = parse_action},
		{.name = "to", .parse = parse_to_list},
		{.name = "ports", .parse = parse_ports},
		{.name = "via", .parse = parse_via},
		{.name = "log", .parse = doc_false},
		LATER("schedule"),
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
