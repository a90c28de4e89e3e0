/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An object of the API is mostly of no concern here: managed fields, statuses of others, a
 * Node's images, a Pod's containers. What is kept of it is what the parser reads, so that a
 * heartbeat of a kubelet is no change.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/shared.h"
#include "json/json.h"
#include "reconcile/objects_priv.h"

static const char *text_of(const struct json *j)
{
	const char *s;

	return json_string(j, &s, NULL) == 0 ? s : NULL;
}

const char *object_uid_said(const struct json *in)
{
	return text_of(json_get(json_get(in, "metadata"), "uid"));
}

static void copy(struct json *to, const struct json *from, const char *key)
{
	const struct json *v = json_get(from, key);

	if (v && json_type(v) != JSON_NULL)
		json_set(to, key, json_dup(v));
}

static void reduce_spec(const struct json *in, struct json *out)
{
	copy(out, in, "spec");
}

static void reduce_gateway(const struct json *in, struct json *out)
{
	struct json *meta = json_dup(json_get(out, "metadata"));

	copy(meta, json_get(in, "metadata"), "creationTimestamp");
	json_set(out, "metadata", meta);
	copy(out, in, "spec");
}

static void reduce_nothing(const struct json *in, struct json *out)
{
}

/* Ready alone, and without the time of its heartbeat. */
static struct json *node_ready(const struct json *conditions)
{
	struct json *list = json_new_array();

	for (size_t i = 0; i < json_len(conditions); i++) {
		const struct json *from = json_at(conditions, i);
		const char *type = text_of(json_get(from, "type"));
		struct json *o;

		if (!type || strcmp(type, "Ready") != 0)
			continue;
		o = json_new_object();
		copy(o, from, "type");
		copy(o, from, "status");
		json_append(list, o);
	}
	return list;
}

static struct json *node_taints(const struct json *taints)
{
	struct json *list = json_new_array();

	for (size_t i = 0; i < json_len(taints); i++) {
		struct json *o = json_new_object();

		copy(o, json_at(taints, i), "key");
		json_append(list, o);
	}
	return list;
}

static void reduce_node(const struct json *in, struct json *out)
{
	struct json *spec = json_new_object(), *status = json_new_object();

	copy(spec, json_get(in, "spec"), "podCIDR");
	copy(spec, json_get(in, "spec"), "podCIDRs");
	copy(spec, json_get(in, "spec"), "unschedulable");
	json_set(spec, "taints", node_taints(json_get(json_get(in, "spec"), "taints")));
	copy(status, json_get(in, "status"), "addresses");
	json_set(status, "conditions", node_ready(json_get(json_get(in, "status"), "conditions")));
	json_set(out, "spec", spec);
	json_set(out, "status", status);
}

static void reduce_pod(const struct json *in, struct json *out)
{
	struct json *meta = json_dup(json_get(out, "metadata")), *spec = json_new_object();

	copy(meta, json_get(in, "metadata"), "uid");
	copy(spec, json_get(in, "spec"), "nodeName");
	copy(spec, json_get(in, "spec"), "hostNetwork");
	json_set(out, "metadata", meta);
	json_set(out, "spec", spec);
}

static void copy_ports(struct json *to, const struct json *list)
{
	struct json *ports = json_new_array();

	for (size_t i = 0; i < json_len(list); i++) {
		struct json *port = json_new_object();

		copy(port, json_at(list, i), "name");
		copy(port, json_at(list, i), "protocol");
		copy(port, json_at(list, i), "port");
		copy(port, json_at(list, i), "nodePort");
		json_append(ports, port);
	}
	json_set(to, "ports", ports);
}

static void reduce_service(const struct json *in, struct json *out)
{
	const struct json *from = json_get(in, "spec");
	struct json *spec = json_new_object();

	copy(spec, from, "selector");
	copy(spec, from, "clusterIP");
	copy(spec, from, "clusterIPs");
	copy_ports(spec, json_get(from, "ports"));
	json_set(out, "spec", spec);
}

static void reduce_slice(const struct json *in, struct json *out)
{
	const struct json *list = json_get(in, "endpoints");
	struct json *endpoints = json_new_array();

	for (size_t i = 0; i < json_len(list); i++) {
		struct json *e = json_new_object();

		copy(e, json_at(list, i), "addresses");
		json_append(endpoints, e);
	}
	json_set(out, "endpoints", endpoints);
	copy_ports(out, json_get(in, "ports"));
}

