/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store's beginning, end and log. A start plays the log: what comes out is what the API had
 * said, as if it said it now, but for what was refused and why.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/atomic_file.h"
#include "base/log.h"
#include "base/mem.h"
#include "json/json.h"
#include "reconcile/objects_priv.h"

#define REWRITE_ABOVE (1 << 20) /* bytes; and when more than half is out of date */

/* ---- playing ---- */

static bool collection_of(const struct json *line, enum collection *ret)
{
	const char *s;

	if (json_string(json_get(line, "c"), &s, NULL) < 0)
		return false;
	for (enum collection c = 0; c < OBJECTS_N; c++)
		if (strcmp(objects_resource(c), s) == 0) {
			*ret = c;
			return true;
		}
	return false;
}

static void play_put(struct objects *o, enum collection c, const struct json *object,
		     struct object_log_line at)
{
	struct object *obj = object_replay(o, c, object);

	if (!obj)
		return;
	object_logged(o, obj, obj->more->refused != NULL, at);
}

static void play_gone(struct objects *o, enum collection c, const struct json *who)
{
	const char *namespace, *name;

	if (json_string(json_get(who, "namespace"), &namespace, NULL) == 0 &&
	    json_string(json_get(who, "name"), &name, NULL) == 0)
		object_forget(o, c, namespace, name);
}

static void play(void *data, const struct json *line, struct object_log_line at)
{
	struct objects *o = data;
	enum collection c;

	if (!collection_of(line, &c))
		return; /* of a later version */
	if (json_get(line, "o"))
		play_put(o, c, json_get(line, "o"), at);
	else if (json_get(line, "gone"))
		play_gone(o, c, json_get(line, "gone"));
	else if (json_get(line, "complete")) {
		o->of[c].known = true;
		o->log_live += (int64_t)at.len - o->of[c].known_at.len;
		o->of[c].known_at = at;
	}
}

int objects_new(int state_fd, bool writable, struct objects **ret, struct err *e)
{
	__cleanup(objects_freep) struct objects *o = mem_alloc0(sizeof(*o));
	const struct object_log_in log = {state_fd, OBJECT_LOG, writable, play, o};
	bool damaged;
	int r;

	o->speaker = 1;
	o->replaying = true;
	r = object_log_open(&log, &o->log, &damaged, e);
	o->replaying = false;
	if (r < 0)
		return r;
	for (enum collection c = 0; damaged && c < OBJECTS_N; c++)
		o->of[c].known = false; /* some are missing: the API must tell them */
	*ret = TAKE(o);
	return 0;
}

void objects_free(struct objects *o)
{
	if (!o)
		return;
	for (enum collection c = 0; c < OBJECTS_N; c++) {
		for (size_t i = 0; i < o->of[c].n; i++)
			object_free(o->of[c].list[i]);
		free(o->of[c].list);
		free(o->of[c].trouble);
	}
	object_log_free(o->log);
	free(o);
}

/* ---- keeping ---- */

static void line_add(struct object_log_line ***list, size_t *n, struct object_log_line *line)
{
	if (!line->len)
		return;
	MEM_GROW(*list, *n);
	(*list)[(*n)++] = line;
}

/* What was refused comes behind what is in force: as it was said. */
static void lines_live(struct objects *o, struct object_log_line ***ret, size_t *ret_n)
{
	for (enum collection c = 0; c < OBJECTS_N; c++) {
		struct objects_of *of = &o->of[c];

		for (size_t i = 0; i < of->n; i++) {
			struct object *obj = of->list[i];

			line_add(ret, ret_n, &obj->good_at);
			if (obj->more->refused_at.len)
				line_add(ret, ret_n, &object_more(obj)->refused_at);
		}
		if (of->known)
			line_add(ret, ret_n, &of->known_at);
	}
}

static void line_forget(struct objects *o, struct object_log_line *line, uint64_t from)
{
	if (!line->len || line->at < from)
		return;
	o->log_live -= line->len;
	*line = (struct object_log_line){0};
}

/* Nor may a start take what is left for whole. */
static void lines_forget(struct objects *o, uint64_t from)
{
	for (enum collection c = 0; c < OBJECTS_N; c++) {
		struct objects_of *of = &o->of[c];

		for (size_t i = 0; i < of->n; i++) {
			line_forget(o, &of->list[i]->good_at, from);
			if (of->list[i]->more->refused_at.len)
				line_forget(o, &object_more(of->list[i])->refused_at, from);
		}
		line_forget(o, &of->known_at, 0);
		of->told = 0;
	}
}

