/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The conflist entry {"type": "sluice", …} and what comes with it (args.cni,
 * runtimeConfig). Own keys are matched case-insensitively as Go does; unknown
 * keys are tolerated (the specification demands it); wrong types are code 7.
 */
#include <stdbool.h>

#include "base/err.h"
#include "base/log.h"
#include "json/json.h"

struct plugin_conf {
	char *state_dir, *run_dir, *bpffs, *policy_dir; /* defaults of daemon_conf.h */
	bool fail_open;					/* failureMode "open"; default "closed" */
	char **exempt_namespaces;			/* default ["kube-system"] */
	size_t n_exempt_namespaces;
	char *log_file; /* NULL = stderr */
	enum log_level log_level;
	char *sluiced;	 /* "sluiced": path of the daemon binary for --once; default beside the
			    plugin, then PATH of the build */
	char *namespace; /* "namespace": static, standalone use */
	struct json *pod_labels;  /* object or NULL: conflist podLabels, args.cni.podLabels,
				     runtimeConfig.podLabels (later wins) */
	struct json *annotations; /* runtimeConfig["io.kubernetes.cri.pod-annotations"] or NULL */
};

/* conf: the whole stdin object (borrowed). -EINVAL with "key 'failureMode' value 'x': expected open
 * or closed". */
int plugin_conf_parse(const struct json *conf, struct plugin_conf **ret, struct err *e);
/* Its paths alone, and defaults: for what undoes, which an entry that was spoilt must not stop. */
int plugin_conf_parse_paths(const struct json *conf, struct plugin_conf **ret, struct err *e);
void plugin_conf_free(struct plugin_conf *c);
