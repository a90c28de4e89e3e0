/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tree and its getters. It is our own and not json-c's because json-c keeps
 * neither lines nor the text of integers, takes the last of two equal keys in
 * silence, and its getters coerce ("80abc" is 80): each of these has to be an
 * error with a place here. Members are found by walking an array: objects are
 * small, and the order of the document is kept for free.
 */
#include "json/json.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "json/tree.h"

#define SHOW_MAX 64 /* bytes of a value quoted in a message */

static struct json *node_new(const struct slice *key, enum json_type type, const struct slice *text)
{
	size_t key_size = key ? key->n + 1 : 0;
	size_t text_size = text ? text->n + 1 : 0;
	struct json *j = mem_alloc0(sizeof(*j) + key_size + text_size);
	char *p = j->data;

	j->type = type;
	if (key) {
		j->key = memcpy(p, key->p, key->n);
		p += key_size;
	}
	if (text) {
		if (text->n)
			memcpy(p, text->p, text->n);
		j->text = p;
		j->n = text->n;
	}
	return j;
}

/* Room for four, eight, sixteen … */
static void node_link(struct json *parent, struct json *child)
{
	size_t n = parent->n;

	if (!n || (n >= 4 && (n & (n - 1)) == 0))
		parent->items = mem_resize(parent->items, n ? n * 2 : 4, sizeof(*parent->items));
	parent->items[parent->n++] = child;
	child->parent = parent;
}

struct json *node_add(struct json *parent, const struct slice *key, enum json_type type,
		      const struct slice *text, int line)
{
	struct json *j = node_new(key, type, text);

	j->line = line;
	if (parent)
		node_link(parent, j);
	return j;
}

static int cmp_members(const void *a, const void *b)
{
	const struct json *x = *(struct json *const *)a, *y = *(struct json *const *)b;
	int c = strcmp(x->key, y->key);

	return c ? c : (x->line > y->line) - (x->line < y->line);
}

/* Most differ in their first byte. */
static inline bool keys_equal(const char *a, const char *b)
{
	return a[0] == b[0] && strcmp(a, b) == 0;
}

/* Walking pairs is cheapest for the usual object; sorting bounds it for a hostile one. */
const struct json *node_duplicate(const struct json *obj)
{
	__cleanup_free struct json **sorted = NULL;

	if (obj->n <= 16) {
		for (size_t i = 1; i < obj->n; i++)
			for (size_t k = 0; k < i; k++)
				if (keys_equal(obj->items[i]->key, obj->items[k]->key))
					return obj->items[i];
		return NULL;
	}
	sorted = mem_dup(obj->items, obj->n * sizeof(*sorted));
	qsort(sorted, obj->n, sizeof(*sorted), cmp_members);
	for (size_t i = 1; i < obj->n; i++)
		if (strcmp(sorted[i]->key, sorted[i - 1]->key) == 0)
			return sorted[i];
	return NULL;
}

void json_free(struct json *j)
{
	if (!j)
		return;
	if (j->type == JSON_ARRAY || j->type == JSON_OBJECT)
		for (size_t i = 0; i < j->n; i++)
			json_free(j->items[i]);
	free(j->items);
	free(j->key_owned);
	free(j);
}

/* ---- reading ---- */

enum json_type json_type(const struct json *j)
{
	return j ? j->type : JSON_NULL;
}

static const char *type_name(enum json_type t)
{
	static const char *const names[] = {
		[JSON_NULL] = "null",	  [JSON_BOOL] = "boolean",  [JSON_INT] = "integer",
		[JSON_DOUBLE] = "number", [JSON_STRING] = "string", [JSON_ARRAY] = "array",
		[JSON_OBJECT] = "object",
	};

	return names[t];
}

int json_line(const struct json *j)
{
	return j ? j->line : 0;
}

static bool is_container(const struct json *j)
{
	return j && (j->type == JSON_ARRAY || j->type == JSON_OBJECT);
}

size_t json_len(const struct json *j)
{
	return is_container(j) ? j->n : 0;
}

int json_depth(const struct json *j)
{
	int deepest = 0;

	if (!is_container(j))
		return 0;
	for (size_t i = 0; i < j->n; i++) {
		int n = json_depth(j->items[i]);

		deepest = n > deepest ? n : deepest;
	}
	return deepest + 1;
}

const struct json *json_at(const struct json *j, size_t i)
{
	return json_type(j) == JSON_ARRAY && i < j->n ? j->items[i] : NULL;
}

