/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/mem.h"
#include "policy/doc_priv.h"

#define MIN_MTU		1280 /* below that a device has no IPv6 (RFC 8200 5) */
#define MIN_INTERVAL_MS 10
#define MAX_INTERVAL_MS 10000
#define MAX_MISSED	20

void doc_gateway_done(void *gateway)
{
	struct doc_gateway *g = gateway;

	for (size_t i = 0; i < g->n_ranges; i++) {
		selector_done(&g->ranges[i].node_selector);
		selector_done(&g->ranges[i].preferred_nodes);
	}
	free(g->ranges);
	free(g->address_from);
	free(g->interface);
	selector_done(&g->node_selector);
	selector_done(&g->allowed_namespaces);
	doc_meta_done(&g->meta);
}

/* ---- addresses ---- */

static bool is_usable(struct addr a)
{
	return !addr_is_unspecified(a) && !addr_is_loopback(a) && !addr_is_multicast(a) &&
	       !addr_is_link_local(a);
}

static int parse_range(const struct doc_ctx *c, const struct json *j, void *out)
{
	struct gateway_range *range = out;
	const char *s = "", *reason = "";
	int r = doc_string(c, j, 2 * ADDR_STRLEN, &s);

	if (r < 0)
		return r;
	if (addr_range_parse(s, &range->range, &reason) < 0)
		return doc_fail(c, j, "expected an address, FIRST-LAST or a CIDR, found %s: %s",
				json_show(j), reason);
	if (!is_usable(range->range.first) || !is_usable(range->range.last))
		return doc_fail(
			c, j,
			"expected addresses a partner can answer to, found %s: unspecified, "
			"loopback, link-local or multicast",
			json_show(j));
	return 0;
}

static int parse_range_selector(const struct doc_ctx *c, const struct json *j, void *out)
{
	return doc_selector(c, j, &((struct gateway_range *)out)->node_selector);
}

static int parse_preferred(const struct doc_ctx *c, const struct json *j, void *out)
{
	return doc_selector(c, j, &((struct gateway_range *)out)->preferred_nodes);
}

static int parse_address(const struct doc_ctx *c, const struct json *j, void *out)
{
	static const struct field fields[] = {
		{.name = "range", .parse = parse_range, .use = FIELD_REQUIRED},
		{.name = "nodeSelector", .parse = parse_range_selector},
		{.name = "preferredNodes", .parse = parse_preferred},
		FIELDS_END,
	};
	struct doc_gateway *g = out;
	struct gateway_range *range;

	MEM_GROW(g->ranges, g->n_ranges);
	range = g->ranges + g->n_ranges++;
	*range = (struct gateway_range){.src = doc_src_of(c, j)};
	return doc_fields(c, j, fields, range);
}

static int parse_addresses(const struct doc_ctx *c, const struct json *j, void *out)
{
	const struct doc_gateway *g = out;
	uint64_t count = 0;
	int r = doc_list(c, j, DOC_MAX_GATEWAY_ADDRS, parse_address, out);

	for (size_t i = 0; r == 0 && i < g->n_ranges; i++) {
		uint64_t n = addr_range_count(g->ranges[i].range);

		count += n;
		if (n > DOC_MAX_GATEWAY_ADDRS || count > DOC_MAX_GATEWAY_ADDRS)
			return doc_fail(c, json_at(j, i),
					"expected at most %d addresses in all ranges",
					DOC_MAX_GATEWAY_ADDRS);
	}
	return r;
}

static int parse_from_interface(const struct doc_ctx *c, const struct json *j, void *out)
{
	return doc_interface(c, j, &((struct doc_gateway *)out)->address_from);
}

/* ---- the rest ---- */

static int parse_node_selector(const struct doc_ctx *c, const struct json *j, void *out)
{
	return doc_selector(c, j, &((struct doc_gateway *)out)->node_selector);
}

static int parse_allowed(const struct doc_ctx *c, const struct json *j, void *out)
{
	return doc_selector(c, j, &((struct doc_gateway *)out)->allowed_namespaces);
}

