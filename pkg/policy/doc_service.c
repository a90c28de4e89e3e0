/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Services and what stands behind them, as Kubernetes writes both. These are others' objects,
 * accepted by others: an address or a port that we cannot use is left out, and what remains is
 * read. What is left out is never judged, and so never passes (drop reason service-outside).
 */
#include <netinet/in.h>
#include <string.h>

#include "base/mem.h"
#include "policy/doc_priv.h"

#define LABEL_SERVICE_NAME "kubernetes.io/service-name"

/* ---- addresses and ports ---- */

static void ports_done(struct doc_service_port *ports, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(ports[i].name);
	free(ports);
}

/* "None" of a headless Service, and names of slices of FQDNs, are no addresses. */
static int add_addr(const struct doc_ctx *c, const struct json *j, struct addr **list, size_t *n)
{
	const char *s = "";
	struct addr a;
	int r = doc_string(c, j, DOC_MAX_STRING, &s);

	if (r < 0 || addr_parse(s, &a) < 0)
		return r;
	MEM_GROW(*list, *n);
	(*list)[(*n)++] = a;
	return 0;
}

struct port_item {
	const char *name, *protocol;
	int64_t port, node_port;
};

static int parse_port_name(const struct doc_ctx *c, const struct json *j, void *out)
{
	return json_type(j) == JSON_NULL
		       ? 0
		       : doc_string(c, j, DOC_MAX_STRING, &((struct port_item *)out)->name);
}

static int parse_port_protocol(const struct doc_ctx *c, const struct json *j, void *out)
{
	return json_type(j) == JSON_NULL
		       ? 0
		       : doc_string(c, j, DOC_MAX_STRING, &((struct port_item *)out)->protocol);
}

static int parse_port_number(const struct doc_ctx *c, const struct json *j, void *out)
{
	return json_type(j) == JSON_NULL
		       ? 0
		       : doc_int(c, j, UINT16_MAX, &((struct port_item *)out)->port);
}

static int parse_node_port(const struct doc_ctx *c, const struct json *j, void *out)
{
	return json_type(j) == JSON_NULL
		       ? 0
		       : doc_int(c, j, UINT16_MAX, &((struct port_item *)out)->node_port);
}

static const struct field port_fields[] = {
	{.name = "name", .parse = parse_port_name},
	{.name = "protocol", .parse = parse_port_protocol},
	{.name = "port", .parse = parse_port_number},
	{.name = "nodePort", .parse = parse_node_port},
	FIELDS_OPEN_END,
};

static int protocol_number(const char *name)
{
	static const struct {
		const char *name;
		int number;
	} all[] = {{"TCP", IPPROTO_TCP}, {"UDP", IPPROTO_UDP}, {"SCTP", IPPROTO_SCTP}};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (strcmp(all[i].name, name) == 0)
			return all[i].number;
	return -1;
}

static int add_port(const struct doc_ctx *c, const struct json *j, struct doc_service_port **list,
		    size_t *n)
{
	struct port_item item = {.name = "", .protocol = "TCP"};
	int r = doc_fields(c, j, port_fields, &item), protocol = protocol_number(item.protocol);

	if (r < 0 || protocol < 0 || !item.port)
		return r;
	MEM_GROW(*list, *n);
	(*list)[(*n)++] = (struct doc_service_port){
		.name = mem_strdup(item.name),
		.key = L4_KEY(protocol, (uint16_t)item.port),
		.node_key = item.node_port ? L4_KEY(protocol, (uint16_t)item.node_port) : 0,
	};
	return 0;
}

/* ---- Service ---- */

void doc_service_done(void *service)
{
	struct doc_service *s = service;

	selector_done(&s->selector);
	free(s->addrs);
	ports_done(s->ports, s->n_ports);
	doc_meta_done(&s->meta);
}

/* A map, not a label selector. Without one, somebody writes the endpoints: no pods are known. */
static int parse_service_selector(const struct doc_ctx *c, const struct json *j, void *out)
{
	struct doc_service *s = out;
	int r = json_type(j) == JSON_NULL ? 0 : doc_match_labels(c, j, &s->selector);

	s->selector.present = s->selector.n > 0;
	return r;
}

