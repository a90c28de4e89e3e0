/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A client of the Kubernetes API: one per daemon, all its requests and watches over one
 * HTTP/2 connection (several where the server speaks only HTTP/1.1), driven by the loop.
 * Nothing here blocks: names are resolved by a thread of libcurl's. pkg/source is the door to
 * libcurl.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "loop/loop.h"

struct json;
struct kube;
struct kube_call;
struct kube_conf;

/* conf is copied; l is borrowed. 0 or -errno; connects only when something is asked. */
int kube_new(struct loop *l, const struct kube_conf *conf, struct kube **ret, struct err *e);
/* Drops calls that are under way, without calling done. Free its watches first; do not call this
 * from within a callback. */
void kube_free(struct kube *k);
DEFINE_CLEANUP(struct kube *, kube_free);
#define __cleanup_kube __cleanup(kube_freep)

/*
 * told is called when the server begins to answer 401, to whatever request (what: "GET /api/…"),
 * and with NULL when it accepts our token again. So one place can report it, not every caller. told
 * runs within libcurl and must only take note.
 */
void kube_on_refused(struct kube *k, void (*told)(void *data, const char *what), void *data);

const char *kube_namespace(const struct kube *k); /* of the configuration */

#define KUBE_JSON  "application/json"
#define KUBE_MERGE "application/merge-patch+json"
/* Server-side apply: PATCH …?fieldManager=sluiced&force=true; JSON is YAML */
#define KUBE_APPLY "application/apply-patch+yaml"

struct kube_request {
	const char *method, *path; /* NULL: GET; path with query, percent-encoded; copied */
	const char *content_type;  /* of the body; NULL: KUBE_JSON */
	const char *body;	   /* NULL: none; copied */
	size_t max;		   /* bytes of the answer; 0: 4 MiB */
	int timeout_ms;		   /* from now to the last byte; 0: 30 s */
	/*
	 * Once, from the loop, never before kube_call() has returned. status 0: no answer, and e
	 * says why. From 300 on e says it in words ("GET /api/v1/…: 403 Forbidden: pods \"a\" is
	 * forbidden: …"), and body is the Status object. A body that is not JSON, or longer than
	 * max, is NULL with e set, whatever the status. body and e are borrowed.
	 */
	void (*done)(void *data, int status, const struct json *body, const struct err *e);
	void *data;
};

/* Begins a request and returns at once; never NULL. The call frees itself after its done. */
struct kube_call *kube_call(struct kube *k, const struct kube_request *r);
/* Ends it without a done, and frees it. Only before its done; NULL is allowed. */
void kube_cancel(struct kube_call *c);

/* Retry-After of the last answer, in seconds, 0 = none. For use within a done or a trouble. */
unsigned int kube_retry_after(const struct kube *k);

/*
 * How long to wait before the next try, in ms: 0.5 s, doubled each time up to 30 s; of that a
 * random time between half and all, but not less than the server asked for (retry_after, seconds,
 * at most 60). Begin with {0}, also after each success.
 */
struct kube_backoff {
	unsigned int tries;
};
int64_t kube_backoff_ms(struct kube_backoff *b, unsigned int retry_after);

/*
 * Which resourceVersion is the later one: < 0, 0, > 0. Versions of one collection are numbers
 * that grow; what is not a number is older than any.
 */
int kube_version_compare(const char *a, const char *b);
