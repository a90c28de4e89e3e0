/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "json/tree.h"

struct out {
	char *p;
	size_t n, size;
	int indent;
};

static void put(struct out *o, const char *s, size_t n)
{
	if (o->size - o->n <= n) {
		o->size = (o->n + n + 1) * 2;
		o->p = mem_resize(o->p, o->size, 1);
	}
	memcpy(o->p + o->n, s, n);
	o->n += n;
}

static void put_line(struct out *o, int depth)
{
	if (!o->indent)
		return;
	put(o, "\n", 1);
	for (int i = 0; i < depth * o->indent; i++)
		put(o, " ", 1);
}

static void put_escape(struct out *o, unsigned char c)
{
	static const char from[] = "\"\\\b\f\n\r\t", into[] = "\"\\bfnrt";
	const char *f = strchr(from, c);
	char buf[8];

	if (f)
		put(o, buf, (size_t)snprintf(buf, sizeof(buf), "\\%c", into[f - from]));
	else
		put(o, buf, (size_t)snprintf(buf, sizeof(buf), "\\u%04x", c));
}

static void put_string(struct out *o, const char *s, size_t n)
{
	size_t start = 0;

	put(o, "\"", 1);
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c >= 0x20 && c != '"' && c != '\\')
			continue;
		put(o, s + start, i - start);
		put_escape(o, c);
		start = i + 1;
	}
	put(o, s + start, n - start);
	put(o, "\"", 1);
}

static void put_value(struct out *o, const struct json *j, int depth);

static void put_items(struct out *o, const struct json *j, int depth)
{
	for (size_t i = 0; i < j->n; i++) {
		if (i)
			put(o, ",", 1);
		put_line(o, depth + 1);
		if (j->type == JSON_OBJECT) {
			put_string(o, j->items[i]->key, strlen(j->items[i]->key));
			put(o, ": ", o->indent ? 2 : 1);
		}
		put_value(o, j->items[i], depth + 1);
	}
	if (j->n)
		put_line(o, depth);
}

static void put_value(struct out *o, const struct json *j, int depth)
{
	switch (json_type(j)) {
	case JSON_NULL:
		put(o, "null", 4);
		break;
	case JSON_BOOL:
		put(o, j->value ? "true" : "false", j->value ? 4 : 5);
		break;
	case JSON_INT:
	case JSON_DOUBLE:
		put(o, j->text, j->n);
		break;
	case JSON_STRING:
		put_string(o, j->text, j->n);
		break;
	case JSON_ARRAY:
	case JSON_OBJECT:
		put(o, j->type == JSON_ARRAY ? "[" : "{", 1);
		put_items(o, j, depth);
		put(o, j->type == JSON_ARRAY ? "]" : "}", 1);
		break;
	}
}

char *json_emit(const struct json *j, int indent)
{
	struct out o = {.p = mem_alloc0(256), .size = 256, .indent = indent};

	put_value(&o, j, 0);
	o.p[o.n] = '\0';
	return o.p;
}