static int parse_cluster_ip(const struct doc_ctx *c, const struct json *j, void *out)
{
	struct doc_service *s = out;

	return add_addr(c, j, &s->addrs, &s->n_addrs);
}

static int parse_cluster_ips(const struct doc_ctx *c, const struct json *j, void *out)
{
	return doc_core_list(c, j, parse_cluster_ip, out);
}

/* clusterIP is the first of clusterIPs, which old servers do not have. */
static int parse_single_cluster_ip(const struct doc_ctx *c, const struct json *j, void *out)
{
	const struct json *single = json_get(j, "clusterIP");

	return json_type(single) == JSON_STRING && !json_len(json_get(j, "clusterIPs"))
		       ? parse_cluster_ip(c, single, out)
		       : 0;
}

static int parse_service_port(const struct doc_ctx *c, const struct json *j, void *out)
{
	struct doc_service *s = out;

	return add_port(c, j, &s->ports, &s->n_ports);
}

static int parse_service_ports(const struct doc_ctx *c, const struct json *j, void *out)
{
	return doc_core_list(c, j, parse_service_port, out);
}

static const struct field service_spec_fields[] = {
	{.name = "selector", .parse = parse_service_selector},
	{.name = "clusterIPs", .parse = parse_cluster_ips},
	{.name = "ports", .parse = parse_service_ports},
	FIELDS_OPEN_END,
};

const struct field doc_service_fields[] = {
	{.name = "metadata", .parse = doc_core_meta_parse, .use = FIELD_REQUIRED},
	{.name = "spec", .sub = service_spec_fields, .parse = parse_single_cluster_ip},
	FIELDS_OPEN_END,
};

/* ---- EndpointSlice ---- */

void doc_slice_done(void *slice)
{
	struct doc_slice *s = slice;

	free(s->service);
	free(s->addrs);
	ports_done(s->ports, s->n_ports);
	doc_meta_done(&s->meta);
}

static int parse_slice_meta(const struct doc_ctx *c, const struct json *j, void *out)
{
	struct doc_slice *s = out;
	int r = doc_core_meta_parse(c, j, out);

	if (r == 0 && labels_get(&s->meta.labels, LABEL_SERVICE_NAME))
		s->service = mem_strdup(labels_get(&s->meta.labels, LABEL_SERVICE_NAME));
	return r;
}

static int parse_endpoint_addr(const struct doc_ctx *c, const struct json *j, void *out)
{
	struct doc_slice *s = out;

	return add_addr(c, j, &s->addrs, &s->n_addrs);
}

static int parse_endpoint_addrs(const struct doc_ctx *c, const struct json *j, void *out)
{
	return doc_core_list(c, j, parse_endpoint_addr, out);
}

/* Ready or not: one that still has connections counts as well. */
static const struct field endpoint_fields[] = {
	{.name = "addresses", .parse = parse_endpoint_addrs},
	FIELDS_OPEN_END,
};

static int parse_endpoint(const struct doc_ctx *c, const struct json *j, void *out)
{
	return doc_fields(c, j, endpoint_fields, out);
}

static int parse_endpoints(const struct doc_ctx *c, const struct json *j, void *out)
{
	return doc_core_list(c, j, parse_endpoint, out);
}

static int parse_slice_port(const struct doc_ctx *c, const struct json *j, void *out)
{
	struct doc_slice *s = out;

	return add_port(c, j, &s->ports, &s->n_ports);
}

static int parse_slice_ports(const struct doc_ctx *c, const struct json *j, void *out)
{
	return doc_core_list(c, j, parse_slice_port, out);
}

const struct field doc_slice_fields[] = {
	{.name = "metadata", .parse = parse_slice_meta, .use = FIELD_REQUIRED},
	{.name = "endpoints", .parse = parse_endpoints},
	{.name = "ports", .parse = parse_slice_ports},
	FIELDS_OPEN_END,
};

/* The API servers write one list, of that name: who may create others speaks for nobody. */
bool doc_slice_is_api(const struct doc_slice *s)
{
	return s->service && strcmp(s->meta.namespace, "default") == 0 &&
	       strcmp(s->meta.name, "kubernetes") == 0 && strcmp(s->service, "kubernetes") == 0;
}
