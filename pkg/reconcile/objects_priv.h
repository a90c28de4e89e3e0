/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the files of the object store share. */
#include "reconcile/objects.h"

struct objects_of {	      /* one collection */
	struct object **list; /* sorted by namespace, name */
	size_t n;
	bool known;  /* complete once */
	bool synced; /* complete in this life */
	/* By watch: between begin and synced; has told all; must, for the collection to be whole.
	 */
	uint64_t listing, told, awaited;
	bool open;   /* which ones must is not known yet */
	bool halved; /* it was whole, and one that must has not told its part yet */
	struct object_log_line known_at;
	char *trouble;
	uint64_t lists, objects, errors; /* begun; told; since the start */
};

struct objects {
	struct objects_of of[OBJECTS_N];
	struct object_log *log;
	bool changed, gateways_changed, replaying;
	bool ask_again; /* the log lost something */
	uint64_t status_serial, nodes_serial;
	int64_t told_at;   /* ms since 1970; 0: nothing was told in this life */
	uint64_t speaker;  /* by bit */
	size_t n_to_nodes; /* policies that name nodes as destinations */
	size_t n_services; /* policies and slices that name Services */
	int64_t log_live;  /* bytes of the log that are not out of date */
};

DEFINE_CLEANUP(struct doc_set *, doc_set_free);
DEFINE_CLEANUP(struct doc_item *, doc_item_free);

/* ---- objects_reduce.c ---- */

struct object_kind {
	const char *path, *api_version, *kind;
	bool namespaced;
	/* Copies from in what the parser reads of it, besides name, namespace and labels. */
	void (*reduce)(const struct json *in, struct json *out);
};
extern const struct object_kind object_kinds[OBJECTS_N];
/* What the parser needs of it; NULL when it has no name. */
struct json *object_reduce(enum collection c, const struct json *in);
const char *object_uid_said(const struct json *in);
/* What the store needs and the parser does not. True: its status is another one. */
bool object_note(struct object *obj, enum collection c, const struct json *in);

#define SOURCE_LOG (1ull << 63) /* what was played, and nobody has told since */

/* ---- objects_nodes.c ---- */
size_t object_names_nodes(const struct object *obj); /* 1 or 0 */

/* ---- objects_lists.c ---- */
void object_told(struct objects *o, enum collection c, struct object *obj);

/* ---- object.c ---- */
struct object *object_new(const char *namespace, const char *name);
void object_free(struct object *obj);
struct object_more *object_more(struct object *obj); /* to be changed */
void object_take_good(struct object *obj, struct doc_item *take);
void object_take_instead(struct object *obj, struct doc_item *take); /* NULL: good is in force */
void object_take_refused(struct object *obj, char *take);	     /* NULL: it is not */
void object_note_uid(struct object *obj, const char *uid);
void object_note_fetched(struct object *obj, int64_t ms);

/* ---- objects.c ---- */
/* What versions are compared by; 0: what it means only the server knows. */
uint64_t object_version(const char *s);
/* Where it stands in the log, in place of where it stood. */
void object_logged(struct objects *o, struct object *obj, bool refused, struct object_log_line at);
void objects_log_known(struct objects *o, enum collection c);
/* Its object is gone; a pod's may go before its process does: objects_sweep knows. */
void object_leave(struct objects *o, enum collection c, size_t i);
/* Its index, SIZE_MAX when there is none. */
size_t objects_index(const struct objects *o, enum collection c, const char *namespace,
		     const char *name);
/* As objects_put and objects_gone, of what stands in the log. */
struct object *object_replay(struct objects *o, enum collection c, const struct json *object);
void object_forget(struct objects *o, enum collection c, const char *namespace, const char *name);

/* ---- objects_parse.c ---- */

/* 0 and a part of its own, or -EINVAL with "spec.rules[0]…" behind "EgressPolicy shop/bank: ". */
int object_parse(enum collection c, const struct json *reduced, struct doc_item **ret,
		 struct err *e);
/* A policy that denies the pods of this one's subject; NULL: it cannot be read. */
struct doc_item *object_denying(enum collection c, const struct json *reduced);
/* Gateways: what each has, after what older ones claim. True: one has something else now. */
bool objects_resolve_claims(struct objects *o);
