/* SPDX-License-Identifier: Apache-2.0 */
/* What the cluster is: SluiceConfig, and of Node, Namespace, Pod, Service the little that counts.
 */
#include <string.h>

#include "base/mem.h"
#include "base/uuid.h"
#include "policy/doc_priv.h"

#define MARK_BITS 11 /* DIVERT and ten bits of id, bpf/abi.h */

/* ---- SluiceConfig ---- */

void doc_config_done(void *config)
{
	struct doc_config *d = config;

	free(d->cluster_cidrs);
	free(d->node_cidrs);
	free(d->resolvers);
	doc_meta_done(&d->meta);
}

static int parse_cluster_cidr(const struct doc_ctx *c, const struct json *j, void *out)
{
	struct doc_config *d = out;

	MEM_GROW(d->cluster_cidrs, d->n_cluster_cidrs);
	return doc_cidr(c, j, &d->cluster_cidrs[d->n_cluster_cidrs++]);
}

static int parse_cluster_cidrs(const struct doc_ctx *c, const struct json *j, void *out)
{
	return doc_list(c, j, DOC_MAX_LIST, parse_cluster_cidr, out);
}

static int parse_node_cidr(const struct doc_ctx *c, const struct json *j, void *out)
{
	struct doc_config *d = out;

	MEM_GROW(d->node_cidrs, d->n_node_cidrs);
	return doc_cidr(c, j, &d->node_cidrs[d->n_node_cidrs++]);
}

static int parse_node_cidrs(const struct doc_ctx *c, const struct json *j, void *out)
{
	return doc_list(c, j, DOC_MAX_LIST, parse_node_cidr, out);
}

static int parse_resolver(const struct doc_ctx *c, const struct json *j, void *out)
{
	struct doc_config *d = out;

	MEM_GROW(d->resolvers, d->n_resolvers);
	return doc_addr(c, j, &d->resolvers[d->n_resolvers++]);
}

static int parse_resolvers(const struct doc_ctx *c, const struct json *j, void *out)
{
	return doc_list(c, j, DOC_MAX_LIST, parse_resolver, out);
}

/* YAML writes 0xffe00000 as it is; JSON needs the number or the same in quotes. */
static int parse_mask(const struct doc_ctx *c, const struct json *j, void *out)
{
	struct doc_config *d = out;
	const char *s = "";
	int64_t v = 0;
	uint32_t low;
	int r = 0;

	if (json_type(j) != JSON_STRING)
		r = doc_int(c, j, UINT32_MAX, &v);
	else if (json_string(j, &s, c->e) == 0 && s[0] == '0' && (s[1] == 'x') && s[2] &&
		 strlen(s) <= 10 && s[2 + strspn(s + 2, "0123456789abcdefABCDEF")] == '\0')
		v = (int64_t)strtoul(s + 2, NULL, 16);
	if (r < 0)
		return r;
	low = (uint32_t)v & -(uint32_t)v;
	if (__builtin_popcount((uint32_t)v) != MARK_BITS ||
	    (uint64_t)v != (uint64_t)low * ((1u << MARK_BITS) - 1))
		return doc_fail(c, j, "expected %d adjacent bits such as 0xffe00000, found %s",
				MARK_BITS, json_show(j));
	d->mark_mask = (uint32_t)v;
	return 0;
}

static int parse_tunnel_port(const struct doc_ctx *c, const struct json *j, void *out)
{
	struct doc_config *d = out;
	int64_t v = 0;
	int r = doc_int(c, j, UINT16_MAX, &v);

	if (r == 0 && (v == 0 || v == 4789 || v == 8472))
		return doc_fail(c, j,
				"expected a UDP port other than 0 and the VXLAN ports of CNIs, "
				"4789 and 8472, found %d",
				(int)v);
	d->tunnel_port = (uint16_t)v;
	return r;
}

static int parse_seconds(const struct doc_ctx *c, const struct json *j, uint32_t *ret)
{
	uint32_t ms = 0;
	int r = doc_duration(c, j, 1000, &ms);

	*ret = ms / 1000;
	return r;
}

static int parse_min_ttl(const struct doc_ctx *c, const struct json *j, void *out)
{
	return parse_seconds(c, j, &((struct doc_config *)out)->min_ttl);
}

static int parse_grace(const struct doc_ctx *c, const struct json *j, void *out)
{
	return parse_seconds(c, j, &((struct doc_config *)out)->grace);
}

static int parse_audit(const struct doc_ctx *c, const struct json *j, void *out)
{
	return doc_bool(c, j, &((struct doc_config *)out)->audit);
}

static int finish_config(const struct doc_ctx *c, const struct json *j, void *out)
{
	const struct json *dns = json_get(j, "dns");
	struct doc_config *d = out;

	if (!json_get(dns, "minTTL"))
		d->min_ttl = DOC_MIN_TTL;
	if (!json_get(dns, "grace"))
		d->grace = DOC_GRACE;
	return 0;
}