/* ---- what of it is read at all ---- */

#define WANT(name_, ...) static const struct json_want name_[] = {__VA_ARGS__, {NULL, NULL}}

WANT(want_meta, {"name", NULL}, {"namespace", NULL}, {"labels", NULL}, {"uid", NULL},
     {"resourceVersion", NULL}, {"creationTimestamp", NULL}, {"generation", NULL},
     {"deletionTimestamp", NULL});
WANT(want_ours, {"metadata", want_meta}, {"spec", NULL}, {"status", NULL});
WANT(want_namespace, {"metadata", want_meta});
WANT(want_taint, {"key", NULL});
WANT(want_node_spec, {"podCIDR", NULL}, {"podCIDRs", NULL}, {"unschedulable", NULL},
     {"taints", want_taint});
WANT(want_condition, {"type", NULL}, {"status", NULL});
WANT(want_node_status, {"addresses", NULL}, {"conditions", want_condition});
WANT(want_node, {"metadata", want_meta}, {"spec", want_node_spec}, {"status", want_node_status});
WANT(want_pod_spec, {"nodeName", NULL}, {"hostNetwork", NULL});
WANT(want_pod_status, {"podIP", NULL}, {"podIPs", NULL});
WANT(want_pod, {"metadata", want_meta}, {"spec", want_pod_spec}, {"status", want_pod_status});
WANT(want_service_spec, {"selector", NULL}, {"clusterIP", NULL}, {"clusterIPs", NULL},
     {"ports", NULL});
WANT(want_service, {"metadata", want_meta}, {"spec", want_service_spec});
WANT(want_endpoint, {"addresses", NULL});
WANT(want_slice, {"metadata", want_meta}, {"endpoints", want_endpoint}, {"ports", NULL});

const struct json_want *objects_want(enum collection c)
{
	static const struct json_want *const of_core[OBJECTS_N] = {
		[OBJECTS_NAMESPACES] = want_namespace,
		[OBJECTS_NODES] = want_node,
		[OBJECTS_PODS] = want_pod,
		[OBJECTS_SLICES] = want_slice,
		[OBJECTS_SERVICES] = want_service,
	};

	return of_core[c] ?: want_ours;
}

#define OURS(resource, kind_, ns)                                                        \
	{                                                                                \
		"/apis/sluice.dev/v1alpha1/" resource, "sluice.dev/v1alpha1", kind_, ns, \
			reduce_spec                                                      \
	}

const struct object_kind object_kinds[OBJECTS_N] = {
	[OBJECTS_CONFIGS] = OURS("sluiceconfigs", "SluiceConfig", false),
	[OBJECTS_GATEWAYS] = {"/apis/sluice.dev/v1alpha1/egressgateways", "sluice.dev/v1alpha1",
			      "EgressGateway", false, reduce_gateway},
	[OBJECTS_CLUSTER_POLICIES] = OURS("clusteregresspolicies", "ClusterEgressPolicy", false),
	[OBJECTS_POLICIES] = OURS("egresspolicies", "EgressPolicy", true),
	[OBJECTS_CLUSTER_DESTINATIONS] = OURS("clusteregressdestinations",
					      "ClusterEgressDestination", false),
	[OBJECTS_DESTINATIONS] = OURS("egressdestinations", "EgressDestination", true),
	[OBJECTS_NAMESPACES] = {"/api/v1/namespaces", "v1", "Namespace", false, reduce_nothing},
	[OBJECTS_NODES] = {"/api/v1/nodes", "v1", "Node", false, reduce_node},
	[OBJECTS_PODS] = {"/api/v1/pods", "v1", "Pod", true, reduce_pod},
	[OBJECTS_SLICES] = {"/apis/discovery.k8s.io/v1/endpointslices", "discovery.k8s.io/v1",
			    "EndpointSlice", true, reduce_slice},
	[OBJECTS_SERVICES] = {"/api/v1/services", "v1", "Service", true, reduce_service},
};

const char *objects_path(enum collection c)
{
	return object_kinds[c].path;
}

const char *objects_old_path(enum collection c)
{
	return c == OBJECTS_SLICES ? "/apis/discovery.k8s.io/v1beta1/endpointslices" : NULL;
}

