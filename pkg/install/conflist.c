/* SPDX-License-Identifier: Apache-2.0 */
#include "install/conflist.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "cni/request.h"

bool conflist_name(const char *name)
{
	static const char *const extensions[] = {".conf", ".conflist", ".json"};
	const char *dot = strrchr(name, '.');

	for (size_t i = 0; dot && i < sizeof(extensions) / sizeof(extensions[0]); i++)
		if (strcmp(dot, extensions[i]) == 0)
			return true;
	return false;
}

static bool is_list(const char *name)
{
	const char *dot = strrchr(name, '.');

	return dot && strcmp(dot, ".conflist") == 0;
}

/* ---- reading ---- */

static const char *text_of(const struct json *obj, const char *key)
{
	const char *s = NULL;

	return json_string(json_get_nocase(obj, key), &s, NULL) == 0 ? s : "";
}

static bool has_type(const struct json *plugin, const char *type)
{
	return strcmp(text_of(plugin, "type"), type) == 0;
}

static int plugin_check(const struct json *plugin, struct err *e)
{
	if (json_type(plugin) != JSON_OBJECT)
		return json_expect(plugin, JSON_OBJECT, e);
	if (!*text_of(plugin, "type"))
		return err_set(e, -EINVAL, "%s: no type", json_path(plugin));
	return 0;
}

/* SPEC, section 1: alphanumeric, then also _ . and - */
static int network_check(const struct json *list, struct err *e)
{
	const char *name;
	int r = json_string(json_get(list, "name"), &name, e);

	if (r < 0)
		return json_get(list, "name") ? r : err_set(e, -EINVAL, "no name");
	if (!isalnum((unsigned char)*name))
		return err_set(e, -EINVAL, "name '%.64s': not a network name", name);
	for (const char *p = name; *p; p++)
		if (!isalnum((unsigned char)*p) && !strchr("_.-", *p))
			return err_set(e, -EINVAL, "name '%.64s': not a network name", name);
	return 0;
}

static int list_check(const struct json *list, struct err *e)
{
	const struct json *plugins = json_get(list, "plugins");
	int r = network_check(list, e);

	if (r < 0)
		return r;
	if (json_get(list, "cniVersion"))
		r = json_expect(json_get(list, "cniVersion"), JSON_STRING, e);
	if (r == 0 && !plugins)
		r = err_set(e, -EINVAL, "no plugins");
	if (r == 0)
		r = json_expect(plugins, JSON_ARRAY, e);
	if (r == 0 && json_len(plugins) == 0)
		r = err_set(e, -EINVAL, "no plugins");
	for (size_t i = 0; r == 0 && i < json_len(plugins); i++)
		r = plugin_check(json_at(plugins, i), e);
	return r;
}

/* As libcni's ConfListFromConf: the whole of it is the one plugin. */
static struct json *wrap(const struct json *conf)
{
	struct json *list = json_new_object(), *plugins = json_new_array();

	json_set(list, "cniVersion", json_new_string(text_of(conf, "cniVersion")));
	json_set(list, "name", json_new_string(text_of(conf, "name")));
	json_append(plugins, json_dup(conf));
	json_set(list, "plugins", plugins);
	return list;
}

int conflist_parse(const char *name, const char *text, size_t len, struct json **ret, struct err *e)
{
	__cleanup_json struct json *j = NULL;
	__cleanup_json struct json *list = NULL;
	int r = json_parse(text, len, &j, e);

	if (r == 0)
		r = json_expect(j, JSON_OBJECT, e);
	if (r < 0)
		return r;
	if (!is_list(name)) {
		if (!*text_of(j, "type"))
			return err_set(e, -EINVAL,
				       "no type (a list of plugins belongs in a .conflist)");
		if (json_depth(j) > JSON_MAX_DEPTH - 2) /* the list around it */
			return err_set(e, -E2BIG, "nested too deep");
		list = wrap(j);
	} else {
		list = TAKE(j);
	}
	r = list_check(list, e);
	if (r == 0)
		*ret = TAKE(list);
	return r;
}