static int check_config_name(const struct doc_ctx *c, const struct json *j, void *out)
{
	const struct doc_config *d = out;
	int r = doc_meta_parse(c, j, out);

	if (r == 0 && strcmp(d->meta.name, "default") != 0)
		return doc_fail(c, json_get(j, "name"),
				"expected 'default', the only SluiceConfig there is, found '%s'",
				d->meta.name);
	return r;
}

static const struct field dns_fields[] = {
	{.name = "resolvers", .parse = parse_resolvers, .use = FIELD_REQUIRED},
	{.name = "minTTL", .parse = parse_min_ttl},
	{.name = "grace", .parse = parse_grace},
	FIELDS_END,
};

static const struct field config_spec_fields[] = {
	{.name = "clusterCIDRs", .parse = parse_cluster_cidrs},
	{.name = "nodeCIDRs", .parse = parse_node_cidrs},
	{.name = "dns", .sub = dns_fields},
	{.name = "audit", .parse = parse_audit},
	{.name = "markMask", .parse = parse_mask},
	{.name = "tunnelPort", .parse = parse_tunnel_port},
	{.name = "sinks", .use = FIELD_LATER},
	FIELDS_END,
};

const struct field doc_config_fields[] = {
	{.name = "apiVersion"},
	{.name = "kind"},
	{.name = "metadata", .parse = check_config_name, .use = FIELD_REQUIRED},
	{.name = "spec", .sub = config_spec_fields, .parse = finish_config, .use = FIELD_REQUIRED},
	{.name = "status", .use = FIELD_IGNORED},
	FIELDS_END,
};

/* ---- Node ---- */

void doc_node_done(void *node)
{
	struct doc_node *n = node;

	free(n->addrs);
	free(n->pod_cidrs);
	doc_meta_done(&n->meta);
}

static int parse_pod_cidr(const struct doc_ctx *c, const struct json *j, void *out)
{
	struct doc_node *n = out;

	MEM_GROW(n->pod_cidrs, n->n_pod_cidrs);
	return doc_cidr(c, j, &n->pod_cidrs[n->n_pod_cidrs++]);
}

static int parse_pod_cidrs(const struct doc_ctx *c, const struct json *j, void *out)
{
	return doc_core_list(c, j, parse_pod_cidr, out);
}

/* podCIDR is the first of podCIDRs (core/v1 NodeSpec): read it only when it stands alone. */
static int parse_single_pod_cidr(const struct doc_ctx *c, const struct json *j, void *out)
{
	const struct json *single = json_get(j, "podCIDR");

	return single && !json_get(j, "podCIDRs") ? parse_pod_cidr(c, single, out) : 0;
}

struct node_addr_item {
	const char *type, *address;
};

static int parse_addr_type(const struct doc_ctx *c, const struct json *j, void *out)
{
	return doc_string(c, j, DOC_MAX_STRING, &((struct node_addr_item *)out)->type);
}

static int parse_addr_text(const struct doc_ctx *c, const struct json *j, void *out)
{
	return doc_string(c, j, DOC_MAX_STRING, &((struct node_addr_item *)out)->address);
}

static int parse_node_addr(const struct doc_ctx *c, const struct json *j, void *out)
{
	static const struct field fields[] = {
		{.name = "type", .parse = parse_addr_type, .use = FIELD_REQUIRED},
		{.name = "address", .parse = parse_addr_text, .use = FIELD_REQUIRED},
		FIELDS_OPEN_END,
	};
	struct node_addr_item item = {0};
	struct doc_node *n = out;
	bool internal;
	int r = doc_fields(c, j, fields, &item);

	if (r < 0)
		return r;
	internal = strcmp(item.type, "InternalIP") == 0;
	if (!internal && strcmp(item.type, "ExternalIP") != 0)
		return 0; /* Hostname, InternalDNS, ExternalDNS */
	MEM_GROW(n->addrs, n->n_addrs);
	n->addrs[n->n_addrs].internal = internal;
	return doc_addr(c, json_get(j, "address"), &n->addrs[n->n_addrs++].addr);
}

static int parse_node_addrs(const struct doc_ctx *c, const struct json *j, void *out)
{
	return doc_core_list(c, j, parse_node_addr, out);
}

static int parse_unschedulable(const struct doc_ctx *c, const struct json *j, void *out)
{
	bool on = false;
	int r = doc_bool(c, j, &on);

	((struct doc_node *)out)->leaving |= on;
	return r;
}

static int parse_taint_key(const struct doc_ctx *c, const struct json *j, void *out)
{
	/* what cordons, shuts down and takes away */
	static const char *const leaving[] = {
		"node.kubernetes.io/unschedulable",
		"node.kubernetes.io/out-of-service",
		"node.cloudprovider.kubernetes.io/shutdown",
		"ToBeDeletedByClusterAutoscaler",
		"karpenter.sh/disrupted",
		"karpenter.sh/disruption",
	};
	const char *s = "";
	int r = doc_string(c, j, DOC_MAX_STRING, &s);

	for (size_t i = 0; i < sizeof(leaving) / sizeof(leaving[0]); i++)
		((struct doc_node *)out)->leaving |= r == 0 && strcmp(s, leaving[i]) == 0;
	return r;
}

