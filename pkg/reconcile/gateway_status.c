/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the holder of the Lease tells of a gateway beside its conditions: the columns of
 * `kubectl get`, which show one value of a list and not all; and who is gone. Each owner writes
 * its own entries, so those of a node that is no more would stand there for ever: they are taken
 * away in its name, which is what makes them its own.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "json/json.h"
#include "reconcile/conditions.h"

#define COLUMN_MOST 96 /* about; then how many more */

static const char *text_at(const struct json *j, const char *key)
{
	const char *s;

	return json_string(json_get(j, key), &s, NULL) == 0 ? s : "";
}

static struct json *tree_of(const char *text)
{
	struct json *j = NULL;

	if (text)
		json_parse(text, strlen(text), &j, NULL);
	return j;
}

/* ---- columns ---- */

static int compare_texts(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Of a list's items, each once: in their order, or sorted. "" when there is none. */
static char *column(const struct json *list, const char *key, bool sorted)
{
	__cleanup_free const char **all = mem_alloc0((json_len(list) + 1) * sizeof(*all));
	char *text = mem_strdup(""), *longer;
	size_t n = 0;

	for (size_t i = 0; i < json_len(list); i++)
		if (*text_at(json_at(list, i), key))
			all[n++] = text_at(json_at(list, i), key);
	if (sorted && n)
		qsort(all, n, sizeof(*all), compare_texts);
	for (size_t i = 0; i < n; i++) {
		if (i && strcmp(all[i - 1], all[i]) == 0)
			continue;
		if (strlen(text) > COLUMN_MOST) {
			longer = mem_printf("%s,+%zu", text, n - i);
			free(text);
			return longer;
		}
		longer = mem_printf("%s%s%s", text, *text ? "," : "", all[i]);
		free(text);
		text = longer;
	}
	return text;
}

/* Never "", which an old API server reads as null. */
static void set_text(struct json *o, const char *key, const char *s)
{
	if (*s)
		json_set(o, key, json_new_string(s));
}

struct json *gateway_summary(const struct object *obj)
{
	__cleanup_json struct json *tree = tree_of(obj->more->text),
				   *status = tree_of(obj->more->status);
	const struct json *spec = json_get(tree, "spec");
	__cleanup_free char *addresses = column(json_get(spec, "addresses"), "range", false);
	__cleanup_free char *nodes = column(json_get(status, "addresses"), "node", true);
	struct json *o = json_new_object();

	set_text(o, "addresses",
		 *addresses ? addresses : text_at(json_get(spec, "addressFrom"), "interface"));
	set_text(o, "nodes", nodes);
	if (json_len(o))
		return o;
	json_free(o);
	return NULL;
}

/* ---- who is gone ---- */

static const char *gone_of(const struct json *list, gateway_lives_fn *lives, void *data)
{
	for (size_t i = 0; i < json_len(list); i++) {
		const struct json *entry = json_at(list, i);

		if (!lives(data, text_at(entry, "node"), text_at(entry, "address")))
			return text_at(entry, "node");
	}
	return NULL;
}

struct json *gateway_without_gone(const char *there, gateway_lives_fn *lives, void *data,
				  char **ret_node)
{
	__cleanup_json struct json *status = tree_of(there);
	const struct json *list = json_get(status, "addresses"),
			  *failover = json_get(status, "lastFailover");
	const char *node = gone_of(list, lives, data);
	struct json *o, *kept;

	if (!node || !*node)
		return NULL;
	o = json_new_object();
	kept = json_new_array();
	for (size_t i = 0; i < json_len(list); i++) {
		const struct json *entry = json_at(list, i);

		if (strcmp(text_at(entry, "node"), node) == 0 &&
		    lives(data, node, text_at(entry, "address")))
			json_append(kept, json_dup(entry));
	}
	json_set(o, "addresses", kept);
	if (failover && strcmp(text_at(failover, "to"), node) == 0)
		json_set(o, "lastFailover", json_dup(failover));
	*ret_node = mem_strdup(node);
	return o;
}
