/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One tree for JSON and YAML, strict both ways. The door to libyaml (only yaml.c
 * needs it; JSON has its own reader, json_parse.c): nobody above includes it.
 * Every getter checks the type and the range; on a mismatch the error carries the
 * path ("spec.rules[3].to[0].cidr"), and each node knows its line. Refused: trailing bytes,
 * comments, NaN, duplicate keys, embedded NUL, depth above JSON_MAX_DEPTH, YAML anchors, aliases,
 * tags and merge keys.
 *
 * Trees are owned by the root that was parsed or made; children are borrowed.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/err.h"

#define JSON_MAX_DEPTH 64

struct json;

enum json_type {
	JSON_NULL,
	JSON_BOOL,
	JSON_INT,
	JSON_DOUBLE,
	JSON_STRING,
	JSON_ARRAY,
	JSON_OBJECT
};

/*
 * One JSON document in text[0..len). 0, -EINVAL, -E2BIG when deeper than allowed.
 * Messages of the readers start with "line 3 column 7: " or "line 3: ".
 */
int json_parse(const char *text, size_t len, struct json **ret, struct err *e);

/*
 * Which members of an object are wanted, and in `of` which of their own members (NULL: all). Where
 * a member is an array, `of` is about each of its elements. A row without a name ends the list.
 */
struct json_want {
	const char *name;
	const struct json_want *of;
};
/*
 * As json_parse, but the tree holds only what is wanted. The rest of the text is checked as
 * strictly, except for names that an unwanted object has twice.
 */
int json_parse_wanted(const char *text, size_t len, const struct json_want *want, struct json **ret,
		      struct err *e);

/*
 * The next YAML document of text; YAML scalars get their JSON type by the core
 * schema (null, true/false, ints, floats, else string; quoted = string). Numbers get JSON's
 * spelling (0x1f is 31); refused are 017, which is 15 for half of the world, and member names that
 * are not strings when unquoted (true: , 1: ).
 */
struct yaml;
int yaml_open(const char *text, size_t len, struct yaml **ret, struct err *e);
/* 0 with the tree (the caller's), or with NULL at the end; empty documents are skipped. -EINVAL. */
int yaml_next(struct yaml *y, struct json **ret, struct err *e);
void yaml_close(struct yaml *y);

void json_free(struct json *j);
DEFINE_CLEANUP(struct json *, json_free);
#define __cleanup_json __cleanup(json_freep)

/* ---- reading ---- */
enum json_type json_type(const struct json *j); /* NULL is JSON_NULL */
int json_line(const struct json *j);		/* 1-based, of the key for members; 0 unknown */
size_t json_len(const struct json *j);		/* members or elements; 0 for others */
int json_depth(const struct json *j);		/* nested arrays and objects; 0 for others */
const struct json *json_at(const struct json *j, size_t i); /* array element, NULL past the end */
/* The member of that name, or NULL. */
const struct json *json_get(const struct json *j, const char *key);
/* The same as Go's encoding/json decodes: the exact name first, then in any ASCII case. */
const struct json *json_get_nocase(const struct json *j, const char *key);
const char *json_key_at(const struct json *j, size_t i); /* i-th member in document order */
const struct json *json_value_at(const struct json *j, size_t i);
/* Path from the root, like "spec.rules[3].name"; static ring of 4 buffers. */
const char *json_path(const struct json *j);

/* Type and value for messages, short and on one line: "string '80abc'", "integer 7"; ring of 4. */
const char *json_show(const struct json *j);

/* Typed: 0, or -EINVAL with "path: expected string, got integer 7". */
int json_string(const struct json *j, const char **ret, struct err *e); /* no embedded NUL */
int json_int(const struct json *j, int64_t min, int64_t max, int64_t *ret, struct err *e);
int json_bool(const struct json *j, bool *ret, struct err *e);
int json_expect(const struct json *j, enum json_type t, struct err *e);

/* ---- writing ---- */
struct json *json_new_object(void);
struct json *json_new_array(void);
struct json *json_new_string(const char *s); /* NULL gives null */
struct json *json_new_int(int64_t v);
struct json *json_new_bool(bool v);
struct json *json_new_null(void);
struct json *json_dup(const struct json *j); /* deep */
/* Adds a member, or replaces it in its place. */
void json_set(struct json *obj, const char *key, struct json *take_value);
void json_append(struct json *arr, struct json *take_value);
bool json_del(struct json *obj, const char *key);	     /* false: there was none */
bool json_equal(const struct json *a, const struct json *b); /* objects in any order */
/*
 * The text, compact (indent 0) or indented by so many blanks, members in their order; malloc'd. A
 * number that was parsed keeps its spelling.
 */
char *json_emit(const struct json *j, int indent);