static int parse_taint(const struct doc_ctx *c, const struct json *j, void *out)
{
	static const struct field fields[] = {
		{.name = "key", .parse = parse_taint_key, .use = FIELD_REQUIRED},
		FIELDS_OPEN_END,
	};

	return doc_fields(c, j, fields, out);
}

static int parse_taints(const struct doc_ctx *c, const struct json *j, void *out)
{
	return doc_core_list(c, j, parse_taint, out);
}

struct node_condition {
	const char *type, *status;
};

static int parse_condition_type(const struct doc_ctx *c, const struct json *j, void *out)
{
	return doc_string(c, j, DOC_MAX_STRING, &((struct node_condition *)out)->type);
}

static int parse_condition_status(const struct doc_ctx *c, const struct json *j, void *out)
{
	return doc_string(c, j, DOC_MAX_STRING, &((struct node_condition *)out)->status);
}

static int parse_condition(const struct doc_ctx *c, const struct json *j, void *out)
{
	static const struct field fields[] = {
		{.name = "type", .parse = parse_condition_type},
		{.name = "status", .parse = parse_condition_status},
		FIELDS_OPEN_END,
	};
	struct node_condition k = {0};
	struct doc_node *n = out;
	int r = doc_fields(c, j, fields, &k);

	if (r == 0 && k.type && strcmp(k.type, "Ready") == 0)
		n->not_ready = !k.status || strcmp(k.status, "True") != 0;
	return r;
}

static int parse_conditions(const struct doc_ctx *c, const struct json *j, void *out)
{
	return doc_core_list(c, j, parse_condition, out);
}

static const struct field node_spec_fields[] = {
	{.name = "podCIDRs", .parse = parse_pod_cidrs},
	{.name = "unschedulable", .parse = parse_unschedulable},
	{.name = "taints", .parse = parse_taints},
	FIELDS_OPEN_END,
};

static const struct field node_status_fields[] = {
	{.name = "addresses", .parse = parse_node_addrs},
	{.name = "conditions", .parse = parse_conditions},
	FIELDS_OPEN_END,
};

const struct field doc_node_fields[] = {
	{.name = "metadata", .parse = doc_core_meta_parse, .use = FIELD_REQUIRED},
	{.name = "spec", .sub = node_spec_fields, .parse = parse_single_pod_cidr},
	{.name = "status", .sub = node_status_fields},
	FIELDS_OPEN_END,
};

/* ---- Namespace ---- */

void doc_namespace_done(void *ns)
{
	doc_meta_done(&((struct doc_namespace *)ns)->meta);
}

/* The API server sets this label on every namespace; files need not write it. */
static int parse_namespace_meta(const struct doc_ctx *c, const struct json *j, void *out)
{
	struct doc_namespace *ns = out;
	int r = doc_core_meta_parse(c, j, out);

	if (r == 0)
		labels_set(&ns->meta.labels, "kubernetes.io/metadata.name", ns->meta.name);
	return r;
}

const struct field doc_namespace_fields[] = {
	{.name = "metadata", .parse = parse_namespace_meta, .use = FIELD_REQUIRED},
	FIELDS_OPEN_END,
};

/* ---- Pod ---- */

void doc_pod_done(void *pod)
{
	struct doc_pod *p = pod;

	if (p->uid_kind == POD_UID_TEXT)
		free(p->uid_text);
	free(p->node_name);
	doc_meta_done(&p->meta);
}

const char *doc_pod_uid(const struct doc_pod *pod)
{
	static char ring[4][UUID_STRLEN];
	static unsigned int next;

	if (pod->uid_kind == POD_UUID)
		return uuid_emit(pod->uuid, ring[next++ % 4]);
	return pod->uid_kind == POD_UID_TEXT ? pod->uid_text : NULL;
}

static void set_uid(struct doc_pod *pod, const char *s)
{
	pod->uid_kind = POD_UUID;
	if (uuid_parse(s, pod->uuid))
		return;
	pod->uid_kind = POD_UID_TEXT;
	pod->uid_text = mem_strdup(s);
}

static int parse_pod_meta(const struct doc_ctx *c, const struct json *j, void *out)
{
	const struct json *uid = json_get(j, "uid");
	const char *s = "";
	int r = uid ? doc_string(c, uid, DOC_MAX_NAME, &s) : 0;

	if (r < 0)
		return r;
	if (uid)
		set_uid(out, s);
	return doc_core_meta_parse(c, j, out);
}

static int parse_node_name(const struct doc_ctx *c, const struct json *j, void *out)
{
	return doc_subdomain(c, j, &((struct doc_pod *)out)->node_name);
}

static int parse_host_network(const struct doc_ctx *c, const struct json *j, void *out)
{
	return doc_bool(c, j, &((struct doc_pod *)out)->host_network);
}

static const struct field pod_spec_fields[] = {
	{.name = "nodeName", .parse = parse_node_name},
	{.name = "hostNetwork", .parse = parse_host_network},
	FIELDS_OPEN_END,
};

const struct field doc_pod_fields[] = {
	{.name = "metadata", .parse = parse_pod_meta, .use = FIELD_REQUIRED},
	{.name = "spec", .sub = pod_spec_fields},
	FIELDS_OPEN_END,
};