static int parse_interface(const struct doc_ctx *c, const struct json *j, void *out)
{
	return doc_interface(c, j, &((struct doc_gateway *)out)->interface);
}

static int parse_next_hop(const struct doc_ctx *c, const struct json *j, void *out)
{
	struct addr *a = &((struct doc_gateway *)out)->next_hop;
	int r = doc_addr(c, j, a);

	if (r == 0 && (addr_is_unspecified(*a) || addr_is_loopback(*a) || addr_is_multicast(*a)))
		return doc_fail(c, j, "expected the address of a router, found %s", json_show(j));
	return r;
}

static int parse_announce(const struct doc_ctx *c, const struct json *j, void *out)
{
	static const struct choice choices[] = {
		{"ARP", ANNOUNCE_ARP}, {"None", ANNOUNCE_NONE}, {"BGP", CHOICE_LATER}, {NULL, 0}};
	struct doc_gateway *g = out;
	int v = 0, r = doc_choice(c, j, choices, &v);

	g->announce = (enum gateway_announce)v;
	return r;
}

static int parse_spread(const struct doc_ctx *c, const struct json *j, void *out)
{
	static const struct choice choices[] = {{"Policy", SPREAD_POLICY},
						{"Pod", SPREAD_POD},
						{"Connection", SPREAD_CONNECTION},
						{NULL, 0}};
	struct doc_gateway *g = out;
	int v = 0, r = doc_choice(c, j, choices, &v);

	g->spread = (enum gateway_spread)v;
	return r;
}

static int parse_transport(const struct doc_ctx *c, const struct json *j, void *out)
{
	static const struct choice choices[] = {
		{"Auto", 0}, {"Tunnel", 0}, {"Direct", CHOICE_LATER}, {NULL, 0}};
	int v = 0;

	return doc_choice(c, j, choices, &v); /* Auto is Tunnel as long as there is nothing else */
}

static int parse_encryption(const struct doc_ctx *c, const struct json *j, void *out)
{
	static const struct choice choices[] = {
		{"None", 0}, {"IPsec", CHOICE_LATER}, {"WireGuard", CHOICE_LATER}, {NULL, 0}};
	int v = 0;

	return doc_choice(c, j, choices, &v);
}

static int parse_endpoint(const struct doc_ctx *c, const struct json *j, void *out)
{
	static const struct choice choices[] = {
		{"EgressAddress", 0}, {"NodeAddress", CHOICE_LATER}, {NULL, 0}};
	int v = 0;

	return doc_choice(c, j, choices, &v);
}

static int parse_mtu(const struct doc_ctx *c, const struct json *j, void *out)
{
	struct doc_gateway *g = out;
	int64_t v = 0;
	int r = doc_int(c, j, UINT16_MAX, &v);

	if (r == 0 && v < MIN_MTU)
		return doc_fail(c, j, "expected an MTU of at least %d, found %s", MIN_MTU,
				json_show(j));
	g->tunnel_mtu = (uint16_t)v;
	return r;
}

/* ---- failover ---- */

static int parse_interval(const struct doc_ctx *c, const struct json *j, void *out)
{
	struct doc_failover *f = &((struct doc_gateway *)out)->failover;
	int r = doc_duration(c, j, 1, &f->interval_ms);

	if (r == 0 && (f->interval_ms < MIN_INTERVAL_MS || f->interval_ms > MAX_INTERVAL_MS))
		return doc_fail(c, j, "expected %dms to %ds, found %s", MIN_INTERVAL_MS,
				MAX_INTERVAL_MS / 1000, json_show(j));
	return r;
}

static int parse_missed(const struct doc_ctx *c, const struct json *j, void *out)
{
	struct doc_failover *f = &((struct doc_gateway *)out)->failover;
	int64_t v = 0;
	int r = doc_int(c, j, MAX_MISSED, &v);

	if (r == 0 && v < 2)
		return doc_fail(c, j, "expected 2 to %d, found %s", MAX_MISSED, json_show(j));
	f->missed = (uint8_t)v;
	return r;
}

