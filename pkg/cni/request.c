/* SPDX-License-Identifier: Apache-2.0 */
#include "cni/request.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/mem.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define ALNUM	 "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

static const char *const versions[] = {"0.3.0", "0.3.1", "0.4.0", "1.0.0", CNI_VERSION_NEWEST};

enum variable { V_CONTAINERID, V_NETNS, V_IFNAME, V_PATH, V_COUNT };
enum need { NOT_NEEDED, NEEDED, NEEDED_OR_EMPTY, CUSTOMARY };

static const char *const variable_names[V_COUNT] = {
	[V_CONTAINERID] = "CNI_CONTAINERID",
	[V_NETNS] = "CNI_NETNS",
	[V_IFNAME] = "CNI_IFNAME",
	[V_PATH] = "CNI_PATH",
};

/*
 * since: index into versions of the first one that has the verb. GC: the
 * specification asks for CNI_PATH, runtimes were seen to send it empty. ADD, CHECK:
 * libcni's half of a plugin asks for CNI_PATH, the specification does not; it is
 * named where something else is missing too, but alone it is no reason to refuse.
 */
static const struct verb {
	const char *name;
	int since;
	enum need needs[V_COUNT];
} verbs[CNI_VERB_COUNT] = {
	[CNI_ADD] = {"ADD", 0, {NEEDED, NEEDED, NEEDED, CUSTOMARY}},
	[CNI_DEL] = {"DEL", 0, {NEEDED, NOT_NEEDED, NEEDED, NOT_NEEDED}},
	[CNI_CHECK] = {"CHECK", 2, {NEEDED, NEEDED, NEEDED, CUSTOMARY}},
	[CNI_GC] = {"GC", 4, {NOT_NEEDED, NOT_NEEDED, NOT_NEEDED, NEEDED_OR_EMPTY}},
	[CNI_STATUS] = {"STATUS", 4, {NOT_NEEDED}},
	[CNI_VERSION] = {"VERSION", 0, {NOT_NEEDED}},
};

const char *cni_verb_name(enum cni_verb verb)
{
	return verbs[verb].name;
}

/* Index into versions, or -1. */
static int version_index(const char *version)
{
	for (size_t i = 0; i < COUNT(versions); i++)
		if (strcmp(version, versions[i]) == 0)
			return (int)i;
	return -1;
}

bool cni_version_known(const char *version)
{
	return version_index(version) >= 0;
}

char *cni_versions_text(void)
{
	char *text = mem_strdup(versions[0]);

	for (size_t i = 1; i < COUNT(versions); i++) {
		char *longer = mem_printf("%s, %s", text, versions[i]);

		free(text);
		text = longer;
	}
	return text;
}

char *cni_versions_emit(const char *version)
{
	__cleanup_json struct json *obj = json_new_object();
	struct json *list = json_new_array();

	for (size_t i = 0; i < COUNT(versions); i++)
		json_append(list, json_new_string(versions[i]));
	json_set(obj, "cniVersion", json_new_string(version));
	json_set(obj, "supportedVersions", list);
	return json_emit(obj, 0);
}

/* ---- variables ---- */

void cni_env_get(struct cni_env *ret)
{
	ret->command = getenv("CNI_COMMAND");
	ret->container_id = getenv("CNI_CONTAINERID");
	ret->netns = getenv("CNI_NETNS");
	ret->ifname = getenv("CNI_IFNAME");
	ret->args = getenv("CNI_ARGS");
	ret->path = getenv("CNI_PATH");
	ret->netns_override = getenv("CNI_NETNS_OVERRIDE");
}

static const char *or_empty(const char *s)
{
	return s ? s : "";
}

bool cni_netns_override(const struct cni_env *env)
{
	const char *v = or_empty(env->netns_override);

	return strcmp(v, "1") == 0 || strcasecmp(v, "true") == 0;
}

