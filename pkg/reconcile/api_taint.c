/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Read, then written if nobody else wrote meanwhile: taints are one list, and others take theirs
 * off it at the same time. What RBAC cannot say, we keep: no Node but our own is written.
 */
#include "reconcile/api_taint.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "json/json.h"
#include "reconcile/objects.h"
#include "reconcile/priv.h"
#include "source/kube.h"

#define CALL_MS	 10000
#define AT_ONCE	 3 /* times that somebody else may be quicker before he is left time */
#define CONFLICT 409

struct api_taint {
	struct kube *kube;
	const struct reconcile *r;
	struct objects *objects;
	struct loop_timer *timer; /* after what failed */
	struct kube_backoff backoff;
	struct kube_call *call;
	bool waits;
	int conflicts; /* in a row */
	char *path;
};

static void read_node(struct api_taint *t);

static void failed(struct api_taint *t, int status, const struct err *e)
{
	if (!t->backoff.tries && status != 401) /* api.c says it for all */
		log_warn("taint not taken off the node", "error=%s", log_quote(e ? e->msg : ""));
	t->waits = true;
	loop_timer_arm(t->timer, kube_backoff_ms(&t->backoff, kube_retry_after(t->kube)));
}

static void done(struct api_taint *t)
{
	t->backoff = (struct kube_backoff){0};
	t->conflicts = 0;
}

static void on_written(void *data, int status, const struct json *body, const struct err *e)
{
	struct api_taint *t = data;

	t->call = NULL;
	if (status == CONFLICT && t->conflicts++ < AT_ONCE) {
		read_node(t);
		return;
	}
	if (status != 200) {
		failed(t, status, e);
		return;
	}
	done(t);
	log_info("taint taken off: new pods go through the chain", "taint=" OBJECT_TAINT);
}

static bool is_ours(const struct json *taint)
{
	const char *key;

	return json_string(json_get(taint, "key"), &key, NULL) == 0 &&
	       strcmp(key, OBJECT_TAINT) == 0;
}

/* NULL: the taint is not there. With its version, it counts only if nobody wrote since. */
static struct json *without_taint(const struct json *node)
{
	const struct json *list = json_get(json_get(node, "spec"), "taints");
	struct json *o, *meta, *spec, *kept = json_new_array();

	for (size_t i = 0; i < json_len(list); i++)
		if (!is_ours(json_at(list, i)))
			json_append(kept, json_dup(json_at(list, i)));
	if (json_len(kept) == json_len(list)) {
		json_free(kept);
		return NULL;
	}
	o = json_new_object();
	meta = json_new_object();
	spec = json_new_object();
	json_set(meta, "resourceVersion",
		 json_dup(json_get(json_get(node, "metadata"), "resourceVersion")));
	json_set(spec, "taints", kept);
	json_set(o, "metadata", meta);
	json_set(o, "spec", spec);
	return o;
}

static void on_read(void *data, int status, const struct json *body, const struct err *e)
{
	struct api_taint *t = data;
	__cleanup_json struct json *patch = NULL;
	__cleanup_free char *text = NULL;

	t->call = NULL;
	if (status != 200 || !body) {
		failed(t, status, e);
		return;
	}
	patch = without_taint(body);
	if (!patch) { /* somebody else took it off */
		done(t);
		return;
	}
	text = json_emit(patch, 0);
	t->call = kube_call(t->kube, &(struct kube_request){.method = "PATCH",
							    .path = t->path,
							    .content_type = KUBE_MERGE,
							    .body = text,
							    .timeout_ms = CALL_MS,
							    .done = on_written,
							    .data = t});
}

static void read_node(struct api_taint *t)
{
	t->call = kube_call(t->kube, &(struct kube_request){.method = "GET",
							    .path = t->path,
							    .timeout_ms = CALL_MS,
							    .done = on_read,
							    .data = t});
}

void api_taint_look(struct api_taint *t)
{
	const struct object *self;

	if (!t || t->call || t->waits)
		return;
	self = objects_find(t->objects, OBJECTS_NODES, "", t->r->conf->node_name);
	if (self && self->tainted && reconcile_takes_pods(t->r))
		read_node(t);
}

static void on_timer(void *data)
{
	struct api_taint *t = data;

	t->waits = false;
	api_taint_look(t);
}

int api_taint_new(struct loop *loop, struct kube *kube, const struct reconcile *r,
		  struct api_taint **ret, struct err *e)
{
	__cleanup(api_taint_freep) struct api_taint *t = mem_alloc0(sizeof(*t));
	int rc;

	t->kube = kube;
	t->r = r;
	t->objects = r->policies.objects;
	t->path = mem_printf("/api/v1/nodes/%s", r->conf->node_name);
	rc = loop_timer_new(loop, on_timer, t, &t->timer, e);
	if (rc < 0)
		return rc;
	*ret = TAKE(t);
	return 0;
}

void api_taint_free(struct api_taint *t)
{
	if (!t)
		return;
	kube_cancel(t->call);
	loop_timer_free(t->timer);
	free(t->path);
	free(t);
}
