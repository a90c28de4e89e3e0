/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Where the Kubernetes API is, whom to trust there and who we are: from a kubeconfig, or
 * from what a pod finds in its service account's folder. Only https, and only what this client
 * really does: whatever else a kubeconfig may ask for (exec and auth-provider plug-ins, no
 * verification, a proxy, impersonation) is refused with what to write instead.
 *
 * Secrets that stand in files of their own are named here and read when they are needed, so
 * that a rotated one counts from the next request (tokens) or connection (certificates) on.
 */
#include <stddef.h>

#include "base/cleanup.h"
#include "base/err.h"

#define KUBE_SERVICE_ACCOUNT "/var/run/secrets/kubernetes.io/serviceaccount"

/* One PEM document: in memory (data), or a file that is read anew for each connection. */
struct kube_pem {
	char *file;
	char *data;
	size_t len;
};

struct kube_conf {
	char *server;	    /* "https://10.0.0.1:6443", perhaps with a path; no slash at the end */
	char *tls_name;	    /* the name in the server's certificate when it is not the server's */
	struct kube_pem ca; /* empty: what the machine trusts; else nobody but this */
	struct kube_pem cert, key;
	char *token, *token_file; /* the file wins */
	char *namespace;	  /* of the context, of the pod; "default" */
};

/* kubeconfig NULL: in-cluster; else as kube_conf_load_context. 0, -ENOENT, -EINVAL, -EOPNOTSUPP
 * (what is not done here) …; the message begins with the file. */
int kube_conf_load(const char *kubeconfig, struct kube_conf *ret, struct err *e);
/*
 * As kubectl does: of several files with ':' between them, of which not all need be there, the
 * first that says a thing is believed. context NULL: the current one.
 */
int kube_conf_load_context(const char *paths, const char *context, struct kube_conf *ret,
			   struct err *e);
/* In-cluster with another folder than KUBE_SERVICE_ACCOUNT. */
int kube_conf_load_pod(const char *folder, struct kube_conf *ret, struct err *e);
void kube_conf_dup(const struct kube_conf *c, struct kube_conf *ret);
void kube_conf_done(struct kube_conf *c);
#define __cleanup_kube_conf __cleanup(kube_conf_done)

/* The token as it is now: *ret NULL when there is none to show; else to be freed. */
int kube_conf_token(const struct kube_conf *c, char **ret, struct err *e);