static const struct verb *verb_find(const char *command)
{
	for (size_t i = 0; i < CNI_VERB_COUNT; i++)
		if (strcmp(command, verbs[i].name) == 0)
			return &verbs[i];
	return NULL;
}

int cni_verb_parse(const struct cni_env *env, enum cni_verb *ret, struct err *e)
{
	const char *const values[V_COUNT] = {
		[V_CONTAINERID] = env->container_id,
		[V_NETNS] = env->netns,
		[V_IFNAME] = env->ifname,
		[V_PATH] = env->path,
	};
	const struct verb *v = verb_find(env->command);
	char missing[128] = "";
	bool refused = false;

	if (!v)
		return err_set(e, CNI_INVALID_ENV, "unknown CNI_COMMAND: %.64s", env->command);
	for (size_t i = 0; i < V_COUNT; i++) {
		size_t n = strlen(missing);

		if (v->needs[i] == NOT_NEEDED ||
		    (values[i] && (*values[i] || v->needs[i] == NEEDED_OR_EMPTY)))
			continue;
		snprintf(missing + n, sizeof(missing) - n, "%s%s", n ? "," : "", variable_names[i]);
		refused = refused || v->needs[i] != CUSTOMARY;
	}
	if (refused)
		return err_set(e, CNI_INVALID_ENV, "required env variables [%s] missing", missing);
	*ret = (enum cni_verb)(v - verbs);
	return 0;
}

/* ^[a-zA-Z0-9][a-zA-Z0-9_.-]*$: container ids and network names. */
static bool is_name(const char *s)
{
	return *s && strchr(ALNUM, *s) && s[strspn(s, ALNUM "_.-")] == 0;
}

/* Where the two are required, cni_verb_parse() has said so: empty is fine here. */
static int container_id_check(const char *id, struct err *e)
{
	if (!*id || (is_name(id) && strlen(id) <= CNI_MAX_CONTAINER_ID))
		return 0;
	return err_set(e, CNI_INVALID_ENV,
		       "invalid CNI_CONTAINERID '%.64s': expected 1 to %d of a-z A-Z 0-9 _ . -, "
		       "the first a letter or digit",
		       id, CNI_MAX_CONTAINER_ID);
}

static int ifname_check(const char *name, struct err *e)
{
	if (strlen(name) > 15)
		return err_set(e, CNI_INVALID_ENV,
			       "invalid CNI_IFNAME '%.64s': longer than 15 characters", name);
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strpbrk(name, "/: \t\n\v\f\r"))
		return err_set(e, CNI_INVALID_ENV,
			       "invalid CNI_IFNAME '%s': '.', '..', '/', ':' and blanks are not "
			       "allowed",
			       name);
	return 0;
}

char *cni_args_get(const char *args, const char *key)
{
	size_t klen = strlen(key);
	char *ret = NULL;

	while (args && *args) {
		size_t n = strcspn(args, ";");

		if (n > klen && args[klen] == '=' && strncmp(args, key, klen) == 0) {
			free(ret);
			ret = mem_printf("%.*s", (int)(n - klen - 1), args + klen + 1);
		}
		args += n + (args[n] == ';');
	}
	return ret;
}

/* ---- stdin ---- */

int cni_stdin_load(int fd, char **ret_text, size_t *ret_len, struct err *e)
{
	__cleanup_free char *buf = NULL;
	size_t n = 0, room = 16384;
	ssize_t got;

	buf = mem_resize(NULL, room, 1);
	while ((got = read(fd, buf + n, room - n)) != 0) {
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			err_sys(e, -errno, "read stdin");
			return CNI_IO_FAILURE;
		}
		n += (size_t)got;
		if (n > CNI_STDIN_MAX)
			return err_set(e, CNI_IO_FAILURE, "stdin is longer than %u bytes",
				       CNI_STDIN_MAX);
		if (n == room) {
			room *= 2;
			buf = mem_resize(buf, room, 1);
		}
	}
	*ret_text = TAKE(buf);
	*ret_len = n;
	return 0;
}

