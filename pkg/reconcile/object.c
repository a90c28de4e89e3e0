/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One object of the store. Its name is its own until it is valid once, and then that of its
 * document; what few objects have lies apart. Both since pods may be very many.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/shared.h"
#include "reconcile/objects_priv.h"

const struct object_more object_no_more;

static char *own(const char *s)
{
	return (char *)(uintptr_t)s;
}

struct object *object_new(const char *namespace, const char *name)
{
	struct object *obj = mem_alloc0(sizeof(*obj));

	obj->namespace = mem_strdup(namespace);
	obj->name = mem_strdup(name);
	obj->more = &object_no_more;
	return obj;
}

static void names_free(struct object *obj)
{
	if (obj->good)
		return; /* its */
	free(own(obj->namespace));
	free(own(obj->name));
}

void object_free(struct object *obj)
{
	names_free(obj);
	doc_item_free(obj->good);
	if (obj->more != &object_no_more) {
		struct object_more *more = object_more(obj);

		free(more->uid);
		doc_item_free(more->instead);
		free(more->refused);
		free(more->conflict);
		shared_drop(more->status);
		free(more->text);
		free(more);
	}
	free(obj);
}

struct object_more *object_more(struct object *obj)
{
	if (obj->more == &object_no_more)
		obj->more = mem_alloc0(sizeof(*obj->more));
	return (struct object_more *)(uintptr_t)obj->more;
}

void object_take_good(struct object *obj, struct doc_item *take)
{
	const struct doc_meta *meta = doc_item_meta(take);

	names_free(obj);
	doc_item_free(obj->good);
	obj->good = take;
	obj->namespace = meta->namespace;
	obj->name = meta->name;
}

void object_take_instead(struct object *obj, struct doc_item *take)
{
	if (!take && !obj->more->instead)
		return;
	doc_item_free(obj->more->instead);
	object_more(obj)->instead = take;
}

void object_take_refused(struct object *obj, char *take)
{
	if (!take && !obj->more->refused)
		return;
	free(obj->more->refused);
	object_more(obj)->refused = take;
}

void object_note_uid(struct object *obj, const char *uid)
{
	if ((!uid && !obj->more->uid) ||
	    (uid && obj->more->uid && strcmp(uid, obj->more->uid) == 0))
		return;
	free(obj->more->uid);
	object_more(obj)->uid = mem_strdup(uid);
}

void object_note_fetched(struct object *obj, int64_t ms)
{
	if (obj->more->fetched_at != ms)
		object_more(obj)->fetched_at = ms;
}

const char *object_uid(const struct object *obj)
{
	const struct doc_pod *pod = doc_item_pod(obj->good);

	return obj->more->uid ?: pod ? doc_pod_uid(pod) : NULL;
}

const struct doc_item *object_in_force(const struct object *obj)
{
	return obj->more->instead ?: obj->good;
}

size_t object_ips(const struct object *obj, struct addr ret[OBJECT_MAX_IPS])
{
	size_t n = 0;

	if (obj->has_v4)
		ret[n++] = addr_from_v4(obj->v4);
	if (obj->has_v6)
		ret[n++] = addr_from_v6(obj->v6);
	return n;
}
