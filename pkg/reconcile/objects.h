/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The objects of a cluster that matter to this node, as an API tells them: by collections,
 * one object at a time, again and again in part. Each is parsed on its own and is a part of the
 * set of all (doc_set_add_item), so that an edit costs its own object. Knows no network.
 *
 *	valid		in force
 *	not any more	what it said when it was valid last, over restarts too (object_log.h)
 *	never was	a policy whose subject can be read denies all that it could decide on, in
 *			its tier and before all others; anything else is not there
 *	claims a range	the older gateway has it, the younger is without: by creationTimestamp,
 *			then by name, the same on every node
 *
 * What the parser does not need is not kept. A pod whose object is gone stays who it was for
 * as long as its interface is there: who deletes by force may still have a process running.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "inet/addr.h"
#include "policy/doc.h"
#include "reconcile/object_log.h"

struct json;
struct json_want;
struct objects;

enum collection {
	OBJECTS_CONFIGS,
	OBJECTS_GATEWAYS,
	OBJECTS_CLUSTER_POLICIES,
	OBJECTS_POLICIES,
	OBJECTS_CLUSTER_DESTINATIONS,
	OBJECTS_DESTINATIONS,
	OBJECTS_NAMESPACES,
	OBJECTS_NODES,
	OBJECTS_PODS,
	OBJECTS_SLICES,	  /* EndpointSlices that no controller makes of selected pods */
	OBJECTS_SERVICES, /* only when a policy or a slice names one: objects_wanted */
	OBJECTS_N,
};

#define OBJECT_MAX_IPS 2 /* one of each family, says the API */
#define OBJECT_TAINT   "sluice.dev/not-ready"

/* Of an object: what most pods have nothing of, so it is kept apart. */
struct object_more {
	char *uid;		     /* not a pod's that is as it says: object_uid */
	int64_t generation, created; /* of our kinds; created: seconds since 1970 */
	struct doc_item *instead;    /* in force in its place */
	char *refused;		     /* why it is not in force as it is; NULL: it is */
	char *conflict;		     /* a gateway: what another one has */
	const char *status;	     /* of our kinds: as the API has it, JSON; may be NULL */
	char *text;		     /* gateways: to be parsed again without what they lost */
	struct object_log_line refused_at;
	int64_t fetched_at;	  /* ms; 0: a watch told it */
	uint64_t sources, listed; /* a node: by which of the further watches */
};
extern const struct object_more object_no_more;

/* There may be 100,000 pods: what is here counts. */
struct object {
	const char *namespace, *name;	/* "" for cluster scope */
	struct doc_item *good;		/* what it said when it was valid last; NULL: never was */
	const struct object_more *more; /* never NULL */
	bool host_network : 1, deleting : 1;
	bool has_v4 : 1, has_v6 : 1; /* a pod's addresses: object_ips */
	bool tainted : 1;	     /* a node: it has OBJECT_TAINT */
	bool gone : 1;
	bool unadopted : 1; /* a pod without a record, and why was said */
	/* the store's own */
	bool told : 1, listed : 1; /* by the first watch, and in the list under way */
	bool played : 1;	   /* the log has told it, and nobody since */
	uint64_t hash : 48;
	uint64_t version; /* resourceVersion: an event that is not newer says nothing */
	struct object_log_line good_at;
	uint32_t alone_at; /* a pod: since when it is here without a record (ms, and 0: it is not);
			      adopt.c */
	uint8_t v4[4], v6[16];
};
_Static_assert(sizeof(struct object) <= 88, "a block of 96 bytes");

const char *object_uid(const struct object *obj); /* may be NULL; doc_pod_uid's, or its own */
size_t object_ips(const struct object *obj, struct addr ret[OBJECT_MAX_IPS]);
/* What of it is in force, NULL: nothing. */
const struct doc_item *object_in_force(const struct object *obj);

/* What a log of an earlier life says is there at once. state_fd is borrowed, -1: without a log;
 * writable: only one may. */
int objects_new(int state_fd, bool writable, struct objects **ret, struct err *e);
void objects_free(struct objects *o);
DEFINE_CLEANUP(struct objects *, objects_free);
#define OBJECT_LOG "objects.log"
bool objects_logged(int state_fd); /* there is a log */
void objects_log_remove(int state_fd);

const char *objects_path(enum collection c);	 /* "/apis/sluice.dev/v1alpha1/egresspolicies" */
const char *objects_old_path(enum collection c); /* by an older version of its API, or NULL */
/* Which of them, percent-encoded; NULL: all. Pods are those of a node. */
const char *objects_query(enum collection c);
/* Which members of each object are read here. */
const struct json_want *objects_want(enum collection c);
const char *objects_resource(enum collection c); /* "egresspolicies" */
const char *objects_kind(enum collection c);
bool objects_wanted(const struct objects *o, enum collection c);

