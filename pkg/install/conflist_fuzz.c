/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a main list and, behind a NUL, as our copy of before: refused, or copied.
 * A copy is one that runtimes take, has the main list's members and plugins in their
 * order and our entry once, and copying again changes nothing.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "install/conflist.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t entries(const struct json *list)
{
	const struct json *plugins = json_get(list, "plugins");
	size_t n = 0;

	for (size_t i = 0; i < json_len(plugins); i++) {
		const char *type = "";

		json_string(json_get_nocase(json_at(plugins, i), "type"), &type, NULL);
		n += strcmp(type, CONFLIST_TYPE) == 0;
	}
	return n;
}

static void check_copy(const struct json *list, const struct json *copy)
{
	const struct json *theirs = json_get(list, "plugins"), *all = json_get(copy, "plugins");
	size_t was = entries(list);

	assert(entries(copy) == (was ? was : 1));
	assert(json_len(all) > json_len(theirs) - (was > 0));
	for (size_t i = 0; i < json_len(theirs); i++)
		assert(json_equal(json_at(theirs, i), json_at(all, i)));
	for (size_t i = 0; i < json_len(list); i++) {
		const char *key = json_key_at(list, i);

		assert(strcmp(key, json_key_at(copy, i)) == 0);
		if (strcmp(key, "plugins") && strcmp(key, "cniVersions") &&
		    strcmp(key, CONFLIST_COPY))
			assert(json_equal(json_value_at(list, i), json_value_at(copy, i)));
	}
}

static void copy_twice(const struct json *list, const struct json *own)
{
	__cleanup_json struct json *entry = json_new_object();
	__cleanup_json struct json *once = NULL;
	__cleanup_json struct json *read = NULL;
	__cleanup_json struct json *twice = NULL;
	__cleanup_free char *text = NULL;

	json_set(entry, "type", json_new_string(CONFLIST_TYPE));
	once = conflist_copy(list, "10-m.conflist", entry, own);
	check_copy(list, once);
	text = conflist_emit(once);
	assert(conflist_parse("00-sluice.conflist", text, strlen(text), &read, NULL) == 0);
	assert(json_equal(once, read) && strcmp(conflist_copy_of(read), "10-m.conflist") == 0);
	twice = conflist_copy(list, "10-m.conflist", entry, read);
	assert(json_equal(once, twice));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data, *nul = memchr(text, 0, size);
	size_t n = nul ? (size_t)(nul - text) : size;
	__cleanup_json struct json *list = NULL;
	__cleanup_json struct json *own = NULL;
	const char *name;
	struct err e = {0};

	if (conflist_parse("m.conf", text, n, &list, NULL) == 0)
		copy_twice(list, NULL);
	json_free(TAKE(list));
	if (conflist_parse("m.conflist", text, n, &list, &e) < 0) {
		assert(!list && *e.msg);
		return 0;
	}
	conflist_delegate_chained(list, &name);
	if (nul)
		conflist_parse("00-sluice.conflist", nul + 1, size - n - 1, &own, NULL);
	copy_twice(list, own);
	return 0;
}
