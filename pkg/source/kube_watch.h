/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One collection of the API, listed and then watched, for ever: what fails is tried again.
 * Events are handed on as they come. Servers repeat some, and after a restart of one of several
 * API servers an old one may come behind a newer one: who keeps objects compares their
 * resourceVersion (kube_version_compare) and leaves what is not newer.
 */
#include "source/kube.h"

struct json_want; /* json/json.h */

struct kube_watch;

/* Any of them may be NULL, may call kube_call(), and may free the watch. */
struct kube_watch_ops {
	/*
	 * A complete list begins: what was neither object nor unreadable until synced is gone.
	 * When a list breaks off there is no synced, and the next begin starts anew.
	 */
	void (*begin)(void *data);
	/*
	 * Of the list, ADDED or MODIFIED; borrowed. Built-in kinds come without kind and
	 * apiVersion in a list.
	 */
	void (*object)(void *data, const struct json *object);
	/* namespace and version (resourceVersion: as of when) may be NULL. */
	void (*gone)(void *data, const char *namespace, const char *name, const char *version);
	/*
	 * There is such an object, but it is above 4 MiB, or JSON that the strict reader refuses
	 * ("\u0000"): keep what is known of it. Its owner must not be able to make it vanish.
	 */
	void (*unreadable)(void *data, const char *namespace, const char *name,
			   const struct err *e);
	void (*synced)(void *data);
	/* It is being tried again, and e says what went wrong; e NULL: over. */
	void (*trouble)(void *data, const struct err *e);
};

/*
 * path: "/apis/sluice.dev/v1alpha1/egresspolicies". query: "fieldSelector=spec.nodeName%3Dn1",
 * percent-encoded, or NULL. Both are copied, ops are not. Nothing is called before it returns.
 */
struct kube_watch *kube_watch_new(struct kube *k, const char *path, const char *query,
				  const struct kube_watch_ops *ops, void *data);
/*
 * The same for a list that is wanted once: the caller frees it in synced. It is read from etcd, not
 * from the API server's cache, so it has everything that was written before.
 */
struct kube_watch *kube_list_new(struct kube *k, const char *path, const char *query,
				 const struct kube_watch_ops *ops, void *data);
/*
 * path: of the same collection in an older version of its API. Where one of the two paths is not
 * served (404), the other one is asked for. Copied. Call it before the loop runs.
 */
void kube_watch_or(struct kube_watch *w, const char *path);
/* Which members of each object are read; must have name and resourceVersion. Borrowed. Default:
 * all. */
void kube_watch_want(struct kube_watch *w, const struct json_want *want);
/* Lists it anew, with nothing older than what was told. Not from one of the callbacks. */
void kube_watch_again(struct kube_watch *w);
void kube_watch_free(struct kube_watch *w);
