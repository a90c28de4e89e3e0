/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../sluicectl/text.h"
#include "base/mem.h"
#include "policy/compile.h"

/* ---- reading ---- */

struct reading {
	struct objects *objects;
	enum collection c;
};

static void on_begin(void *data)
{
	const struct reading *r = data;

	objects_begin(r->objects, r->c);
}

static void on_object(void *data, const struct json *o)
{
	const struct reading *r = data;

	objects_put(r->objects, r->c, o);
}

static bool of_namespaces(enum collection c)
{
	return c == OBJECTS_POLICIES || c == OBJECTS_DESTINATIONS || c == OBJECTS_PODS ||
	       c == OBJECTS_SERVICES;
}

/* "/api/v1/namespaces/shop/pods" */
static char *path_in(enum collection c, const char *namespace)
{
	const char *path = objects_path(c), *last = strrchr(path, '/');

	return mem_printf("%.*s/namespaces/%s%s", (int)(last - path), path, namespace, last);
}

static char *path_of(enum collection c, const char *namespace, const char *pod)
{
	__cleanup_free char *list = NULL;

	if (!namespace)
		return mem_strdup(objects_path(c));
	if (c == OBJECTS_NAMESPACES)
		return mem_printf("%s/%s", objects_path(c), namespace);
	if (!of_namespaces(c))
		return mem_strdup(objects_path(c));
	list = path_in(c, namespace);
	return c == OBJECTS_PODS && pod ? mem_printf("%s/%s", list, pod) : TAKE(list);
}

static void refused_warn(const struct objects *o)
{
	for (enum collection c = 0; c < OBJECTS_NAMESPACES; c++)
		for (size_t i = 0; i < objects_count(o, c); i++) {
			const struct object *obj = objects_at(o, c, i);

			if (obj->more->refused)
				ctl_warn("%s. Nodes may have an earlier version of it in force, "
					 "which only they know",
					 obj->more->refused);
		}
}

/* A list of names of what there is, for who has mistaken himself. */
struct names {
	char **list;
	size_t n;
};

static void name_add(void *data, const struct json *o)
{
	struct names *names = data;

	MEM_GROW(names->list, names->n);
	names->list[names->n++] = mem_strdup(text_of(json_get(o, "metadata"), "name"));
}

static void meant_print(struct api *a, const char *path, const char *what, const char *name)
{
	struct names names = {0};
	struct api_ask k = {.path = path, .object = name_add, .data = &names};
	struct err e = {0};
	const char *meant = NULL;

	if (api_ask(a, &k, 1, &e) == 0)
		meant = closest(name, (const char *const *)names.list, names.n);
	if (meant)
		fprintf(stderr, "Did you mean the %s '%s'?\n", what, meant);
	for (size_t i = 0; i < names.n; i++)
		free(names.list[i]);
	free(names.list);
}

static void no_namespace_say(struct api *a, const char *namespace)
{
	ctl_warn("there is no namespace '%s'", namespace);
	meant_print(a, objects_path(OBJECTS_NAMESPACES), "namespace", namespace);
}

bool cluster_lacks(struct api *a, const char *namespace)
{
	__cleanup_free char *path = path_of(OBJECTS_NAMESPACES, namespace, NULL);
	__cleanup_json struct json *found = NULL;
	struct err e = {0};

	if (api_get(a, path, &found, &e) != -ENOENT)
		return false;
	no_namespace_say(a, namespace);
	return true;
}

/* The namespace or the pod that was asked for is not there. */
static bool absent(struct api *a, const struct api_ask *asks, size_t n, const char *namespace,
		   const char *pod)
{
	bool no_namespace = false, no_pod = false;
	__cleanup_free char *pods = NULL;

	for (size_t i = 0; i < n; i++) {
		const struct reading *r = asks[i].data;

		no_namespace |= asks[i].one && asks[i].code == -ENOENT &&
				r->c == OBJECTS_NAMESPACES;
		no_pod |= asks[i].one && asks[i].code == -ENOENT && r->c == OBJECTS_PODS;
	}
	if (!no_namespace && !no_pod)
		return false;
	pods = path_in(OBJECTS_PODS, namespace);
	if (no_namespace) {
		no_namespace_say(a, namespace);
	} else {
		ctl_warn("there is no pod '%s' in namespace '%s' (-n names another one)", pod,
			 namespace);
		meant_print(a, pods, "pod", pod);
	}
	return true;
}

struct round {
	struct objects *objects;
	struct api_ask asks[OBJECTS_N];
	struct reading readings[OBJECTS_N];
	char *paths[OBJECTS_N];
	size_t n;
};

static void round_done(struct round *r)
{
	for (size_t i = 0; i < r->n; i++)
		free(r->paths[i]);
}

static void round_add(struct round *r, enum collection c, const char *namespace, const char *pod)
{
	bool one_pod = c == OBJECTS_PODS && namespace && pod;
	size_t i = r->n++;

	r->readings[i] = (struct reading){r->objects, c};
	r->paths[i] = path_of(c, namespace, pod);
	r->asks[i] = (struct api_ask){
		.path = r->paths[i],
		.query = c != OBJECTS_PODS ? objects_query(c)
			 : one_pod	   ? NULL
					   : CLUSTER_PODS_ALIVE,
		.one = one_pod || (c == OBJECTS_NAMESPACES && namespace),
		.begin = on_begin,
		.object = on_object,
		.data = &r->readings[i],
	};
}

