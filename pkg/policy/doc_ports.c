/* SPDX-License-Identifier: Apache-2.0 */
/* The `ports` of a rule or a destination, as ranges over protocol and port. */
#include <netinet/in.h>
#include <string.h>

#include "base/mem.h"
#include "policy/doc_priv.h"

struct range_list {
	struct l4_range *items;
	size_t n;
};

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
	struct range_list *list = out;
	int r = doc_fields(c, j, fields, &p);

	if (r == 0)
		r = check_port_item(c, j, &p);
	if (r < 0)
		return r;
	MEM_GROW(list->items, list->n);
	list->items[list->n++] = range_of(&p);
	return 0;
}

static int cmp_ranges(const void *a, const void *b)
{
	const struct l4_range *x = a, *y = b;

	return (x->lo > y->lo) - (x->lo < y->lo);
}

/* Sorted and merged, so that equal sets are equal arrays. */
static void merge(struct range_list *list)
{
	size_t n = 1;

	qsort(list->items, list->n, sizeof(*list->items), cmp_ranges);
	for (size_t i = 1; i < list->n; i++) {
		struct l4_range *last = list->items + n - 1;

		if (list->items[i].lo > last->hi + 1)
			list->items[n++] = list->items[i];
		else if (list->items[i].hi > last->hi)
			last->hi = list->items[i].hi;
	}
	list->n = n;
}

int doc_ports_parse(const struct doc_ctx *c, const struct json *j, struct l4_range **ret,
		    size_t *ret_n)
{
	struct range_list list = {0};
	int r = doc_list(c, j, DOC_MAX_PORTS, parse_port_item, &list);

	if (r < 0) {
		free(list.items);
		return r;
	}
	merge(&list);
	*ret = list.items;
	*ret_n = list.n;
	return 0;
}
