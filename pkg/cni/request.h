/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What a runtime hands a plugin: CNI_* variables and a JSON document on stdin.
 * Both are judged as the specification and skel do, in skel's order (variables,
 * stdin, version, name, container id, ifname), and what real runtimes send is
 * allowed: STATUS and GC with every variable empty, no CNI_PATH where it is optional, keys in
 * any case.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "cni/error.h"
#include "json/json.h"

#define CNI_VERSION_NEWEST   "1.1.0"
#define CNI_STDIN_MAX	     (8u << 20)
#define CNI_MAX_CONTAINER_ID 200 /* with ifname and suffix it must fit a file name */

enum cni_verb { CNI_ADD, CNI_DEL, CNI_CHECK, CNI_GC, CNI_STATUS, CNI_VERSION, CNI_VERB_COUNT };

/* NULL = not set, "" = set and empty. Borrowed. */
struct cni_env {
	const char *command, *container_id, *netns, *ifname, *args, *path;
	const char *netns_override;
};

struct cni_request {
	enum cni_verb verb;
	struct cni_env env; /* as given, but never NULL */
	char version[16];   /* the input's once it is known to be one of ours; else the newest */
	const char *name;   /* network name; NULL for VERSION */
	struct json *conf;  /* the whole document; may be NULL for VERSION */
	const struct json *prev; /* conf.prevResult or NULL */
};

void cni_env_get(struct cni_env *ret);

/*
 * The verb, and that its variables are there: 0, or CNI_INVALID_ENV with all
 * missing names in one message. env->command must not be NULL.
 */
int cni_verb_parse(const struct cni_env *env, enum cni_verb *ret, struct err *e);

/* Reads fd to its end: 0 or CNI_IO_FAILURE. *ret_text is malloc'd. */
int cni_stdin_load(int fd, char **ret_text, size_t *ret_len, struct err *e);

/*
 * The whole request. *req is always left in a state that cni_request_done() takes
 * and whose version an error can be printed with. 0 or an enum cni_code.
 */
int cni_request_parse(struct cni_request *req, const struct cni_env *env, const char *text,
		      size_t len, struct err *e);
void cni_request_done(struct cni_request *req);

const char *cni_verb_name(enum cni_verb verb);
bool cni_version_known(const char *version);
/* "0.3.0, 0.3.1, …". */
char *cni_versions_text(void);
/* malloc'd {"cniVersion", "supportedVersions"}. */
char *cni_versions_emit(const char *version);

/* CNI_NETNS_OVERRIDE: the plugin's own namespace is meant. */
bool cni_netns_override(const struct cni_env *env);

/* Value of key in "A=1;B=2" (exact, the last one wins), malloc'd, NULL when absent. */
char *cni_args_get(const char *args, const char *key);
