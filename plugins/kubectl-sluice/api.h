/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The API as a tool asks it: some lists, all at once over one connection, and then it ends. What
 * goes wrong is said in the words of who has to mend it: which right is missing and which role
 * gives it, that the CRDs are not installed, that the server does not answer.
 */
#include <stdbool.h>
#include <stddef.h>

#include "../sluicectl/ctl.h"
#include "base/cleanup.h"
#include "base/err.h"

#define API_ROLE "sluice-kubectl" /* the ClusterRole that may all of this */
#define API_OURS "/apis/sluice.dev/v1alpha1/"
/* The pods of the DaemonSet: "app.kubernetes.io/name=sluice,app.kubernetes.io/component=sluiced" */
#define API_DAEMONS                                          \
	"labelSelector=app.kubernetes.io%2Fname%3Dsluice%2C" \
	"app.kubernetes.io%2Fcomponent%3Dsluiced"

struct api;

/* By --kubeconfig and --context, else as kubectl finds its own. -ENOENT: there is none. */
int api_open(const struct ctl *ctl, struct api **ret, struct err *e);
void api_close(struct api *a);
DEFINE_CLEANUP(struct api *, api_close);
#define __cleanup_api __cleanup(api_closep)
/* The kubeconfigs that are meant, with ':' between them; NULL: there are none. Malloc'd. */
char *api_kubeconfigs(const struct ctl *ctl);
const char *api_namespace(const struct api *a); /* --namespace, else of the context */
const char *api_server(const struct api *a);

/* One collection, or one object of it. */
struct api_ask {
	const char *path, *query;  /* query NULL: none; percent-encoded. Borrowed */
	bool one;		   /* path is an object's, and not a collection's */
	void (*begin)(void *data); /* the list begins anew; may be NULL */
	void (*object)(void *data, const struct json *o);
	void *data;
	/* what came of it */
	int code; /* 0, -EACCES: forbidden, -ENOENT: no such thing, … */
	struct err e;
	/* api.c's own */
	struct api *api;
	struct kube_watch *watch;
	struct kube_call *call;
	bool done;
};

/* Asks all of them. The worst that came of any, with e of it; each has its own code, too. */
int api_ask(struct api *a, struct api_ask *asks, size_t n, struct err *e);
/* The worst of what came of them: 0 or its code, with e. */
int api_worst(const struct api_ask *asks, size_t n, struct err *e);
/* One object. */
int api_get(struct api *a, const char *path, struct json **ret, struct err *e);
/* Says e, and for each that is forbidden which right it needs. CTL_FAILED. */
int api_fail(const struct api_ask *asks, size_t n, const struct err *e);
