/* SPDX-License-Identifier: Apache-2.0 */
/* support-bundle, of a cluster: what its verbs say, and the objects that they say it from. */
#include "../sluicectl/bundle.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../sluicectl/capture.h"
#include "../sluicectl/text.h"
#include "base/mem.h"
#include "cluster.h"

/* ---- what is kept of objects ---- */

/* The last-applied annotation repeats the object as somebody wrote it, and nobody reads it. */
static struct json *meta_kept(const struct json *o)
{
	struct json *meta = json_dup(json_get(o, "metadata")), *annotations;

	json_del(meta, "managedFields");
	if (json_get(meta, "annotations")) {
		annotations = json_dup(json_get(meta, "annotations"));
		json_del(annotations, "kubectl.kubernetes.io/last-applied-configuration");
		json_set(meta, "annotations", annotations);
	}
	return meta;
}

static void copy(struct json *to, const struct json *from, const char *key)
{
	if (json_get(from, key))
		json_set(to, key, json_dup(json_get(from, key)));
}

static struct json *whole(const struct json *o)
{
	struct json *out = json_new_object();

	json_set(out, "metadata", meta_kept(o));
	copy(out, o, "spec");
	copy(out, o, "status");
	return out;
}

static struct json *node_kept(const struct json *o)
{
	const struct json *status = json_get(o, "status");
	struct json *out = json_new_object(), *to = json_new_object();

	json_set(out, "metadata", meta_kept(o));
	copy(out, o, "spec");
	copy(to, status, "conditions");
	copy(to, status, "addresses");
	copy(to, status, "nodeInfo");
	json_set(out, "status", to);
	return out;
}

/* Not what its containers are given: an environment may hold anything. */
static struct json *pod_kept(const struct json *o)
{
	struct json *out = json_new_object();

	json_set(out, "metadata", meta_kept(o));
	json_set(out, "nodeName", json_new_string(text_of(json_get(o, "spec"), "nodeName")));
	copy(out, o, "status");
	return out;
}

static struct json *event_kept(const struct json *o)
{
	static const char *const keys[] = {"involvedObject", "reason",	      "message",  "type",
					   "count",	     "lastTimestamp", "eventTime"};
	struct json *out = json_new_object();

	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
		copy(out, o, keys[i]);
	return out;
}

static struct json *meta_alone(const struct json *o)
{
	struct json *out = json_new_object();

	json_set(out, "metadata", meta_kept(o));
	return out;
}

/* ---- what is asked ---- */

static struct json *service_kept(const struct json *o)
{
	struct json *out = meta_alone(o);

	copy(out, o, "spec");
	return out;
}

static struct json *slice_kept(const struct json *o)
{
	struct json *out = meta_alone(o);

	copy(out, o, "addressType");
	copy(out, o, "endpoints");
	copy(out, o, "ports");
	return out;
}

/* Who it is to policies, and nothing that its owners wrote for others. */
static struct json *subject_kept(const struct json *o)
{
	static const char *const keys[] = {"namespace", "name", "uid", "labels",
					   "deletionTimestamp"};
	const struct json *spec = json_get(o, "spec"), *status = json_get(o, "status");
	struct json *out = json_new_object(), *meta = json_new_object(), *to = json_new_object();

	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
		copy(meta, json_get(o, "metadata"), keys[i]);
	copy(to, status, "phase");
	copy(to, status, "podIPs");
	json_set(out, "metadata", meta);
	copy(out, spec, "nodeName");
	copy(out, spec, "hostNetwork");
	json_set(out, "status", to);
	return out;
}

static const struct part {
	const char *name, *path, *query; /* path NULL: of EndpointSlices, as daemons ask for them */
	struct json *(*keep)(const struct json *o);
} parts[] = {
	{"sluiceconfigs", API_OURS "sluiceconfigs", NULL, whole},
	{"egressgateways", API_OURS "egressgateways", NULL, whole},
	{"clusteregresspolicies", API_OURS "clusteregresspolicies", NULL, whole},
	{"egresspolicies", API_OURS "egresspolicies", NULL, whole},
	{"clusteregressdestinations", API_OURS "clusteregressdestinations", NULL, whole},
	{"egressdestinations", API_OURS "egressdestinations", NULL, whole},
	{"nodes", "/api/v1/nodes", NULL, node_kept},
	{"daemons", "/api/v1/pods", API_DAEMONS, pod_kept},
	{"namespaces", "/api/v1/namespaces", NULL, meta_alone},
	{"pods", "/api/v1/pods", CLUSTER_PODS_ALIVE, subject_kept},
	{"services", "/api/v1/services", NULL, service_kept},
	{"endpointslices", NULL, NULL, slice_kept},
	{"events", "/api/v1/events", "fieldSelector=source%3Dsluiced", event_kept},
};

#define N_PARTS (sizeof(parts) / sizeof(*parts))

struct collected {
	const struct part *part;
	struct json *list;
	size_t n;
};

/* What one file has room for: so many objects are an answer, and more of them are no other one. */
#define OBJECTS_MAX 20000

