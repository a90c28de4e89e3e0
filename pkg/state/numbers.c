/* SPDX-License-Identifier: Apache-2.0 */
#include "state/numbers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/atomic_file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "json/json.h"

#define FILE_VERSION 1
#define FILE_MAX     (64u << 20)

struct numbers {
	const char *file;
	uint32_t max, count;
	uint32_t next; /* where the search for a free one begins */
	char **names;  /* by number */
	bool *held;
	uint32_t *slots, n_slots; /* open addressing: numbers, 0 = free; twice as many as names */
	bool dirty;
};

struct numbers *numbers_new(const char *file, uint32_t max)
{
	struct numbers *n = mem_alloc0(sizeof(*n));

	n->file = file;
	n->max = max;
	n->next = 1;
	n->names = mem_alloc0(max * sizeof(*n->names));
	n->held = mem_alloc0(max * sizeof(*n->held));
	n->n_slots = 2;
	while (n->n_slots < 2 * max)
		n->n_slots *= 2;
	n->slots = mem_alloc0(n->n_slots * sizeof(*n->slots));
	return n;
}

void numbers_free(struct numbers *n)
{
	if (!n)
		return;
	for (uint32_t i = 0; i < n->max; i++)
		free(n->names[i]);
	free(n->names);
	free(n->held);
	free(n->slots);
	free(n);
}

/* Where the name is, or would be. */
static uint32_t *slot_of(const struct numbers *n, const char *name)
{
	uint32_t i = (uint32_t)hash_str(name, 0) & (n->n_slots - 1);

	while (n->slots[i] && strcmp(n->names[n->slots[i]], name) != 0)
		i = (i + 1) & (n->n_slots - 1);
	return &n->slots[i];
}

uint32_t numbers_find(const struct numbers *n, const char *name)
{
	return *slot_of(n, name);
}

const char *numbers_name(const struct numbers *n, uint32_t number)
{
	return number < n->max ? n->names[number] : NULL;
}

static void name_set(struct numbers *n, uint32_t number, const char *name)
{
	*slot_of(n, name) = number;
	n->names[number] = mem_strdup(name);
	n->count++;
}

int numbers_get(struct numbers *n, const char *name, uint32_t *ret)
{
	uint32_t have = numbers_find(n, name);

	if (have) {
		*ret = have;
		return 0;
	}
	if (n->count == n->max - 1)
		return -ENOSPC;
	while (n->names[n->next])
		n->next = n->next + 1 < n->max ? n->next + 1 : 1;
	*ret = n->next;
	name_set(n, *ret, name);
	n->next = *ret + 1 < n->max ? *ret + 1 : 1;
	n->dirty = true;
	return 1;
}

void numbers_begin(struct numbers *n)
{
	memset(n->held, 0, n->max * sizeof(*n->held));
}

void numbers_hold(struct numbers *n, uint32_t number)
{
	if (number < n->max)
		n->held[number] = true;
}

void numbers_sweep(struct numbers *n)
{
	for (uint32_t i = 1; i < n->max; i++) {
		if (!n->names[i] || n->held[i])
			continue;
		free(n->names[i]);
		n->names[i] = NULL;
		n->count--;
		n->dirty = true;
	}
	memset(n->slots, 0, n->n_slots * sizeof(*n->slots));
	for (uint32_t i = 1; i < n->max; i++)
		if (n->names[i])
			*slot_of(n, n->names[i]) = i;
}

/* ---- the file ---- */

int numbers_store(struct numbers *n, int dirfd, struct err *e)
{
	__cleanup_json struct json *root = NULL;
	__cleanup_free char *text = NULL;
	struct json *list;
	int r;

	if (!n->dirty)
		return 0;
	root = json_new_object();
	list = json_new_array();
	json_set(root, "version", json_new_int(FILE_VERSION));
	json_set(root, "next", json_new_int(n->next));
	for (uint32_t i = 1; i < n->max; i++) {
		struct json *o;

		if (!n->names[i])
			continue;
		o = json_new_object();
		json_set(o, "number", json_new_int(i));
		json_set(o, "name", json_new_string(n->names[i]));
		json_append(list, o);
	}
	json_set(root, "names", list);
	text = json_emit(root, 1);
	r = atomic_file_store(dirfd, n->file, text, strlen(text), 0644, e);
	if (r == 0)
		n->dirty = false;
	return r;
}

static int name_parse(struct numbers *n, const struct json *o, struct err *e)
{
	const char *name;
	int64_t number;
	int r = json_int(json_get(o, "number"), 1, n->max - 1, &number, e);

	if (r == 0)
		r = json_string(json_get(o, "name"), &name, e);
	if (r < 0)
		return r;
	if (n->names[number] || numbers_find(n, name))
		return err_set(e, -EINVAL, "%s is given twice", name);
	name_set(n, (uint32_t)number, name);
	return 0;
}

static int numbers_parse(struct numbers *n, const char *text, size_t len, struct err *e)
{
	__cleanup_json struct json *root = NULL;
	const struct json *list;
	int64_t version, next = 1;
	int r = json_parse(text, len, &root, e);

	if (r == 0)
		r = json_int(json_get(root, "version"), FILE_VERSION, FILE_VERSION, &version, e);
	if (r == 0)
		r = json_int(json_get(root, "next"), 1, n->max - 1, &next, e);
	if (r < 0)
		return r;
	n->next = (uint32_t)next;
	list = json_get(root, "names");
	r = json_expect(list, JSON_ARRAY, e);
	for (size_t i = 0; r == 0 && i < json_len(list); i++)
		r = name_parse(n, json_at(list, i), e);
	return r;
}

int numbers_load(int dirfd, const char *file, uint32_t max, struct numbers **ret, struct err *e)
{
	__cleanup(numbers_freep) struct numbers *n = numbers_new(file, max);
	__cleanup_free char *text = NULL;
	size_t len = 0;
	int r = atomic_file_load(dirfd, file, FILE_MAX, &text, &len, e);

	if (r == 0 && numbers_parse(n, text, len, e) < 0) {
		err_wrap(e, "%s", file);
		return -EBADMSG;
	}
	if (r < 0 && r != -ENOENT)
		return r;
	*ret = TAKE(n);
	return 0;
}
