/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two kinds of refusal, because the CNI specification has a code for each: a
 * wrong type or path is -EINVAL (invalid network config), a value that this
 * version does not know is -EOPNOTSUPP (unsupported field: the message must name
 * key and value).
 */
#include "config/plugin_conf.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "config/daemon_conf.h"

#define CONF_MAX_NAMESPACES 256
#define CONF_MAX_LABELS	    256
#define ANNOTATIONS_KEY	    "io.kubernetes.cri.pod-annotations"

static const struct path_key {
	const char *name;
	size_t offset;
	const char *fallback; /* NULL = stays NULL */
} path_keys[] = {
	{"stateDir", offsetof(struct plugin_conf, state_dir), CONF_STATE_DIR},
	{"runDir", offsetof(struct plugin_conf, run_dir), CONF_RUN_DIR},
	{"bpffs", offsetof(struct plugin_conf, bpffs), CONF_BPFFS},
	{"policyDir", offsetof(struct plugin_conf, policy_dir), CONF_POLICY_DIR},
	{"logFile", offsetof(struct plugin_conf, log_file), NULL},
	{"sluiced", offsetof(struct plugin_conf, sluiced), NULL},
};

static int path_parse(const struct json *conf, const struct path_key *k, char **ret, struct err *e)
{
	const struct json *j = json_get_nocase(conf, k->name);
	const char *s;
	int r;

	if (json_type(j) == JSON_NULL) {
		*ret = mem_strdup(k->fallback);
		return 0;
	}
	r = json_string(j, &s, e);
	if (r < 0)
		return r;
	if (*s != '/')
		return err_set(e, -EINVAL, "key '%s' value '%s': expected an absolute path",
			       k->name, s);
	*ret = mem_strdup(s);
	return 0;
}

static int paths_parse(const struct json *conf, struct plugin_conf *c, struct err *e)
{
	for (size_t i = 0; i < sizeof(path_keys) / sizeof(path_keys[0]); i++) {
		char **field = (char **)((uintptr_t)c + path_keys[i].offset);
		int r = path_parse(conf, &path_keys[i], field, e);

		if (r < 0)
			return r;
	}
	return 0;
}

static int failure_mode_parse(const struct json *conf, struct plugin_conf *c, struct err *e)
{
	const struct json *j = json_get_nocase(conf, "failureMode");
	const char *s;
	int r;

	if (json_type(j) == JSON_NULL)
		return 0;
	r = json_string(j, &s, e);
	if (r < 0)
		return r;
	if (strcmp(s, "open") && strcmp(s, "closed"))
		return err_set(e, -EOPNOTSUPP,
			       "key 'failureMode' value '%s': expected open or closed", s);
	c->fail_open = strcmp(s, "open") == 0;
	return 0;
}

static int log_level_key_parse(const struct json *conf, struct plugin_conf *c, struct err *e)
{
	const struct json *j = json_get_nocase(conf, "logLevel");
	const char *s;
	int r;

	if (json_type(j) == JSON_NULL)
		return 0;
	r = json_string(j, &s, e);
	if (r < 0)
		return r;
	if (log_level_parse(s, &c->log_level) < 0)
		return err_set(e, -EOPNOTSUPP,
			       "key 'logLevel' value '%s': expected error, warn, info or debug", s);
	return 0;
}

static int namespace_parse(const struct json *conf, struct plugin_conf *c, struct err *e)
{
	const struct json *j = json_get_nocase(conf, "namespace");
	const char *s;
	int r;

	if (json_type(j) == JSON_NULL)
		return 0;
	r = json_string(j, &s, e);
	if (r == 0)
		c->namespace = mem_strdup(s);
	return r;
}

static int exempt_parse(const struct json *conf, struct plugin_conf *c, struct err *e)
{
	const struct json *j = json_get_nocase(conf, "exemptNamespaces");
	int r;

	if (json_type(j) == JSON_NULL) {
		c->exempt_namespaces = mem_alloc0(sizeof(char *));
		c->exempt_namespaces[c->n_exempt_namespaces++] = mem_strdup("kube-system");
		return 0;
	}
	r = json_expect(j, JSON_ARRAY, e);
	if (r < 0)
		return r;
	if (json_len(j) > CONF_MAX_NAMESPACES)
		return err_set(e, -EINVAL, "%s: more than %d items", json_path(j),
			       CONF_MAX_NAMESPACES);
	c->exempt_namespaces = mem_alloc0(json_len(j) * sizeof(char *));
	for (size_t i = 0; i < json_len(j); i++) {
		const char *s;

		r = json_string(json_at(j, i), &s, e);
		if (r < 0)
			return r;
		c->exempt_namespaces[c->n_exempt_namespaces++] = mem_strdup(s);
	}
	return 0;
}

