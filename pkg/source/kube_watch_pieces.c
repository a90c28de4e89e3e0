/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What cannot be read is not taken for gone: a tenant could otherwise make his pod or his
 * policy vanish from a node's sight by an annotation. Whose it is is found without the strict
 * reader. Only a piece that does not even say that ends the list or the watch, with nothing lost.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "json/json.h"
#include "source/kube_watch_priv.h"

#define NAME_MAX_LEN 320

void kube_watch_trouble(struct kube_watch *w, const struct err *e)
{
	if (!e && !w->troubled)
		return;
	w->troubled = e;
	if (w->ops->trouble && !w->freed)
		w->ops->trouble(w->data, e);
}

static void say_unreadable(struct kube_watch *w, const char *namespace, const char *name,
			   struct err *e)
{
	err_wrap(e, "%s: %s%s%s", w->path, namespace[0] ? namespace : "", namespace[0] ? "/" : "",
		 name);
	if (w->ops->unreadable)
		w->ops->unreadable(w->data, namespace[0] ? namespace : NULL, name, e);
	else
		kube_watch_trouble(w, e);
}

const char *kube_meta(const struct json *object, const char *key)
{
	const char *s;

	return json_string(json_get(json_get(object, "metadata"), key), &s, NULL) < 0 ? NULL : s;
}

static void set_version(struct kube_watch *w, const char *version)
{
	if (kube_version_compare(version, w->version) < 0)
		return; /* a bookmark of a server that lags behind, a repeated event */
	w->current = true;
	if (strcmp(version, w->version) != 0) {
		free(w->version);
		w->version = mem_strdup(version);
	}
}

int kube_watch_item(void *data, const char *text, size_t n, bool cut, struct err *e)
{
	static const char *const name_path[] = {"metadata", "name", NULL};
	static const char *const namespace_path[] = {"metadata", "namespace", NULL};
	__cleanup_json struct json *j = NULL;
	char name[NAME_MAX_LEN], namespace[NAME_MAX_LEN];
	struct kube_watch *w = data;
	int r = cut ? err_set(e, -EFBIG, "larger than %d bytes", KUBE_PIECE_MAX)
		    : json_parse_wanted(text, n, w->want, &j, e);

	if (r == 0 && kube_meta(j, "name")) {
		if (w->ops->object)
			w->ops->object(w->data, j);
	} else {
		if (r == 0)
			err_set(e, -EPROTO, "no metadata.name");
		if (!kube_peek(text, n, name_path, name, sizeof(name)))
			return err_wrap(e, "%s: an item without a name", w->path);
		if (!kube_peek(text, n, namespace_path, namespace, sizeof(namespace)))
		namespace[0] = '\0';
		say_unreadable(w, namespace, name, e);
	}
	return w->freed ? -ECANCELED : 0;
}

static void say_gone(struct kube_watch *w, const char *namespace, const char *name,
		     const char *version)
{
	if (w->ops->gone)
		w->ops->gone(w->data, namespace && namespace[0] ? namespace : NULL, name, version);
}

/* {"type": "ERROR", "object": Status} */
static int error_event(struct kube_watch *w, const struct json *status, struct err *e)
{
	const char *message;
	int64_t code = 0;

	if (json_string(json_get(status, "message"), &message, NULL) < 0)
		message = "an error without a message";
	json_int(json_get(status, "code"), 0, 999, &code, NULL);
	w->relist = code == 410 || strstr(message, "too old resource version") ||
		    strstr(message, "oo large resource version");
	return err_set(e, w->relist ? -ESTALE : -EAGAIN, "%s: in the watch: %d: %s", w->path,
		       (int)code, message);
}

static int event(struct kube_watch *w, const struct json *j, struct err *e)
{
	const struct json *object = json_get(j, "object");
	const char *type, *name = kube_meta(object, "name"), *version;

	if (json_string(json_get(j, "type"), &type, NULL) < 0) {
		w->relist = true;
		return err_set(e, -EPROTO, "%s: an event without a type", w->path);
	}
	if (strcmp(type, "ERROR") == 0)
		return error_event(w, object, e);
	version = kube_meta(object, "resourceVersion");
	if (version)
		set_version(w, version);
	if (strcmp(type, "ADDED") != 0 && strcmp(type, "MODIFIED") != 0 &&
	    strcmp(type, "DELETED") != 0)
		return 0; /* BOOKMARK, and what may come to be */
	if (!name) {
		w->relist = true;
		return err_set(e, -EPROTO, "%s: an event without a name", w->path);
	}
	if (strcmp(type, "DELETED") == 0)
		say_gone(w, kube_meta(object, "namespace"), name, version);
	else if (w->ops->object)
		w->ops->object(w->data, object);
	return 0;
}

/* An event that is too large or refused by the strict reader: e says which. */
static int unreadable_event(struct kube_watch *w, const char *text, size_t n, struct err *e)
{
	static const char *const paths[][4] = {
		{"type"},
		{"object", "metadata", "name"},
		{"object", "metadata", "namespace"},
		{"object", "metadata", "resourceVersion"},
	};
	char found[4][NAME_MAX_LEN] = {{0}};

	for (size_t i = 0; i < 4; i++)
		kube_peek(text, n, paths[i], found[i], sizeof(found[i]));
	if (strcmp(found[0], "BOOKMARK") != 0 && !found[1][0]) {
		w->relist = true;
		return err_wrap(e, "%s: an event that cannot be read", w->path);
	}
	if (found[3][0])
		set_version(w, found[3]);
	if (strcmp(found[0], "DELETED") == 0)
		say_gone(w, found[2], found[1], found[3][0] ? found[3] : NULL);
	else if (strcmp(found[0], "BOOKMARK") != 0)
		say_unreadable(w, found[2], found[1], e);
	return 0;
}

/* What an ERROR says is no object of the kind that is watched. */
static int event_parse(const struct kube_watch *w, const char *text, size_t n, struct json **ret,
		       struct err *e)
{
	__cleanup_json struct json *j = NULL;
	const char *type;
	int r = json_parse_wanted(text, n, w->want ? w->event : NULL, &j, e);

	if (r < 0)
		return r;
	if (w->want && json_string(json_get(j, "type"), &type, NULL) == 0 &&
	    strcmp(type, "ERROR") == 0)
		return json_parse(text, n, ret, e);
	*ret = TAKE(j);
	return 0;
}

int kube_watch_event(void *data, const char *text, size_t n, bool cut, struct err *e)
{
	__cleanup_json struct json *j = NULL;
	struct kube_watch *w = data;
	int r = cut ? err_set(e, -EFBIG, "larger than %d bytes", KUBE_PIECE_MAX)
		    : event_parse(w, text, n, &j, e);

	r = r == 0 ? event(w, j, e) : unreadable_event(w, text, n, e);
	return w->freed ? -ECANCELED : r;
}
