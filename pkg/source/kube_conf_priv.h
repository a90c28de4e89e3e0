/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the files that read a kubeconfig share. */
#include <stdbool.h>

#include "base/err.h"
#include "json/json.h"
#include "source/kube_conf.h"

/* A string that may be absent or "": NULL. */
int kube_conf_string(const struct json *obj, const char *key, const char **ret, struct err *e);
char *kube_conf_beside(const char *config, const char *path);

/* "certificate-authority" or "certificate-authority-data", which wins, as with kubectl. */
int kube_pem_get(const struct json *obj, const char *key, const char *config, struct kube_pem *ret,
		 struct err *e);
bool kube_pem_given(const struct kube_pem *p);
struct kube_pem kube_pem_dup(const struct kube_pem *p);
void kube_pem_done(struct kube_pem *p);

/* A piece of a kubeconfig, and which file it stands in. */
struct kube_named {
	const struct json *value;
	const char *file;
};

/* What a context names. */
struct kube_context {
	struct kube_named cluster, user; /* user.value NULL: nobody */
	const char *namespace;		 /* NULL: not said */
	/* its own */
	struct kube_context_file {
		char *path;
		struct json *root;
	} * files;
	size_t n_files;
	char *paths; /* for messages */
};

/* paths, name: as kube_conf_load_context. */
int kube_context_read(const char *paths, const char *name, struct kube_context *ret, struct err *e);
void kube_context_done(struct kube_context *x);