static size_t member_index(const struct json *j, const char *key)
{
	size_t n = json_type(j) == JSON_OBJECT ? j->n : 0;

	for (size_t i = 0; i < n; i++)
		if (keys_equal(j->items[i]->key, key))
			return i;
	return SIZE_MAX;
}

const struct json *json_get(const struct json *j, const char *key)
{
	size_t i = member_index(j, key);

	return i == SIZE_MAX ? NULL : j->items[i];
}

const struct json *json_get_nocase(const struct json *j, const char *key)
{
	const struct json *exact = json_get(j, key);

	if (exact || json_type(j) != JSON_OBJECT)
		return exact;
	for (size_t i = 0; i < j->n; i++)
		if (strcasecmp(j->items[i]->key, key) == 0)
			return j->items[i];
	return NULL;
}

const char *json_key_at(const struct json *j, size_t i)
{
	return json_type(j) == JSON_OBJECT && i < j->n ? j->items[i]->key : NULL;
}

const struct json *json_value_at(const struct json *j, size_t i)
{
	return json_type(j) == JSON_OBJECT && i < j->n ? j->items[i] : NULL;
}

/* ---- messages: one line each, whatever the document holds ---- */

struct text {
	char *p;
	size_t n, size;
};

static void text_add(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void text_add(struct text *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(t->p + t->n, t->size - t->n, fmt, ap);
	va_end(ap);
	if (n > 0)
		t->n = t->n + n < t->size ? t->n + n : t->size - 1;
}

static void text_add_quoted(struct text *t, const char *s, char quote)
{
	size_t n = strlen(s), shown = n < SHOW_MAX ? n : SHOW_MAX;

	while (shown < n && shown && ((unsigned char)s[shown] & 0xc0) == 0x80)
		shown--; /* not in the middle of a character */
	text_add(t, "%c", quote);
	for (size_t i = 0; i < shown; i++)
		text_add(t, (unsigned char)s[i] < 0x20 || s[i] == 0x7f ? "\\x%02x" : "%c",
			 (unsigned char)s[i]);
	text_add(t, n > shown ? "…%c" : "%c", quote);
}

static bool is_plain(const char *key)
{
	return *key && key[strspn(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				       "0123456789_-")] == '\0';
}

static void path_add(struct text *t, const struct json *j)
{
	size_t i = 0;

	if (!j->parent)
		return;
	path_add(t, j->parent);
	if (j->parent->type == JSON_ARRAY) {
		while (j->parent->items[i] != j)
			i++;
		text_add(t, "[%zu]", i);
	} else if (is_plain(j->key)) {
		text_add(t, "%s%s", t->n ? "." : "", j->key);
	} else {
		text_add(t, "[");
		text_add_quoted(t, j->key, '"');
		text_add(t, "]");
	}
}

const char *json_path(const struct json *j)
{
	static char ring[4][320];
	static unsigned int next;
	struct text t = {.p = ring[next++ % 4], .size = sizeof(ring[0])};

	t.p[0] = '\0';
	if (j)
		path_add(&t, j);
	if (!t.n)
		text_add(&t, "document");
	err_whole(t.p);
	return t.p;
}

const char *json_show(const struct json *j)
{
	static char ring[4][SHOW_MAX * 4 + 32];
	static unsigned int next;
	struct text t = {.p = ring[next++ % 4], .size = sizeof(ring[0])};

	text_add(&t, "%s", type_name(json_type(j)));
	switch (json_type(j)) {
	case JSON_STRING:
		text_add(&t, " ");
		text_add_quoted(&t, j->text, '\'');
		break;
	case JSON_INT:
	case JSON_DOUBLE:
		text_add(&t, " %.*s", SHOW_MAX, j->text);
		break;
	case JSON_BOOL:
		text_add(&t, " %s", j->value ? "true" : "false");
		break;
	default:
		break;
	}
	return t.p;
}

/* ---- typed ---- */

int json_expect(const struct json *j, enum json_type t, struct err *e)
{
	bool quote = t == JSON_STRING && (json_type(j) == JSON_INT || json_type(j) == JSON_DOUBLE ||
					  json_type(j) == JSON_BOOL);

	if (json_type(j) == t)
		return 0;
	return err_set(e, -EINVAL, "%s: expected %s, got %s%s", json_path(j), type_name(t),
		       json_show(j), quote ? " (put it in quotes)" : "");
}

int json_string(const struct json *j, const char **ret, struct err *e)
{
	int r = json_expect(j, JSON_STRING, e);

	if (r < 0)
		return r;
	*ret = j->text;
	return 0;
}

int json_int(const struct json *j, int64_t min, int64_t max, int64_t *ret, struct err *e)
{
	int r = json_expect(j, JSON_INT, e);
	intmax_t v;

	if (r < 0)
		return r;
	errno = 0;
	v = strtoimax(j->text, NULL, 10);
	if (errno || v < min || v > max)
		return err_set(e, -EINVAL,
			       "%s: expected integer from %" PRId64 " to %" PRId64 ", got %.*s",
			       json_path(j), min, max, SHOW_MAX, j->text);
	*ret = v;
	return 0;
}

int json_bool(const struct json *j, bool *ret, struct err *e)
{
	int r = json_expect(j, JSON_BOOL, e);

	if (r < 0)
		return r;
	*ret = j->value;
	return 0;
}

/* ---- writing ---- */

struct json *json_new_object(void)
{
	return node_new(NULL, JSON_OBJECT, NULL);
}

struct json *json_new_array(void)
{
	return node_new(NULL, JSON_ARRAY, NULL);
}

struct json *json_new_string(const char *s)
{
	struct slice text = {.p = s, .n = s ? strlen(s) : 0};

	return s ? node_new(NULL, JSON_STRING, &text) : json_new_null();
}

struct json *json_new_int(int64_t v)
{
	char buf[24];
	struct slice text = {.p = buf, .n = snprintf(buf, sizeof(buf), "%" PRId64, v)};

	return node_new(NULL, JSON_INT, &text);
}

struct json *json_new_bool(bool v)
{
	struct json *j = node_new(NULL, JSON_BOOL, NULL);

	j->value = v;
	return j;
}

struct json *json_new_null(void)
{
	return node_new(NULL, JSON_NULL, NULL);
}

static struct json *dup_into(struct json *parent, const struct json *j)
{
	struct slice key = {.p = j->key, .n = j->key && parent ? strlen(j->key) : 0};
	struct slice text = {.p = j->text, .n = j->text ? j->n : 0};
	struct json *copy = node_add(parent, j->key && parent ? &key : NULL, j->type,
				     j->text ? &text : NULL, j->line);

	copy->value = j->value;
	for (size_t i = 0; i < json_len(j); i++)
		dup_into(copy, j->items[i]);
	return copy;
}

struct json *json_dup(const struct json *j)
{
	return j ? dup_into(NULL, j) : NULL;
}

static void check_root(const struct json *parent, enum json_type type, const struct json *child)
{
	if (json_type(parent) != type || !child || child->parent || child == parent)
		abort(); /* a programming error: the value has an owner already */
}

void json_set(struct json *obj, const char *key, struct json *take_value)
{
	size_t i = member_index(obj, key);

	check_root(obj, JSON_OBJECT, take_value);
	free(take_value->key_owned);
	take_value->key = take_value->key_owned = mem_strdup(key);
	if (i == SIZE_MAX) {
		node_link(obj, take_value);
		return;
	}
	json_free(obj->items[i]);
	obj->items[i] = take_value;
	take_value->parent = obj;
}

void json_append(struct json *arr, struct json *take_value)
{
	check_root(arr, JSON_ARRAY, take_value);
	node_link(arr, take_value);
}

bool json_del(struct json *obj, const char *key)
{
	size_t i = member_index(obj, key);

	if (i == SIZE_MAX)
		return false;
	json_free(obj->items[i]);
	memmove(obj->items + i, obj->items + i + 1, (obj->n - i - 1) * sizeof(*obj->items));
	obj->n--;
	return true;
}

static bool equal_children(const struct json *a, const struct json *b)
{
	for (size_t i = 0; i < a->n; i++) {
		size_t k = a->type == JSON_ARRAY ? i : member_index(b, a->items[i]->key);

		if (k == SIZE_MAX || !json_equal(a->items[i], b->items[k]))
			return false;
	}
	return true;
}

bool json_equal(const struct json *a, const struct json *b)
{
	if (json_type(a) != json_type(b))
		return false;
	if (!a || !b || a->type == JSON_NULL)
		return true;
	if (a->type == JSON_BOOL)
		return a->value == b->value;
	if (a->n != b->n)
		return false;
	return is_container(a) ? equal_children(a, b) : memcmp(a->text, b->text, a->n) == 0;
}
