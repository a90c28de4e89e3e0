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

	if (f) /* most are quotes and ends of lines, and a text may have a million of them */
		put(o, (const char[]){'\\', into[f - from]}, 2);
	else
		put(o, buf, (size_t)snprintf(buf, sizeof(buf), "\\u%04x", c));
}

#define BYTES(c) (0x0101010101010101u * (c))

/* A byte that is smaller than limit (up to 0x80), in the highest bit of each: Hacker's Delight. */
static uint64_t bytes_below(uint64_t v, unsigned char limit)
{
	return (v - BYTES(limit)) & ~v & BYTES(0x80);
}

/* How many of s[0..n) may stand in a string as they are: eight at a time, texts are long. */
static size_t plain_len(const char *s, size_t n)
{
	size_t i = 0;
	uint64_t v;

	for (; i + sizeof(v) <= n; i += sizeof(v)) {
		memcpy(&v, s + i, sizeof(v));
		if (bytes_below(v, 0x20) | bytes_below(v ^ BYTES('"'), 1) |
		    bytes_below(v ^ BYTES('\\'), 1))
			break;
	}
	while (i < n && (unsigned char)s[i] >= 0x20 && s[i] != '"' && s[i] != '\\')
		i++;
	return i;
}

static void put_string(struct out *o, const char *s, size_t n)
{
	put(o, "\"", 1);
	for (size_t i = 0; i < n; i++) {
		size_t plain = plain_len(s + i, n - i);

		put(o, s + i, plain);
		i += plain;
		if (i < n)
			put_escape(o, (unsigned char)s[i]);
	}
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
