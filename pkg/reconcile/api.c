/* SPDX-License-Identifier: Apache-2.0 */
#include "reconcile/api.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/settle.h"
#include "json/json.h"
#include "reconcile/api_nodes.h"
#include "reconcile/api_taint.h"
#include "reconcile/api_tell.h"
#include "reconcile/objects.h"
#include "reconcile/priv.h"
#include "source/kube.h"
#include "source/kube_conf.h"
#include "source/kube_watch.h"

/* A plugin waits two seconds for its answer; then it goes by the snapshot. */
#define FETCH_MS 1700

struct watched {
	struct api *api;
	enum collection c;
	struct kube_watch *watch; /* NULL: nobody needs it yet */
};

struct fetch {
	struct api *api;
	struct fetch *next;
	struct kube_call *call;
	uint64_t question;
};

struct api {
	struct api_in in;
	struct objects *objects;
	struct kube *kube;
	struct watched watched[OBJECTS_N]; /* but for nodes */
	struct api_nodes *nodes;
	struct api_taint *taint; /* NULL: not asked for */
	struct fetch *fetches;
	struct api_tell *tell;
	uint64_t told_of; /* what was looked at last when there was something to tell */
	bool said;	  /* that it is not reached */
	bool refused;	  /* our token, by its last word */
	bool listed;	  /* a list came since the last pass */
};

/* ---- watches ---- */

static void watches_start(struct api *a);

static void tell(struct api *a)
{
	watches_start(a);
	api_nodes_look(a->nodes);
	api_taint_look(a->taint);
	if (objects_changed(a->objects))
		a->in.changed(a->in.data);
}

static void on_begin(void *data)
{
	struct watched *w = data;

	objects_begin(w->api->objects, w->c);
}

static void on_object(void *data, const struct json *object)
{
	struct watched *w = data;

	objects_put(w->api->objects, w->c, object);
	tell(w->api);
}

static void on_gone(void *data, const char *namespace, const char *name, const char *version)
{
	struct watched *w = data;

	objects_gone(w->api->objects, w->c, namespace ?: "", name, version);
	tell(w->api);
}

static void on_unreadable(void *data, const char *namespace, const char *name, const struct err *e)
{
	struct watched *w = data;

	objects_unreadable(w->api->objects, w->c, namespace ?: "", name, e);
}

static void on_synced(void *data)
{
	struct watched *w = data;

	objects_synced(w->api->objects, w->c);
	w->api->listed = true;
	if (objects_all_synced(w->api->objects))
		settle(); /* before the compile, which needs room of its own */
	tell(w->api);
}

/* One line when the API is lost, one when all of it is back; sluicectl status has the rest. */
static void trouble(struct api *a, enum collection c, const struct err *e)
{
	const char *what;

	objects_trouble(a->objects, c, e);
	what = objects_troubled(a->objects);
	if (what && !a->refused && !a->said) /* refused: said already */
		log_warn("API not reached: what is in force stays", "error=%s", log_quote(what));
	if (!what && a->said)
		log_info("API reached again", "collection=%s", objects_resource(c));
	a->said = what && (a->said || !a->refused);
}

/* One line for all that is asked: the token is read anew for each request, so nothing is lost. */
static void on_refused(void *data, const char *what)
{
	struct api *a = data;

	a->refused = what != NULL;
	if (what)
		log_warn("API refuses our token: what is in force stays",
			 "request=%s error=\"401 Unauthorized\"", log_quote(what));
	else
		log_info("API takes our token again", "node=%s", a->in.conf->node_name);
}

static void on_trouble(void *data, const struct err *e)
{
	struct watched *w = data;

	trouble(w->api, w->c, e);
}

static void on_nodes_told(void *data)
{
	tell(data);
}

static void on_nodes_trouble(void *data, const struct err *e)
{
	trouble(data, OBJECTS_NODES, e);
}

static void watch_start(struct api *a, enum collection c)
{
	static const struct kube_watch_ops ops = {on_begin,	 on_object, on_gone,
						  on_unreadable, on_synced, on_trouble};
	__cleanup_free char *own = mem_printf("fieldSelector=spec.nodeName%%3D%s",
					      a->in.conf->node_name);

	a->watched[c] = (struct watched){.api = a, .c = c};
	a->watched[c].watch = kube_watch_new(a->kube, objects_path(c),
					     c == OBJECTS_PODS ? own : objects_query(c), &ops,
					     &a->watched[c]);
	kube_watch_want(a->watched[c].watch, objects_want(c));
	if (objects_old_path(c))
		kube_watch_or(a->watched[c].watch, objects_old_path(c));
}

/* Services once a policy or a slice names one. The watch then stays: most often the policy does,
 * too. */
static void watches_start(struct api *a)
{
	for (enum collection c = 0; c < OBJECTS_N; c++)
		if (!a->watched[c].watch && c != OBJECTS_NODES && objects_wanted(a->objects, c))
			watch_start(a, c);
}