static int parse_hold_down(const struct doc_ctx *c, const struct json *j, void *out)
{
	return doc_duration(c, j, 1, &((struct doc_gateway *)out)->failover.hold_down_ms);
}

static int parse_replicate(const struct doc_ctx *c, const struct json *j, void *out)
{
	return doc_bool(c, j, &((struct doc_gateway *)out)->failover.replicate);
}

static int finish_failover(const struct doc_ctx *c, const struct json *j, void *out)
{
	const struct json *spec = json_get(j, "failover");
	struct doc_failover *f = &((struct doc_gateway *)out)->failover, given = *f;

	*f = DOC_FAILOVER;
	if (json_get(spec, "interval"))
		f->interval_ms = given.interval_ms;
	if (json_get(spec, "missed"))
		f->missed = given.missed;
	if (json_get(spec, "holdDown"))
		f->hold_down_ms = given.hold_down_ms;
	f->replicate = given.replicate;
	return 0;
}

/* ---- limits ---- */

static int parse_limit(const struct doc_ctx *c, const struct json *j, int64_t max, uint32_t *ret)
{
	int64_t v = 0;
	int r = doc_int(c, j, max, &v);

	if (r == 0 && v < 1)
		return doc_fail(c, j, "expected at least 1, found %s", json_show(j));
	*ret = (uint32_t)v;
	return r;
}

static int parse_capacity(const struct doc_ctx *c, const struct json *j, void *out)
{
	return parse_limit(c, j, DOC_MAX_GATEWAY_ADDRS,
			   &((struct doc_gateway *)out)->node_capacity);
}

static int parse_connections(const struct doc_ctx *c, const struct json *j, void *out)
{
	return parse_limit(c, j, INT32_MAX, &((struct doc_gateway *)out)->limits.connections);
}

static int parse_ports(const struct doc_ctx *c, const struct json *j, void *out)
{
	return parse_limit(c, j, UINT16_MAX, &((struct doc_gateway *)out)->limits.ports);
}

static int check_spec(const struct doc_ctx *c, const struct json *j, void *out)
{
	static const char *const sources[] = {"addresses", "addressFrom", NULL};

	int r = doc_union(c, j, sources);

	return r < 0 ? r : finish_failover(c, j, out);
}

static const struct field address_from_fields[] = {
	{.name = "interface", .parse = parse_from_interface, .use = FIELD_REQUIRED},
	FIELDS_END,
};

static const struct field tunnel_fields[] = {
	{.name = "endpoint", .parse = parse_endpoint},
	{.name = "mtu", .parse = parse_mtu},
	{.name = "port", .use = FIELD_LATER}, /* SluiceConfig.tunnelPort holds for all */
	FIELDS_END,
};

static const struct field failover_fields[] = {
	{.name = "interval", .parse = parse_interval},
	{.name = "missed", .parse = parse_missed},
	{.name = "holdDown", .parse = parse_hold_down},
	{.name = "replicate", .parse = parse_replicate},
	FIELDS_END,
};

static const struct field limits_fields[] = {
	{.name = "connectionsPerPod", .parse = parse_connections},
	{.name = "portsPerPod", .parse = parse_ports},
	FIELDS_END,
};

static const struct field spec_fields[] = {
	{.name = "addresses", .parse = parse_addresses},
	{.name = "addressFrom", .sub = address_from_fields},
	{.name = "nodeSelector", .parse = parse_node_selector},
	{.name = "nodeCapacity", .parse = parse_capacity},
	{.name = "allowedNamespaces", .parse = parse_allowed},
	{.name = "interface", .parse = parse_interface},
	{.name = "announce", .parse = parse_announce},
	{.name = "transport", .parse = parse_transport},
	{.name = "tunnel", .sub = tunnel_fields},
	{.name = "spread", .parse = parse_spread},
	{.name = "encryption", .parse = parse_encryption},
	{.name = "nextHop", .parse = parse_next_hop},
	{.name = "failover", .sub = failover_fields},
	{.name = "limits", .sub = limits_fields},
	FIELDS_END,
};

const struct field doc_gateway_fields[] = {OBJECT_FIELDS(spec_fields, check_spec)};