static void on_begin(void *data)
{
	struct collected *c = data;

	json_free(c->list);
	c->list = json_new_array();
	c->n = 0;
}

static void on_object(void *data, const struct json *o)
{
	struct collected *c = data;

	if (c->n++ < OBJECTS_MAX)
		json_append(c->list, c->part->keep(o));
}

static void too_many(struct bundle *b, const char *kind, size_t n)
{
	__cleanup_free char *rest = mem_printf("%s: all but the first %d", kind, OBJECTS_MAX);
	__cleanup_free char *why = mem_printf("there are %zu", n);

	bundle_missing(b, rest, why);
}

/* Of a server that knows EndpointSlices by their older version only. */
static void slices_ask_old(struct api *a, struct api_ask *k)
{
	struct err e = {0};

	if (k->code != -ENOENT)
		return;
	k->path = objects_old_path(OBJECTS_SLICES);
	api_ask(a, k, 1, &e);
}

static void objects_add(struct bundle *b, struct api *a)
{
	struct collected found[N_PARTS];
	struct api_ask asks[N_PARTS];
	struct err e = {0};

	for (size_t i = 0; i < N_PARTS; i++) {
		found[i] = (struct collected){&parts[i], json_new_array(), 0};
		asks[i] = (struct api_ask){.path = parts[i].path ?: objects_path(OBJECTS_SLICES),
					   .query = parts[i].path ? parts[i].query
								  : objects_query(OBJECTS_SLICES),
					   .begin = on_begin,
					   .object = on_object,
					   .data = &found[i]};
	}
	api_ask(a, asks, N_PARTS, &e);
	for (size_t i = 0; i < N_PARTS; i++) {
		__cleanup_free char *name = mem_printf("%s.json", parts[i].name);

		if (!parts[i].path)
			slices_ask_old(a, &asks[i]);
		if (asks[i].code) {
			bundle_missing(b, name, asks[i].e.msg);
			json_free(found[i].list);
			continue;
		}
		bundle_add_json(b, name, found[i].list);
		if (found[i].n > OBJECTS_MAX)
			too_many(b, parts[i].name, found[i].n);
	}
}

static void one_add(struct bundle *b, struct api *a, const char *name, const char *path)
{
	struct json *found = NULL;
	struct err e = {0};

	if (api_get(a, path, &found, &e) < 0)
		bundle_missing(b, name, e.msg);
	else
		bundle_add_json(b, name, found);
}

/* ---- what verbs say ---- */

struct asked_verb {
	int (*run)(struct ctl *ctl);
	struct ctl ctl;
};

static int verb_child(void *data)
{
	struct asked_verb *k = data;

	return k->run(&k->ctl);
}

/* In a child, as each ends what it began; so before this process has a connection of its own. */
static void verbs_add(struct bundle *b, const struct ctl *ctl)
{
	static const struct {
		const char *name;
		int (*run)(struct ctl *ctl);
	} verbs[] = {{"status.json", cluster_status},
		     {"gateways.json", cluster_gateways},
		     {"policies.json", cluster_policies},
		     {"bindings.json", cluster_bindings}};

	for (size_t i = 0; i < sizeof(verbs) / sizeof(*verbs); i++) {
		__cleanup(captured_done) struct captured c = {0};
		struct asked_verb k = {verbs[i].run, *ctl};
		struct err e = {0};

		k.ctl.json = true;
		k.ctl.n_args = 0;
		if (capture(verb_child, &k, BUNDLE_FILE_MAX + 1, &c, &e) < 0)
			bundle_missing(b, verbs[i].name, e.msg);
		else
			bundle_add_said(b, verbs[i].name, &c);
	}
}

static void client_add(struct bundle *b, const struct api *a)
{
	struct json *o = json_new_object();
	time_t now = time(NULL);
	char when[32];
	struct tm tm;

	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &tm));
	json_set(o, "sluice", json_new_string(SLUICE_VERSION));
	json_set(o, "server", json_new_string(api_server(a)));
	json_set(o, "time", json_new_string(when));
	bundle_add_json(b, "client.json", o);
}

int cluster_support_bundle(struct ctl *ctl)
{
	__cleanup_free char *kubeconfigs = api_kubeconfigs(ctl);
	__cleanup_api struct api *a = NULL;
	struct bundle b = {.json = ctl->json};
	struct err e = {0};
	char *save = NULL;

	for (char *path = kubeconfigs ? strtok_r(kubeconfigs, ":", &save) : NULL; path;
	     path = strtok_r(NULL, ":", &save))
		redactor_learn_kubeconfig(&b.redactor, path);
	if (bundle_open(&b, "cluster", ctl->n_args ? ctl->args[0] : NULL, &e) < 0) {
		ctl_fail(&e);
		bundle_close(&b);
		return CTL_FAILED;
	}
	verbs_add(&b, ctl);
	if (api_open(ctl, &a, &e) < 0) {
		bundle_missing(&b, "objects", e.msg);
		return bundle_close(&b);
	}
	client_add(&b, a);
	one_add(&b, a, "server.json", "/version");
	objects_add(&b, a);
	return bundle_close(&b);
}