/*
 * Nodes come from several watches, each with a number below 63; every other collection has one
 * watch, number 0. objects_speaker says from which of them the calls that follow come.
 */
void objects_speaker(struct objects *o, unsigned int source);
/*
 * Nodes are complete when these watches (a bit each) have told all of theirs; determined: no
 * further watch will be added.
 */
void objects_awaits(struct objects *o, uint64_t sources, bool determined);
/* That watch has ended: nodes that no other watch has told are removed. */
void objects_silence(struct objects *o, unsigned int source);

#define NODE_QUERIES_MAX 24
/* By which queries this node is to ask for nodes: its own first, then others, or for all. */
struct node_queries {
	char *list[NODE_QUERIES_MAX + 1];
	size_t n;
	bool determined; /* else: so far; what decides is not known yet */
	bool all;
};
void objects_node_queries(const struct objects *o, const char *self, struct node_queries *ret);
void node_queries_done(struct node_queries *q);
uint64_t objects_nodes_serial(const struct objects *o); /* counts up when they may be others */
/* Every node asks for all nodes: nobody said what their addresses are in. */
bool objects_nodes_all(const struct objects *o);
/* Whether some gateway selects this node. node NULL: one of which nothing is known. */
bool objects_is_candidate(const struct objects *o, const struct object *node);

/* ---- what the API says ---- */
void objects_begin(struct objects *o, enum collection c);
void objects_put(struct objects *o, enum collection c, const struct json *object);
/* There is such an object, and nobody can read it: what is known of it stays. */
void objects_unreadable(struct objects *o, enum collection c, const char *namespace,
			const char *name, const struct err *why);
/* As objects_put, for an object that was fetched by itself: perhaps no watch will ever tell it. */
void objects_fetched(struct objects *o, enum collection c, const struct json *object);
/*
 * The object is deleted. version: the resourceVersion of that, or NULL. If a newer one of the same
 * name is known already, that one stays.
 */
void objects_gone(struct objects *o, enum collection c, const char *namespace, const char *name,
		  const char *version);
void objects_synced(struct objects *o, enum collection c);
/* The collection's watch does not work, and why; err NULL: it works again. */
void objects_trouble(struct objects *o, enum collection c, const struct err *e);
const char *objects_troubled(const struct objects *o); /* the first trouble there is, or NULL */

/* ---- what is in force ---- */

/* Each collection was complete once, now or in an earlier life; before that, nothing is in force.
 * Else, if what is not NULL, it is told which are missing. */
bool objects_known(const struct objects *o, struct err *what);
/* Each was complete in this life; but for slices, which a daemon may have no right to see. */
bool objects_all_synced(const struct objects *o);
/* Something came that the set given out last does not have. */
bool objects_changed(const struct objects *o);
/* Pod objects that are gone, or were only asked for, and that nobody needs leave the set. */
void objects_sweep(struct objects *o,
		   bool (*needed)(void *data, const char *namespace, const char *name), void *data);
/* 1 = *ret is a new set, the caller's to free; 0 = nothing new. Needs objects_known. */
int objects_set(struct objects *o, struct doc_set **ret);
/* Writes what came since to the log. What the log lost is nowhere else: the API is to tell it
 * again. */
int objects_keep(struct objects *o, struct err *e);
/* True once, then: all collections are to be listed anew. */
bool objects_ask_again(struct objects *o);

/* Counts up when an object's status says something else. */
uint64_t objects_status_serial(const struct objects *o);
/* For people: per collection, how many there are, whether all were told, what is wrong. */
struct json *objects_status(const struct objects *o);

struct objects_counts {
	size_t n, refused, unadopted;
	uint64_t lists, told, errors; /* since the start */
};
void objects_counts(const struct objects *o, enum collection c, struct objects_counts *ret);
/* When an object or the end of a list was told last, ms since 1970; 0: never. */
int64_t objects_told_at(const struct objects *o);

/* Borrowed until the next of the calls above; ordered by namespace and name. */
const struct object *objects_find(const struct objects *o, enum collection c, const char *namespace,
				  const char *name);
size_t objects_count(const struct objects *o, enum collection c);
/* The i-th pod, to be changed: adopt.c notes in it since when it waits. */
struct object *objects_pod_at(struct objects *o, size_t i);
const struct object *objects_at(const struct objects *o, enum collection c, size_t i);
