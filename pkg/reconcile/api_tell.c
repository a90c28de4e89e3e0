/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One walk over all objects at a time: it writes what differs, a few at once, and goes on where
 * it was when one is answered. What changes meanwhile makes one more walk. An answer is the object
 * as it is now, so nothing is written twice while the watch is still to tell of it.
 */
#include "reconcile/api_tell.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "json/json.h"
#include "reconcile/api_events.h"
#include "reconcile/api_lease.h"
#include "reconcile/api_say.h"
#include "reconcile/conditions.h"
#include "reconcile/priv.h"

#define SOON_MS	     200
#define WALK_MS	     60000 /* a walk at least this often */
#define REPEAT_MS    5000  /* between two writes of the same addresses */
#define REPEATS	     64
#define WRITES_MAX   4
#define WRITE_MS     10000
#define MANAGER_NAME 110		/* of a node's name: a field manager has 128 characters */
#define N_TOLD	     OBJECTS_NAMESPACES /* collections of our own kinds */

struct write {
	struct api_tell *tell;
	struct kube_call *call; /* NULL: free */
	enum collection c;
};

/* Which addresses a gateway was told to have here, and when last. */
struct repeat {
	uint64_t key;
	int64_t at;
};

struct api_tell {
	struct loop *loop;
	struct kube *kube;
	struct reconcile *r;
	struct objects *objects;
	struct api_lease *lease;
	struct api_events *events;
	struct loop_timer *timer;
	struct write writes[WRITES_MAX];
	struct repeat repeats[REPEATS];
	size_t n_repeats; /* ever: the oldest makes room */
	struct kube_backoff backoff;
	enum collection c; /* where the walk is; N_TOLD: at its end */
	size_t i;
	int part; /* of the object: its conditions, its addresses, those of nodes that are gone */
	bool again, later; /* soon; what was said just now */
	char now[32];
};

/* ---- writing ---- */

static void walk(struct api_tell *t);

static void on_written(void *data, int status, const struct json *body, const struct err *e)
{
	struct write *w = data;
	struct api_tell *t = w->tell;

	w->call = NULL;
	if (status == 200 && body) {
		t->backoff = (struct kube_backoff){0};
		objects_put(t->objects, w->c, body);
		walk(t);
		return;
	}
	if (status == 404) { /* gone meanwhile */
		walk(t);
		return;
	}
	/* 409: others write it at this moment; 401: api.c says it for all */
	if (!t->backoff.tries && status != 409 && status != 401)
		log_warn("status not written", "error=%s", log_quote(e ? e->msg : ""));
	t->again = true;
	loop_timer_arm(t->timer, kube_backoff_ms(&t->backoff, kube_retry_after(t->kube)));
}

static struct write *write_free(struct api_tell *t)
{
	for (size_t i = 0; i < WRITES_MAX; i++)
		if (!t->writes[i].call)
			return &t->writes[i];
	return NULL;
}

static char *status_path(enum collection c, const struct object *obj, const char *manager)
{
	const char *slash = strrchr(objects_path(c), '/');
	int group = (int)(slash - objects_path(c));

	if (!*obj->namespace)
		return mem_printf("%s/%s/status?fieldManager=%s&force=true", objects_path(c),
				  obj->name, manager);
	return mem_printf("%.*s/namespaces/%s%s/%s/status?fieldManager=%s&force=true", group,
			  objects_path(c), obj->namespace, slash, obj->name, manager);
}

static void status_write(struct api_tell *t, enum collection c, const struct object *obj,
			 const char *manager, struct json *take_status)
{
	__cleanup_json struct json *o = json_new_object();
	__cleanup_free char *path = status_path(c, obj, manager), *body = NULL;
	struct json *meta = json_new_object();
	struct write *w = write_free(t);

	json_set(o, "apiVersion", json_new_string("sluice.dev/v1alpha1"));
	json_set(o, "kind", json_new_string(objects_kind(c)));
	json_set(meta, "name", json_new_string(obj->name));
	if (*obj->namespace)
		json_set(meta, "namespace", json_new_string(obj->namespace));
	json_set(o, "metadata", meta);
	json_set(o, "status", take_status);
	body = json_emit(o, 0);
	*w = (struct write){.tell = t, .c = c};
	w->call = kube_call(t->kube, &(struct kube_request){.method = "PATCH",
							    .path = path,
							    .content_type = KUBE_APPLY,
							    .body = body,
							    .timeout_ms = WRITE_MS,
							    .done = on_written,
							    .data = w});
}

/* ---- what is true ---- */