static int log_rewrite(struct objects *o, struct err *e)
{
	__cleanup_free struct object_log_line **lines = NULL;
	size_t n = 0;

	lines_live(o, &lines, &n);
	return object_log_rewrite(o->log, lines, n, e);
}

static int log_renew(struct objects *o, uint64_t from, struct err *e)
{
	int r;

	lines_forget(o, from);
	r = log_rewrite(o, e);
	if (r < 0)
		return r;
	log_warn("objects of the API are asked for again", "reason=%s",
		 log_quote(OBJECT_LOG " was removed, or could not be written for long"));
	o->ask_again = true;
	return 0;
}

int objects_keep(struct objects *o, struct err *e)
{
	int r = object_log_sync(o->log, e);
	uint64_t from;

	if (object_log_lost(o->log, &from))
		return log_renew(o, from, e);
	if (r < 0 || object_log_size(o->log) < REWRITE_ABOVE ||
	    o->log_live > object_log_size(o->log) / 2)
		return r;
	return log_rewrite(o, e);
}

bool objects_ask_again(struct objects *o)
{
	bool again = o->ask_again;

	o->ask_again = false;
	return again;
}

bool objects_logged(int state_fd)
{
	return faccessat(state_fd, OBJECT_LOG, F_OK, 0) == 0;
}

void objects_log_remove(int state_fd)
{
	struct err e = {0};

	if (objects_logged(state_fd) && atomic_file_remove(state_fd, OBJECT_LOG, &e) < 0)
		log_warn("objects of an API not forgotten", "error=%s", log_quote(e.msg));
}

/* ---- what people are told ---- */

void objects_trouble(struct objects *o, enum collection c, const struct err *e)
{
	free(o->of[c].trouble);
	o->of[c].trouble = e ? mem_strdup(e->msg) : NULL;
	if (!e)
		return;
	o->of[c].errors++;
	o->of[c].halved = false; /* it may take long */
}

const char *objects_troubled(const struct objects *o)
{
	for (enum collection c = 0; c < OBJECTS_N; c++)
		if (o->of[c].trouble)
			return o->of[c].trouble;
	return NULL;
}

void objects_counts(const struct objects *o, enum collection c, struct objects_counts *ret)
{
	const struct objects_of *of = &o->of[c];

	*ret = (struct objects_counts){
		.n = of->n, .lists = of->lists, .told = of->objects, .errors = of->errors};
	for (size_t i = 0; i < of->n; i++) {
		ret->refused += of->list[i]->more->refused || of->list[i]->more->conflict;
		ret->unadopted += of->list[i]->unadopted;
	}
}

int64_t objects_told_at(const struct objects *o)
{
	return o->told_at;
}

static struct json *collection_status(const struct objects *o, enum collection c, size_t *refused)
{
	const struct objects_of *of = &o->of[c];
	struct json *j = json_new_object();
	struct objects_counts counts;

	objects_counts(o, c, &counts);
	*refused += counts.refused;
	json_set(j, "name", json_new_string(objects_resource(c)));
	json_set(j, "count", json_new_int((int64_t)of->n));
	json_set(j, "synced", json_new_bool(of->synced));
	json_set(j, "error", json_new_string(of->trouble));
	json_set(j, "lists", json_new_int((int64_t)counts.lists));
	json_set(j, "errors", json_new_int((int64_t)counts.errors));
	return j;
}

struct json *objects_status(const struct objects *o)
{
	struct json *j = json_new_object(), *list = json_new_array();
	bool synced = true;
	size_t refused = 0;

	for (enum collection c = 0; c < OBJECTS_N; c++) {
		if (!objects_wanted(o, c))
			continue;
		synced &= o->of[c].synced;
		json_append(list, collection_status(o, c, &refused));
	}
	json_set(j, "connected", json_new_bool(synced && !objects_troubled(o)));
	json_set(j, "synced", json_new_bool(synced));
	json_set(j, "refused", json_new_int((int64_t)refused));
	json_set(j, "lastError", json_new_string(objects_troubled(o)));
	json_set(j, "collections", list);
	return j;
}
