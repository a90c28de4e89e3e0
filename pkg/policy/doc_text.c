/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>

#include "json/json.h"
#include "policy/doc.h"

DEFINE_CLEANUP(struct yaml *, yaml_close);
#define __cleanup_yaml __cleanup(yaml_closep)

/* "line 3 column 7: what" (json.h) becomes "file:3: column 7: what", as all other messages. */
static int wrap(const char *file, struct err *e)
{
	struct err inner = *e;
	int line = 0, n = 0;
	const char *rest;

	if (sscanf(inner.msg, "line %d%n", &line, &n) != 1)
		return err_wrap(e, "%s", file);
	rest = inner.msg + n;
	rest += strspn(rest, ": ");
	return err_set(e, -EINVAL, "%s:%d: %s", file, line, rest);
}

static int add_json(struct doc_set *set, const char *file, const char *text, size_t len,
		    struct err *e)
{
	__cleanup_json struct json *j = NULL;

	if (json_parse(text, len, &j, e) < 0)
		return wrap(file, e);
	return doc_set_add(set, j, file, e);
}

static int add_yaml(struct doc_set *set, const char *file, const char *text, size_t len,
		    struct err *e)
{
	__cleanup_yaml struct yaml *y = NULL;
	int r = yaml_open(text, len, &y, e);

	while (r == 0) {
		__cleanup_json struct json *j = NULL;

		if (yaml_next(y, &j, e) < 0)
			return wrap(file, e);
		if (!j)
			break;
		r = doc_set_add(set, j, file, e);
	}
	return r;
}

static bool is_json(const char *file)
{
	size_t n = strlen(file);

	return n >= 5 && strcmp(file + n - 5, ".json") == 0;
}

/*
 * A tree is many times as large as what comes of it. A long-lived process would keep that memory,
 * in small pieces, for another tree that may never come.
 */
#define TRIM_FROM (1u << 20)

int doc_set_add_text(struct doc_set *set, const char *file, const char *text, size_t len,
		     struct err *e)
{
	struct err local = {0};
	int r;

	if (!e)
		e = &local;
	if (len > DOC_MAX_FILE)
		return err_set(e, -EINVAL, "%s: expected at most %u bytes, found %zu", file,
			       DOC_MAX_FILE, len);
	r = is_json(file) ? add_json(set, file, text, len, e) : add_yaml(set, file, text, len, e);
	if (len >= TRIM_FROM)
		malloc_trim(0);
	return r;
}