/* Slices of selected pods lie inside, and there may be very many of them. */
const char *objects_query(enum collection c)
{
	return c == OBJECTS_SLICES ? "labelSelector=endpointslice.kubernetes.io%2Fmanaged-by"
				     "%21%3Dendpointslice-controller.k8s.io"
				   : NULL;
}

const char *objects_resource(enum collection c)
{
	return strrchr(object_kinds[c].path, '/') + 1;
}

const char *objects_kind(enum collection c)
{
	return object_kinds[c].kind;
}

struct json *object_reduce(enum collection c, const struct json *in)
{
	const struct object_kind *k = &object_kinds[c];
	const struct json *from = json_get(in, "metadata");
	struct json *out, *meta;

	if (!text_of(json_get(from, "name")))
		return NULL;
	out = json_new_object();
	meta = json_new_object();
	/* items of a list say neither */
	json_set(out, "apiVersion", json_new_string(k->api_version));
	json_set(out, "kind", json_new_string(k->kind));
	copy(meta, from, "name");
	if (k->namespaced)
		copy(meta, from, "namespace");
	copy(meta, from, "labels");
	json_set(out, "metadata", meta);
	k->reduce(in, out);
	return out;
}

/* ---- what the store needs ---- */

static void note_ip(struct object *obj, const struct json *ip)
{
	const char *s = text_of(ip);
	struct addr a;

	if (!s || addr_parse(s, &a) < 0)
		return;
	if (addr_is_v4(a)) {
		obj->has_v4 = true;
		memcpy(obj->v4, addr_bytes(&a), sizeof(obj->v4));
	} else {
		obj->has_v6 = true;
		memcpy(obj->v6, addr_bytes(&a), sizeof(obj->v6));
	}
}

static void note_pod(struct object *obj, const struct json *in)
{
	const struct json *status = json_get(in, "status");
	const struct json *ips = json_get(status, "podIPs");
	bool host_network = false;

	obj->has_v4 = obj->has_v6 = false;
	json_bool(json_get(json_get(in, "spec"), "hostNetwork"), &host_network, NULL);
	obj->host_network = host_network;
	for (size_t i = 0; i < json_len(ips); i++)
		note_ip(obj, json_get(json_at(ips, i), "ip"));
	if (!json_len(ips))
		note_ip(obj, json_get(status, "podIP"));
}

/* Not in what is kept of it: the taint comes and goes without a compile. */
static void note_node(struct object *obj, const struct json *in)
{
	const struct json *list = json_get(json_get(in, "spec"), "taints");

	obj->tainted = false;
	for (size_t i = 0; i < json_len(list); i++) {
		const char *key = text_of(json_get(json_at(list, i), "key"));

		obj->tainted |= key && strcmp(key, OBJECT_TAINT) == 0;
	}
}

/* Many policies' say the same, of the same second. */
static bool note_status(struct object *obj, const struct json *status)
{
	__cleanup_free char *text = json_type(status) == JSON_OBJECT ? json_emit(status, 0) : NULL;
	const char *now = shared_text(text), *was = obj->more->status;

	if (now != was)
		object_more(obj)->status = now;
	shared_drop(now != was ? was : now);
	return now != was;
}

/* Of our own kinds. */
static bool note_ours(struct object *obj, const struct json *in)
{
	const struct json *meta = json_get(in, "metadata");
	const char *created = text_of(json_get(meta, "creationTimestamp"));
	struct object_more *more = object_more(obj);
	int64_t generation = more->generation;

	if (!created || !doc_moment(created, &more->created))
		more->created = 0;
	if (json_int(json_get(meta, "generation"), 0, INT64_MAX, &more->generation, NULL) < 0)
		more->generation = 0;
	object_note_uid(obj, object_uid_said(in));
	return note_status(obj, json_get(in, "status")) || generation != more->generation;
}

bool object_note(struct object *obj, enum collection c, const struct json *in)
{
	obj->deleting = text_of(json_get(json_get(in, "metadata"), "deletionTimestamp")) != NULL;
	if (c == OBJECTS_PODS)
		note_pod(obj, in);
	if (c == OBJECTS_NODES)
		note_node(obj, in);
	return c < OBJECTS_NAMESPACES && note_ours(obj, in);
}