static int version_unsupported(const char *version, struct err *e)
{
	__cleanup_free char *ours = cni_versions_text();

	return err_set(e, CNI_INCOMPATIBLE_VERSION,
		       "incompatible CNI versions: config is \"%.32s\", plugin supports %s",
		       version, ours);
}

/* Absent or empty means 0.1.0, which has no chaining. */
static int version_parse(struct cni_request *req, struct err *e)
{
	const struct json *j = json_get_nocase(req->conf, "cniVersion");
	const char *version = "";
	int index;

	if (json_type(j) != JSON_NULL && json_string(j, &version, e) < 0)
		return CNI_DECODE_FAILURE;
	if (!*version)
		version = "0.1.0";
	index = version_index(version);
	if (index < 0)
		return version_unsupported(version, e);
	snprintf(req->version, sizeof(req->version), "%s", version);
	if (index < verbs[req->verb].since)
		return err_set(e, CNI_INCOMPATIBLE_VERSION, "config version does not allow %s",
			       verbs[req->verb].name);
	return 0;
}

static int name_parse(struct cni_request *req, struct err *e)
{
	const struct json *j = json_get_nocase(req->conf, "name");
	const char *name = "";

	if (json_type(j) != JSON_NULL && json_string(j, &name, e) < 0)
		return CNI_INVALID_CONFIG;
	if (!*name)
		return err_set(e, CNI_INVALID_CONFIG, "missing network name");
	if (!is_name(name))
		return err_set(e, CNI_INVALID_CONFIG,
			       "network name '%.64s': invalid characters found", name);
	req->name = name;
	return 0;
}

static int prev_parse(struct cni_request *req, struct err *e)
{
	const struct json *j = json_get_nocase(req->conf, "prevResult");

	if (json_type(j) == JSON_NULL)
		return 0;
	if (json_expect(j, JSON_OBJECT, e) < 0)
		return CNI_DECODE_FAILURE;
	req->prev = j;
	return 0;
}

static int conf_parse(struct cni_request *req, const char *text, size_t len, struct err *e)
{
	int r;

	r = json_parse(text, len, &req->conf, e);
	if (r == 0)
		r = json_expect(req->conf, JSON_OBJECT, e);
	if (r < 0) {
		err_wrap(e, "network configuration on stdin");
		return CNI_DECODE_FAILURE;
	}
	r = version_parse(req, e);
	return r ? r : name_parse(req, e);
}

/* VERSION answers whatever it is asked with: skel does not even read stdin there. */
static void version_request_parse(struct cni_request *req, const char *text, size_t len)
{
	const char *version;

	if (json_parse(text, len, &req->conf, NULL) == 0 &&
	    json_string(json_get_nocase(req->conf, "cniVersion"), &version, NULL) == 0 &&
	    *version && strlen(version) < sizeof(req->version))
		memcpy(req->version, version, strlen(version) + 1);
}

int cni_request_parse(struct cni_request *req, const struct cni_env *env, const char *text,
		      size_t len, struct err *e)
{
	int r;

	*req = (struct cni_request){
		.version = CNI_VERSION_NEWEST,
		.env = {or_empty(env->command), or_empty(env->container_id), or_empty(env->netns),
			or_empty(env->ifname), or_empty(env->args), or_empty(env->path),
			or_empty(env->netns_override)},
	};
	r = cni_verb_parse(env, &req->verb, e);
	if (r)
		return r;
	if (req->verb == CNI_VERSION) {
		version_request_parse(req, text, len);
		return 0;
	}
	r = conf_parse(req, text, len, e);
	if (r == 0)
		r = container_id_check(req->env.container_id, e);
	if (r == 0)
		r = ifname_check(req->env.ifname, e);
	return r ? r : prev_parse(req, e);
}

void cni_request_done(struct cni_request *req)
{
	json_free(req->conf);
	*req = (struct cni_request){0};
}
