/* SPDX-License-Identifier: Apache-2.0 */
#include "reconcile/objects.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "json/json.h"
#include "reconcile/objects_priv.h"

#define FETCHED_MS	 60000
#define ALWAYS_WANTED(c) ((c) != OBJECTS_SERVICES)
/* Without slices a Service that leads outside is closed, and all else holds. */
#define NEEDED(c) ((c) != OBJECTS_SERVICES && (c) != OBJECTS_SLICES)

/* ---- the lists ---- */

static int object_compare(const struct object *obj, const char *namespace, const char *name)
{
	int c = strcmp(obj->namespace, namespace);

	return c ? c : strcmp(obj->name, name);
}

/* Where it stands, or would stand. An API lists in this order: most often that is the end. */
static size_t place_find(const struct objects_of *of, const char *namespace, const char *name)
{
	size_t lo = 0, hi = of->n;

	if (of->n && object_compare(of->list[of->n - 1], namespace, name) < 0)
		return of->n;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (object_compare(of->list[mid], namespace, name) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static struct object *find(const struct objects_of *of, const char *namespace, const char *name)
{
	size_t i = place_find(of, namespace, name);

	return i < of->n && object_compare(of->list[i], namespace, name) == 0 ? of->list[i] : NULL;
}

static struct object *find_or_add(struct objects_of *of, const char *namespace, const char *name)
{
	size_t i = place_find(of, namespace, name);
	struct object *obj;

	if (i < of->n && object_compare(of->list[i], namespace, name) == 0)
		return of->list[i];
	obj = object_new(namespace, name);
	MEM_GROW(of->list, of->n);
	memmove(of->list + i + 1, of->list + i, (of->n - i) * sizeof(struct object *));
	of->list[i] = obj;
	of->n++;
	return obj;
}

/* Whom it selects only Services can tell. */
static bool selects_by_service(const struct object *obj)
{
	const struct doc_policy *p = doc_item_policy(object_in_force(obj));

	return p && p->n_services;
}

/* Services are asked for: not for the API servers' own slice, which every cluster has. */
static size_t services_named(const struct object *obj)
{
	const struct doc_slice *s = doc_item_slice(obj->good);

	return selects_by_service(obj) || (s && s->service && s->n_addrs && !doc_slice_is_api(s));
}

/* ---- the log ---- */

/* value: JSON */
static struct object_log_line log_note(struct objects *o, enum collection c, const char *key,
				       const char *value)
{
	__cleanup_free char *line = mem_printf("{\"c\":\"%s\",\"%s\":%s}", objects_resource(c), key,
					       value);

	return object_log_append(o->log, line);
}

void object_logged(struct objects *o, struct object *obj, bool refused, struct object_log_line at)
{
	o->log_live += (int64_t)at.len - (refused ? obj->more->refused_at.len : obj->good_at.len);
	if (!refused) {
		obj->good_at = at;
	} else if (at.len || obj->more->refused_at.len) {
		object_more(obj)->refused_at = at;
	}
}

/* What is told again, and the log has lost. */
static void log_again(struct objects *o, enum collection c, struct object *obj, const char *text)
{
	bool refused = obj->more->refused != NULL;

	if (!o->replaying && !(refused ? obj->more->refused_at : obj->good_at).len)
		object_logged(o, obj, refused, log_note(o, c, "o", text));
}

static void log_gone(struct objects *o, enum collection c, const struct object *obj)
{
	__cleanup_json struct json *who = json_new_object();
	__cleanup_free char *text = NULL;

	json_set(who, "namespace", json_new_string(obj->namespace));
	json_set(who, "name", json_new_string(obj->name));
	text = json_emit(who, 0);
	log_note(o, c, "gone", text);
}

/* ---- objects come and go ---- */

static void refuse(const struct objects *o, struct object *obj, enum collection c,
		   const struct json *reduced, struct err *e)
{
	const char *what = "the last good version stays in force";

	const char *was = obj->more->refused;

	if (!obj->good) {
		object_take_instead(obj, object_denying(c, reduced));
		what = obj->more->instead ? "it never was valid: what it selects is denied"
					  : "it never was valid and is not in force";
	}
	if (!o->replaying && (!was || strncmp(was, e->msg, strlen(e->msg)) != 0))
		log_warn("object refused", "error=%s effect=%s", log_quote(e->msg),
			 log_quote(what));
	object_take_refused(obj, mem_printf("%s; %s", e->msg, what));
	if (c == OBJECTS_PODS)
		object_note_uid(obj, object_uid_said(reduced));
}

static void accept(struct object *obj, enum collection c, const char *text, struct doc_item *take)
{
	object_take_good(obj, take);
	if (c != OBJECTS_GATEWAYS) { /* there, claims decide */
		object_take_instead(obj, NULL);
	} else {
		free(obj->more->text);
		object_more(obj)->text = mem_strdup(text);
	}
	object_take_refused(obj, NULL);
	if (c == OBJECTS_PODS)
		object_note_uid(obj, NULL); /* it is in what was taken */
}

static void uncount(struct objects *o, enum collection c, const struct object *obj)
{
	o->n_services -= services_named(obj);
	o->n_to_nodes -= object_names_nodes(obj);
	o->nodes_serial++;
}

/* text: what reduced is when it is written. */
static void object_take(struct objects *o, enum collection c, struct object *obj,
			const struct json *reduced, const char *text)
{
	struct doc_item *item = NULL;
	struct object_log_line at = {0};
	struct err e = {0};
	int r = object_parse(c, reduced, &item, &e);

	if (!o->replaying)
		at = log_note(o, c, "o", text);
	uncount(o, c, obj);
	if (r == 0) {
		accept(obj, c, text, item);
		object_logged(o, obj, true, (struct object_log_line){0});
	} else {
		refuse(o, obj, c, reduced, &e);
	}
	object_logged(o, obj, r < 0, at);
	o->n_services += services_named(obj);
	o->n_to_nodes += object_names_nodes(obj);
	o->nodes_serial++;
	o->changed = true;
	o->gateways_changed |= c == OBJECTS_GATEWAYS;
}

uint64_t object_version(const char *s)
{
	char *end = NULL;
	uint64_t version = s ? strtoull(s, &end, 10) : 0;

	return end && !*end ? version : 0;
}

/* Servers repeat events, and one of several may lag behind. A list is the truth: versions may
 * begin anew where a store was restored. */
static bool version_take(const struct objects *o, enum collection c, struct object *obj,
			 const struct json *object)
{
	const char *s = NULL;
	uint64_t version;

	if (json_string(json_get(json_get(object, "metadata"), "resourceVersion"), &s, NULL) < 0)
		return true;
	version = object_version(s);
	if (!version)
		return true;
	if (!(o->of[c].listing & o->speaker) && version <= obj->version)
		return false;
	obj->version = version;
	return true;
}

struct object *object_replay(struct objects *o, enum collection c, const struct json *object)
{
	__cleanup_json struct json *reduced = object_reduce(c, object);
	const struct json *meta = json_get(reduced, "metadata");
	const char *namespace = "", *name;
	__cleanup_free char *text = NULL;
	struct object *obj;
	uint64_t hash;

	if (!reduced || json_string(json_get(meta, "name"), &name, NULL) < 0)
		return NULL;
	if (object_kinds[c].namespaced &&
	    json_string(json_get(meta, "namespace"), &namespace, NULL) < 0)
		return NULL;
	obj = find_or_add(&o->of[c], namespace, name);
	object_told(o, c, obj);
	object_note_fetched(obj, 0);
	if (!version_take(o, c, obj, object))
		return obj;
	text = json_emit(reduced, 0);
	hash = hash_str(text, 1) >> 16 | 1;
	o->status_serial += object_note(obj, c, object);
	obj->gone = false;
	if (obj->hash == hash) {
		log_again(o, c, obj, text);
		return obj;
	}
	obj->hash = hash;
	object_take(o, c, obj, reduced, text);
	return obj;
}

void objects_put(struct objects *o, enum collection c, const struct json *object)
{
	object_replay(o, c, object);
	o->of[c].objects++;
	o->told_at = wall_ms();
}

void objects_unreadable(struct objects *o, enum collection c, const char *namespace,
			const char *name, const struct err *why)
{
	size_t i = objects_index(o, c, namespace, name);
	struct object *obj = i < SIZE_MAX ? o->of[c].list[i] : NULL;

	log_warn("object not read", "kind=%s namespace=%s name=%s error=%s", object_kinds[c].kind,
		 log_quote(namespace ?: ""), log_quote(name), log_quote(why->msg));
	if (!obj)
		return;
	object_told(o, c, obj);
	object_take_refused(obj, mem_printf("%s; what it said before stays in force", why->msg));
}

void objects_fetched(struct objects *o, enum collection c, const struct json *object)
{
	struct object *obj = object_replay(o, c, object);

	if (obj)
		object_note_fetched(obj, clock_ms());
}

static void object_remove(struct objects *o, enum collection c, size_t i)
{
	struct objects_of *of = &o->of[c];
	struct object *obj = of->list[i];

	if (!o->replaying)
		log_gone(o, c, obj);
	uncount(o, c, obj);
	o->log_live -= (int64_t)obj->good_at.len + obj->more->refused_at.len;
	object_free(obj);
	of->n--;
	memmove(of->list + i, of->list + i + 1, (of->n - i) * sizeof(struct object *));
	o->changed = true;
	o->gateways_changed |= c == OBJECTS_GATEWAYS;
}

void object_leave(struct objects *o, enum collection c, size_t i)
{
	if (c != OBJECTS_PODS) {
		object_remove(o, c, i);
		return;
	}
	o->of[c].list[i]->gone = true;
	o->changed = true;
}

/* Its index, SIZE_MAX when there is none. */
size_t objects_index(const struct objects *o, enum collection c, const char *namespace,
		     const char *name)
{
	const struct objects_of *of = &o->of[c];
	const char *ns = object_kinds[c].namespaced && namespace ? namespace : "";
	size_t i = place_find(of, ns, name);

	return i < of->n && object_compare(of->list[i], ns, name) == 0 ? i : SIZE_MAX;
}

void object_forget(struct objects *o, enum collection c, const char *namespace, const char *name)
{
	size_t i = objects_index(o, c, namespace, name);

	if (i != SIZE_MAX)
		object_remove(o, c, i);
}

void objects_log_known(struct objects *o, enum collection c)
{
	o->log_live -= o->of[c].known_at.len;
	o->of[c].known_at = log_note(o, c, "complete", "true");
	o->log_live += o->of[c].known_at.len;
}

/* What was asked for has no record before its ADD has ended. */
static bool is_loose(const struct object *obj)
{
	int64_t fetched = obj->more->fetched_at;

	return obj->gone || (fetched && clock_ms() - fetched > FETCHED_MS);
}

void objects_sweep(struct objects *o,
		   bool (*needed)(void *data, const char *namespace, const char *name), void *data)
{
	struct objects_of *of = &o->of[OBJECTS_PODS];

	for (size_t i = of->n; i-- > 0;)
		if (is_loose(of->list[i]) &&
		    !needed(data, of->list[i]->namespace, of->list[i]->name))
			object_remove(o, OBJECTS_PODS, i);
}

/* ---- what is in force ---- */

bool objects_wanted(const struct objects *o, enum collection c)
{
	return ALWAYS_WANTED(c) || o->n_services;
}

bool objects_known(const struct objects *o, struct err *what)
{
	for (enum collection c = 0; c < OBJECTS_N; c++) {
		if (o->of[c].known || !NEEDED(c))
			continue;
		err_set(what, -EAGAIN,
			"the API has not told all %s yet: nothing is changed until then",
			objects_resource(c));
		return false;
	}
	return true;
}

bool objects_all_synced(const struct objects *o)
{
	for (enum collection c = 0; c < OBJECTS_N; c++)
		if (objects_wanted(o, c) && c != OBJECTS_SLICES && !o->of[c].synced)
			return false;
	return true;
}

uint64_t objects_status_serial(const struct objects *o)
{
	return o->status_serial;
}

bool objects_changed(const struct objects *o)
{
	return o->changed && !o->of[OBJECTS_NODES].halved && objects_known(o, NULL);
}

/* Its Services are on their way: until then nobody knows whom it selects. */
static bool waits(const struct objects *o, const struct object *obj)
{
	return !o->of[OBJECTS_SERVICES].known && selects_by_service(obj);
}

/* Cluster policies come before the others: each array gets its objects in their order. */
static void add(struct doc_set *set, const struct objects *o, const struct object *obj)
{
	struct doc_item *item = obj->more->instead ?: obj->good;

	if (item && !waits(o, obj))
		doc_set_add_item(set, item);
}

int objects_set(struct objects *o, struct doc_set **ret)
{
	__cleanup(doc_set_freep) struct doc_set *set = NULL;

	if (!objects_changed(o))
		return 0;
	if (o->gateways_changed)
		objects_resolve_claims(o);
	set = doc_set_new();
	for (enum collection c = 0; c < OBJECTS_N; c++)
		for (size_t i = 0; i < o->of[c].n; i++)
			add(set, o, o->of[c].list[i]);
	o->changed = o->gateways_changed = false;
	*ret = TAKE(set);
	return 1;
}

const struct object *objects_find(const struct objects *o, enum collection c, const char *namespace,
				  const char *name)
{
	return find(&o->of[c], namespace, name);
}

size_t objects_count(const struct objects *o, enum collection c)
{
	return o->of[c].n;
}

const struct object *objects_at(const struct objects *o, enum collection c, size_t i)
{
	return o->of[c].list[i];
}

struct object *objects_pod_at(struct objects *o, size_t i)
{
	return o->of[OBJECTS_PODS].list[i];
}
