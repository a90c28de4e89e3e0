/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The node behind json.h, shared by the readers (json_parse.c, yaml.c) and the
 * writer (json_emit.c) and by nobody else. A node is one allocation: key and
 * text stand in data[] behind it, so that a document costs one malloc per node.
 */
#include "json/json.h"

struct slice {
	const char *p;
	size_t n;
	char *owned; /* set when the bytes had to be decoded */
};

static inline void slice_done(struct slice *s)
{
	free(s->owned);
}
#define __cleanup_slice __cleanup(slice_done)

struct json {
	struct json *parent; /* NULL for a root */
	struct json **items; /* children of arrays and objects in document order */
	const char *key;     /* in an object: its member name; in data[] or key_owned */
	char *key_owned;
	const char *text; /* string: its bytes; number: as written; in data[] */
	size_t n;	  /* bytes of text or number of items */
	int line;	  /* of the key for members, else of the value */
	enum json_type type;
	bool value; /* of JSON_BOOL */
	char data[];
};

/* A new node, appended to parent (not NULL: array or object); key only in objects. */
struct json *node_add(struct json *parent, const struct slice *key, enum json_type type,
		      const struct slice *text, int line);

/* A member of obj whose name stood before it already, or NULL. */
const struct json *node_duplicate(const struct json *obj);