static void conditions_tell(struct api_tell *t, enum collection c, const struct object *obj)
{
	struct conditions want;
	struct json *status;

	conditions_of(c, obj, t->r->policies.set, t->r->compiled, &want);
	status = conditions_status(&want, obj->more->generation, obj->more->status, t->now);
	if (status && (c == OBJECTS_POLICIES || c == OBJECTS_CLUSTER_POLICIES) &&
	    obj->more->refused)
		api_event(t->events,
			  &(struct event_said){c, obj->namespace, obj->name, object_uid(obj), true,
					       "InvalidPolicy"},
			  "%s", obj->more->refused);
	conditions_done(&want);
	if (status)
		status_write(t, c, obj, "sluice", status);
}

/* Those that this node carries now: on their interface, or its own. */
static size_t addresses_held(const struct reconcile *r, const char *gateway,
			     struct address_told **ret)
{
	const struct egress_addr *addrs;
	struct address_told *list = NULL;
	const struct usage_addr *use;
	size_t n, held = 0;

	addrs = compiled_addrs(r->compiled, &n);
	for (size_t i = 0; i < n; i++) {
		const struct claim *k = claims_find(&r->claims, addrs[i].addr);

		if (strcmp(addrs[i].gateway, gateway) != 0 || !addrs[i].local || addrs[i].problem ||
		    (addrs[i].assign && (!k || k->state != CLAIM_HELD)))
			continue;
		MEM_GROW(list, held);
		use = usage_find(&r->usage, addrs[i].addr);
		list[held++] = (struct address_told){
			addrs[i].addr, addrs[i].announce, use ? use->connections : 0,
			use ? use->ports : 0, rivals_find(&r->rivals, addrs[i].addr)};
	}
	*ret = list;
	return held;
}

/*
 * Two that do not hear each other, yet both reach the API, each take the other's entry for an old
 * one: whoever has said the same just now waits, or all nodes would hear of it all the time.
 */
static bool is_repeated(struct api_tell *t, const struct object *obj,
			const struct addresses_told *told)
{
	int64_t now = clock_ms(), last = told->last ? told->last->at_ms : 0;
	uint64_t key = hash_bytes(&last, sizeof(last), hash_str(obj->name, told->n));
	struct repeat *r = NULL;

	for (size_t i = 0; i < told->n; i++) {
		key = hash_bytes(told->list[i].addr.b, sizeof(told->list[i].addr.b), key);
		key = hash_str(told->list[i].also ?: "", key);
	}
	for (size_t i = 0; !r && i < REPEATS && i < t->n_repeats; i++)
		if (t->repeats[i].key == key)
			r = &t->repeats[i];
	if (r && now - r->at < REPEAT_MS)
		return true;
	if (!r)
		r = &t->repeats[t->n_repeats++ % REPEATS];
	*r = (struct repeat){key, now};
	return false;
}

/* What is written to the gateway's status as new, or is left out of it now. */
static void addresses_said(struct api_tell *t, const struct object *obj, const struct json *status)
{
	__cleanup_json struct json *there = NULL;
	const char *const node = t->r->node_name;
	const struct event_said come = {OBJECTS_GATEWAYS, "",	 obj->name,
					object_uid(obj),  false, "IPAssigned"};
	const struct event_said gone = {OBJECTS_GATEWAYS, "",	 obj->name,
					object_uid(obj),  false, "IPUnassigned"};
	char **list;
	size_t n;

	if (obj->more->status)
		json_parse(obj->more->status, strlen(obj->more->status), &there, NULL);
	n = addresses_beyond(status, there, node, &list);
	for (size_t i = 0; i < n; i++)
		api_event(t->events, &come, "%s is carried by node %s", list[i], node);
	addresses_beyond_done(list, n);
	n = addresses_beyond(there, status, node, &list);
	for (size_t i = 0; i < n; i++)
		api_event(t->events, &gone, "%s is not carried by node %s any more", list[i], node);
	addresses_beyond_done(list, n);
}

static void addresses_tell(struct api_tell *t, const struct object *obj)
{
	__cleanup_free struct address_told *list = NULL;
	__cleanup_free char *manager = mem_printf("sluice-%.*s", MANAGER_NAME, t->r->node_name);
	struct addresses_told told = {.last = tenures_last(&t->r->tenures, obj->name)};
	struct json *status;

	told.n = addresses_held(t->r, obj->name, &list);
	told.list = list;
	status = addresses_status(&told, t->r->node_name, obj->more->status, t->now);
	if (!status)
		return;
	if (is_repeated(t, obj, &told)) {
		t->later = true;
		json_free(status);
		return;
	}
	addresses_said(t, obj, status);
	status_write(t, OBJECTS_GATEWAYS, obj, manager, status);
}

/* ---- who is gone ---- */

struct lives {
	const struct api_tell *tell;
	const struct object *gateway;
};