/* ---- labels ---- */

/* Adds the members of labels (absent = nothing) to c->pod_labels; what is there already is
 * replaced. */
static int labels_merge(struct plugin_conf *c, const struct json *labels, struct err *e)
{
	int r;

	if (json_type(labels) == JSON_NULL)
		return 0;
	r = json_expect(labels, JSON_OBJECT, e);
	if (r < 0)
		return r;
	if (!c->pod_labels)
		c->pod_labels = json_new_object();
	for (size_t i = 0; i < json_len(labels); i++) {
		const char *value;

		r = json_string(json_value_at(labels, i), &value, e);
		if (r < 0)
			return r;
		json_set(c->pod_labels, json_key_at(labels, i), json_new_string(value));
	}
	if (json_len(c->pod_labels) > CONF_MAX_LABELS)
		return err_set(e, -EINVAL, "podLabels: more than %d", CONF_MAX_LABELS);
	return 0;
}

static int annotations_parse(const struct json *runtime, struct plugin_conf *c, struct err *e)
{
	const struct json *j = json_get_nocase(runtime, ANNOTATIONS_KEY);
	int r;

	if (json_type(j) == JSON_NULL)
		return 0;
	r = json_expect(j, JSON_OBJECT, e);
	if (r == 0)
		c->annotations = json_dup(j);
	return r;
}

/* obj.key as an object; NULL when absent. */
static int object_get(const struct json *obj, const char *key, const struct json **ret,
		      struct err *e)
{
	const struct json *j = json_get_nocase(obj, key);

	*ret = NULL;
	if (json_type(j) == JSON_NULL)
		return 0;
	*ret = j;
	return json_expect(j, JSON_OBJECT, e);
}

/* Conflist, args.cni, runtimeConfig: what is nearer to the pod wins, label by label. */
static int labels_parse(const struct json *conf, struct plugin_conf *c, struct err *e)
{
	const struct json *args, *cni, *runtime;
	int r;

	r = object_get(conf, "args", &args, e);
	if (r == 0)
		r = object_get(args, "cni", &cni, e);
	if (r == 0)
		r = object_get(conf, "runtimeConfig", &runtime, e);
	if (r == 0)
		r = labels_merge(c, json_get_nocase(conf, "podLabels"), e);
	if (r == 0)
		r = labels_merge(c, json_get_nocase(cni, "podLabels"), e);
	if (r == 0)
		r = labels_merge(c, json_get_nocase(runtime, "podLabels"), e);
	if (r == 0)
		r = annotations_parse(runtime, c, e);
	return r;
}

static int (*const steps[])(const struct json *, struct plugin_conf *, struct err *) = {
	paths_parse,	 failure_mode_parse, log_level_key_parse,
	namespace_parse, exempt_parse,	     labels_parse,
};

static int parse(const struct json *conf, size_t n, struct plugin_conf **ret, struct err *e)
{
	struct plugin_conf *c = mem_alloc0(sizeof(*c));

	c->log_level = LOG_LEVEL_WARN;
	for (size_t i = 0; i < n; i++) {
		int r = steps[i](conf, c, e);

		if (r < 0) {
			plugin_conf_free(c);
			return r;
		}
	}
	*ret = c;
	return 0;
}

int plugin_conf_parse(const struct json *conf, struct plugin_conf **ret, struct err *e)
{
	return parse(conf, sizeof(steps) / sizeof(steps[0]), ret, e);
}

int plugin_conf_parse_paths(const struct json *conf, struct plugin_conf **ret, struct err *e)
{
	return parse(conf, 1, ret, e);
}

void plugin_conf_free(struct plugin_conf *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < sizeof(path_keys) / sizeof(path_keys[0]); i++)
		free(*(char **)((uintptr_t)c + path_keys[i].offset));
	for (size_t i = 0; i < c->n_exempt_namespaces; i++)
		free(c->exempt_namespaces[i]);
	free(c->exempt_namespaces);
	free(c->namespace);
	json_free(c->pod_labels);
	json_free(c->annotations);
	free(c);
}