/* A server that knows the kind by its older version only, or not at all: then there are none. */
static void ask_by_old_path(struct api *a, struct api_ask *k, const struct reading *of)
{
	struct err e = {0};

	if (k->code == -ENOENT && objects_old_path(of->c)) {
		k->path = objects_old_path(of->c);
		if (api_ask(a, k, 1, &e) == -ENOENT)
			k->code = 0;
	}
	if (of->c != OBJECTS_SLICES || k->code != -EACCES)
		return;
	ctl_warn("a Service's address is taken to lie inside, wherever it leads: %s", k->e.msg);
	k->code = 0;
}

/* Those that are wanted and were not asked for yet. */
static int ask(struct api *a, struct objects *o, const char *namespace, const char *pod,
	       bool asked[OBJECTS_N])
{
	__cleanup(round_done) struct round round = {.objects = o};
	struct err e = {0};
	int r;

	for (enum collection c = 0; c < OBJECTS_N; c++) {
		if (asked[c] || !objects_wanted(o, c))
			continue;
		asked[c] = true;
		round_add(&round, c, namespace, pod);
	}
	r = api_ask(a, round.asks, round.n, &e);
	for (size_t i = 0; r < 0 && i < round.n; i++)
		ask_by_old_path(a, &round.asks[i], &round.readings[i]);
	if (r < 0)
		r = api_worst(round.asks, round.n, &e);
	for (size_t i = 0; r == 0 && i < round.n; i++)
		objects_synced(o, round.readings[i].c);
	if (r < 0 && !(r == -ENOENT && absent(a, round.asks, round.n, namespace, pod)))
		api_fail(round.asks, round.n, &e);
	return r < 0 ? CTL_FAILED : CTL_OK;
}

int cluster_read(struct api *a, const char *namespace, const char *pod, struct objects **ret)
{
	__cleanup(objects_freep) struct objects *o = NULL;
	bool asked[OBJECTS_N] = {false};
	struct err e = {0};
	int r;

	if (objects_new(-1, false, &o, &e) < 0)
		return ctl_fail(&e);
	r = ask(a, o, namespace, pod, asked);
	/* Services are wanted for what others say: policies, of their own, and slices, of any */
	if (r == CTL_OK)
		r = ask(a, o, objects_count(o, OBJECTS_SLICES) ? NULL : namespace, pod, asked);
	if (r != CTL_OK)
		return r;
	refused_warn(o);
	*ret = TAKE(o);
	return CTL_OK;
}

/* ---- judging ---- */

static struct json *carriers_of(const struct objects *o)
{
	struct json *carriers = json_new_object();

	for (size_t i = 0; i < objects_count(o, OBJECTS_GATEWAYS); i++) {
		const char *text = objects_at(o, OBJECTS_GATEWAYS, i)->more->status;
		__cleanup_json struct json *status = NULL;
		const struct json *list;

		if (!text || json_parse(text, strlen(text), &status, NULL) < 0)
			continue;
		list = json_get(status, "addresses");
		for (size_t k = 0; k < json_len(list); k++) {
			const struct json *entry = json_at(list, k);

			if (text_of(entry, "address"))
				json_set(carriers, text_of(entry, "address"), json_dup(entry));
		}
	}
	return carriers;
}

/*
 * Which interfaces a node has only the node knows. If it carries an address is told by its status;
 * so here every node has a place for every address: on interfaces that reach all there is, by
 * addresses that nobody could mean as a destination.
 */
static size_t ifaces_of(const struct doc_set *set, struct node_iface **ret)
{
	static struct cidr all[3] = {{.len = 96}, {.len = 1}, {.len = 1}};
	struct node_iface *list = mem_alloc0((set->n_gateways * 2 + 1) * sizeof(*list));
	size_t n = 0;

	addr_parse("127.0.0.1", &all[0].addr);
	addr_parse("::1", &all[1].addr);
	addr_parse("ffff::1", &all[2].addr);
	list[n++] = (struct node_iface){"any", all, 3};
	for (size_t i = 0; i < set->n_gateways; i++) {
		const struct doc_gateway *g = &set->gateways[i];

		if (g->interface)
			list[n++] = (struct node_iface){g->interface, all, 3};
		if (g->address_from)
			list[n++] = (struct node_iface){g->address_from, all, 3};
	}
	*ret = list;
	return n;
}

int cluster_view_as(struct view *v, const struct ctl *ctl, const char *node, struct err *e)
{
	__cleanup_free struct node_iface *ifaces = NULL;
	struct node_view as = {
		.name = node,
		.cluster_cidrs = ctl->conf.cluster_cidrs,
		.n_cluster_cidrs = ctl->conf.n_cluster_cidrs,
		.now = v->at,
	};
	int r;

	as.n_ifaces = ifaces_of(v->policies.set, &ifaces);
	as.ifaces = ifaces;
	compiled_free(TAKE(v->compiled));
	r = policy_compile(v->policies.set, &as, &v->compiled, e);
	return r == 0 ? view_image(v, &ctl->conf, e) : r;
}

int cluster_view(const struct ctl *ctl, struct objects *take_objects, const char *node, int64_t at,
		 struct view *ret, struct err *e)
{
	struct view v = {.at = at, .policies.objects = take_objects};
	int r;

	objects_set(take_objects, &v.policies.set);
	v.carriers = carriers_of(take_objects);
	r = cluster_view_as(&v, ctl, node, e);
	if (r < 0)
		view_done(&v);
	else
		*ret = v;
	return r;
}

/* Every pod's first interface is called so, by all the runtimes that Kubernetes has. */
struct record cluster_record(const struct doc_pod *pod)
{
	static char first[] = "eth0";

	return (struct record){
		.namespace = pod->meta.namespace,
		.pod = pod->meta.name,
		.ifname = first,
	};
}