int conflist_chainable(const struct json *list, struct err *e)
{
	__cleanup_free char *known = cni_versions_text();
	const char *version = text_of(list, "cniVersion");

	if (cni_version_known(version))
		return 0;
	return err_set(e, -EOPNOTSUPP, "cniVersion '%.32s': plugins can be chained in %s only",
		       version, known);
}

const struct json *conflist_entry(const struct json *list)
{
	const struct json *plugins = json_get(list, "plugins");

	for (size_t i = 0; i < json_len(plugins); i++)
		if (has_type(json_at(plugins, i), CONFLIST_TYPE))
			return json_at(plugins, i);
	return NULL;
}

static const struct json *multus_of(const struct json *list)
{
	const struct json *plugins = json_get(list, "plugins");

	for (size_t i = 0; i < json_len(plugins); i++) {
		const struct json *p = json_at(plugins, i);

		if (has_type(p, "multus") || has_type(p, "multus-shim"))
			return p;
	}
	return NULL;
}

bool conflist_delegates(const struct json *list)
{
	return multus_of(list) != NULL;
}

bool conflist_delegate_chained(const struct json *list, const char **ret_cluster_network)
{
	const struct json *multus = multus_of(list);
	const struct json *delegates = json_get_nocase(multus, "delegates");
	const char *name = text_of(multus, "clusterNetwork");
	const char *slash = strrchr(name, '/');

	*ret_cluster_network = slash ? slash + 1 : name;
	for (size_t i = 0; i < json_len(delegates); i++)
		if (conflist_entry(json_at(delegates, i)))
			return true;
	return false;
}

const char *conflist_copy_of(const struct json *list)
{
	const char *name = text_of(json_get(list, CONFLIST_COPY), "of");

	return *name ? name : NULL;
}

/* ---- writing ---- */

static bool has_plugin(const struct json *plugins, const struct json *other)
{
	for (size_t i = 0; i < json_len(plugins); i++)
		if (has_type(json_at(plugins, i), text_of(other, "type")))
			return true;
	return false;
}

/* What somebody appended to the copy of before, unless the main list has it by now. */
static void append_foreign(struct json *plugins, const struct json *own)
{
	const struct json *theirs = json_get(own, "plugins");
	int64_t from = INT64_MAX;

	json_int(json_get(json_get(own, CONFLIST_COPY), "entries"), 1, INT32_MAX, &from, NULL);
	for (size_t i = 0; i < json_len(theirs); i++)
		if ((int64_t)i >= from && !has_plugin(plugins, json_at(theirs, i)))
			json_append(plugins, json_dup(json_at(theirs, i)));
}

static struct json *copy_mark(const char *name, size_t entries)
{
	struct json *mark = json_new_object();

	json_set(mark, "of", json_new_string(name));
	json_set(mark, "entries", json_new_int((int64_t)entries));
	return mark;
}

/* A newer runtime takes the highest of them it knows, and would call us in a version we do not. */
static void trim_versions(struct json *copy)
{
	const struct json *all = json_get(copy, "cniVersions");
	struct json *known;

	if (json_type(all) != JSON_ARRAY)
		return;
	known = json_new_array();
	for (size_t i = 0; i < json_len(all); i++) {
		const char *version;

		if (json_string(json_at(all, i), &version, NULL) == 0 && cni_version_known(version))
			json_append(known, json_new_string(version));
	}
	json_set(copy, "cniVersions", known);
}

struct json *conflist_copy(const struct json *list, const char *name, const struct json *entry,
			   const struct json *own)
{
	const struct json *theirs = json_get(list, "plugins");
	struct json *copy = json_dup(list), *plugins = json_new_array();
	size_t n;

	for (size_t i = 0; i < json_len(theirs); i++)
		json_append(plugins, json_dup(json_at(theirs, i)));
	if (!conflist_entry(list))
		json_append(plugins, json_dup(entry));
	n = json_len(plugins);
	append_foreign(plugins, own);
	json_set(copy, "plugins", plugins);
	trim_versions(copy);
	json_set(copy, CONFLIST_COPY, copy_mark(name, n));
	return copy;
}

char *conflist_emit(const struct json *list)
{
	__cleanup_free char *text = json_emit(list, 2);

	return mem_printf("%s\n", text);
}