static bool lives(void *data, const char *node, const char *address)
{
	const struct lives *l = data;
	const struct egress_addr *addrs;
	struct addr a;
	size_t n;

	if (!objects_find(l->tell->objects, OBJECTS_NODES, "", node) || addr_parse(address, &a) < 0)
		return false;
	addrs = compiled_addrs(l->tell->r->compiled, &n);
	for (size_t i = 0; i < n; i++)
		if (addr_eq(addrs[i].addr, a) && strcmp(addrs[i].gateway, l->gateway->name) == 0)
			return true;
	return strcmp(node, l->tell->r->node_name) == 0; /* its own it takes back itself */
}

static void gone_tell(struct api_tell *t, const struct object *obj)
{
	struct lives l = {t, obj};
	__cleanup_free char *node = NULL, *manager = NULL;
	struct json *status = gateway_without_gone(obj->more->status, lives, &l, &node);

	if (!status)
		return;
	log_info("entries taken back of a node that is gone", "gateway=%s node=%s", obj->name,
		 node);
	manager = mem_printf("sluice-%.*s", MANAGER_NAME, node);
	status_write(t, OBJECTS_GATEWAYS, obj, manager, status);
}

/* ---- the walk ---- */

#define PARTS 3
static void tell_part(struct api_tell *t, const struct object *obj)
{
	if (t->part == 0 && api_lease_held(t->lease))
		conditions_tell(t, t->c, obj);
	if (t->part == 1 && t->c == OBJECTS_GATEWAYS)
		addresses_tell(t, obj);
	if (t->part == 2 && t->c == OBJECTS_GATEWAYS && api_lease_held(t->lease))
		gone_tell(t, obj);
}

static void walk(struct api_tell *t)
{
	while (t->c < N_TOLD && write_free(t)) {
		if (t->i >= objects_count(t->objects, t->c)) {
			t->c++;
			t->i = 0;
			continue;
		}
		tell_part(t, objects_at(t->objects, t->c, t->i));
		if (++t->part == PARTS) {
			t->part = 0;
			t->i++;
		}
	}
	if (t->c == N_TOLD)
		loop_timer_arm(t->timer, t->again ? SOON_MS : t->later ? REPEAT_MS : WALK_MS);
}

static void on_timer(void *data)
{
	struct api_tell *t = data;
	time_t now = time(NULL);
	struct tm tm;

	if (!t->r->compiled || !objects_all_synced(t->objects) ||
	    objects_changed(t->objects)) { /* what is in force is not what is known */
		loop_timer_arm(t->timer, SOON_MS);
		return;
	}
	strftime(t->now, sizeof(t->now), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &tm));
	t->again = false;
	t->later = false;
	api_say(&(struct api_say){t->r, t->objects, t->events});
	shares_tell(t->r, t->objects, t->events);
	t->c = 0;
	t->i = 0;
	t->part = 0;
	walk(t);
}

void api_tell_soon(struct api_tell *t)
{
	if (t->again)
		return;
	t->again = true;
	if (t->c == N_TOLD)
		loop_timer_arm(t->timer, SOON_MS);
}

static void on_won(void *data)
{
	api_tell_soon(data);
}

int api_tell_new(struct loop *loop, struct kube *kube, struct reconcile *r, struct api_tell **ret,
		 struct err *e)
{
	__cleanup(api_tell_freep) struct api_tell *t = mem_alloc0(sizeof(*t));
	const struct api_lease_in in = {
		.loop = loop,
		.kube = kube,
		.objects = reconcile_objects(r),
		.node = r->conf->node_name,
		.namespace = r->conf->namespace ?: kube_namespace(kube),
		.won = on_won,
		.data = t,
	};
	int rc;

	t->loop = loop;
	t->kube = kube;
	t->r = r;
	t->objects = reconcile_objects(r);
	t->c = N_TOLD;
	t->events = api_events_new(kube, r->conf->node_name);
	rc = loop_timer_new(loop, on_timer, t, &t->timer, e);
	if (rc == 0)
		rc = api_lease_new(&in, &t->lease, e);
	if (rc < 0)
		return rc;
	loop_timer_arm(t->timer, SOON_MS);
	*ret = TAKE(t);
	return 0;
}

void api_tell_free(struct api_tell *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < WRITES_MAX; i++)
		kube_cancel(t->writes[i].call);
	api_lease_free(t->lease);
	api_events_free(t->events);
	loop_timer_free(t->timer);
	free(t);
}

bool api_tell_leads(const struct api_tell *t)
{
	return api_lease_held(t->lease);
}

bool api_tell_end(struct api_tell *t, void (*done)(void *data), void *data)
{
	return api_lease_release(t->lease, done, data);
}