static void watches_again(struct api *a)
{
	for (enum collection c = 0; c < OBJECTS_N; c++)
		if (a->watched[c].watch)
			kube_watch_again(a->watched[c].watch);
	api_nodes_again(a->nodes);
}

/* ---- one pod ---- */

static void fetch_end(struct fetch *f)
{
	struct fetch **p = &f->api->fetches;

	while (*p != f)
		p = &(*p)->next;
	*p = f->next;
	free(f);
}

static void on_pod(void *data, int status, const struct json *body, const struct err *e)
{
	struct fetch *f = data;
	struct api *a = f->api;
	uint64_t question = f->question;

	fetch_end(f);
	if (status == 200 && body)
		objects_fetched(a->objects, OBJECTS_PODS, body);
	else if (status != 401)
		log_warn("pod not fetched", "error=%s", log_quote(e ? e->msg : "no object"));
	a->in.fetched(a->in.data, question);
	tell(a);
}

/* A name as Kubernetes has it: nothing in it that means something in a path. */
static const char *name_get(const struct json *request, const char *key)
{
	const char *s;

	if (json_string(json_get(request, key), &s, NULL) < 0 || !*s || strlen(s) > DOC_MAX_NAME ||
	    s[strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-.")] || *s == '.')
		return NULL;
	return s;
}

bool api_fetch_pod(struct api *a, uint64_t question, const struct json *request)
{
	const char *namespace = name_get(request, "namespace"), *name = name_get(request, "name");
	__cleanup_free char *path = NULL;
	struct fetch *f;

	if (!namespace || !name)
		return false;
	path = mem_printf("/api/v1/namespaces/%s/pods/%s", namespace, name);
	f = mem_alloc0(sizeof(*f));
	f->api = a;
	f->question = question;
	f->next = a->fetches;
	a->fetches = f;
	f->call = kube_call(a->kube, &(struct kube_request){.method = "GET",
							    .path = path,
							    .timeout_ms = FETCH_MS,
							    .done = on_pod,
							    .data = f});
	return true;
}

/* What is in force, what addresses are here, what is written there. */
void api_passed(struct api *a)
{
	const struct reconcile *r = a->in.reconcile;
	uint64_t of = hash_bytes(&r->compiled_serial, sizeof(r->compiled_serial),
				 objects_status_serial(a->objects) + r->rivals.serial);

	for (size_t i = 0; i < r->claims.n; i++) {
		const struct claim *k = &r->claims.items[i];

		of = hash_bytes(k->addr.b, sizeof(k->addr.b), of * 31 + (uint64_t)k->state);
	}
	if (objects_ask_again(a->objects))
		watches_again(a);
	api_taint_look(a->taint);
	if (of != a->told_of || shares_untold(&r->shares))
		api_tell_soon(a->tell);
	a->told_of = of;
	if (a->listed)
		settle(); /* of each item there was more than is kept */
	a->listed = false;
}

bool api_leads(const struct api *a)
{
	return api_tell_leads(a->tell);
}

bool api_end(struct api *a, void (*done)(void *data), void *data)
{
	return api_tell_end(a->tell, done, data);
}

/* ---- */

static int kube_open(struct api *a, struct err *e)
{
	__cleanup_kube_conf struct kube_conf conf = {0};
	int r = kube_conf_load(a->in.conf->kubeconfig, &conf, e);

	if (r == 0)
		r = kube_new(a->in.loop, &conf, &a->kube, e);
	if (r == 0)
		kube_on_refused(a->kube, on_refused, a);
	return r;
}

int api_new(const struct api_in *in, struct api **ret, struct err *e)
{
	__cleanup(api_freep) struct api *a = mem_alloc0(sizeof(*a));
	int r;

	a->in = *in;
	a->objects = reconcile_objects(in->reconcile);
	r = kube_open(a, e);
	if (r == 0)
		r = api_tell_new(in->loop, a->kube, in->reconcile, &a->tell, e);
	if (r == 0 && in->conf->node_taint)
		r = api_taint_new(in->loop, a->kube, in->reconcile, &a->taint, e);
	if (r < 0)
		return r;
	a->nodes = api_nodes_new(&(struct api_nodes_in){.kube = a->kube,
							.objects = a->objects,
							.node = in->conf->node_name,
							.trouble = on_nodes_trouble,
							.told = on_nodes_told,
							.data = a});
	watches_start(a);
	*ret = TAKE(a);
	return 0;
}

void api_free(struct api *a)
{
	if (!a)
		return;
	for (enum collection c = 0; c < OBJECTS_N; c++)
		kube_watch_free(a->watched[c].watch);
	api_nodes_free(a->nodes);
	while (a->fetches) {
		kube_cancel(a->fetches->call);
		fetch_end(a->fetches);
	}
	api_taint_free(a->taint);
	api_tell_free(a->tell);
	kube_free(a->kube);
	free(a);
}
