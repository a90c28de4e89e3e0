/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "json/json.h"
#include "policy/doc_priv.h"

DEFINE_CLEANUP(struct doc_set *, doc_set_free);
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

static int fail(const struct doc_set *set, const char *file, struct err *e)
{
	wrap(file, e);
	return doc_tell(set, e);
}

static int add_json(struct doc_set *set, const char *file, const char *text, size_t len,
		    struct err *e)
{
	__cleanup_json struct json *j = NULL;

	if (json_parse(text, len, &j, e) < 0)
		return fail(set, file, e);
	return doc_set_add(set, j, file, e);
}

static int add_yaml(struct doc_set *set, const char *file, const char *text, size_t len,
		    struct err *e)
{
	__cleanup_yaml struct yaml *y = NULL;
	int r = yaml_open(text, len, &y, e);

	while (doc_goes_on(set, r)) {
		__cleanup_json struct json *j = NULL;

		if (yaml_next(y, &j, e) < 0)
			return fail(set, file, e);
		if (!j)
			break;
		r = doc_set_add(set, j, file, e) ?: r;
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

void doc_text_mistakes(const char *file, const char *text, size_t len, struct doc_mistakes *ret)
{
	__cleanup(doc_set_freep) struct doc_set *set = doc_set_new();
	struct err e = {0};

	*ret = (struct doc_mistakes){0};
	set->mistakes = ret;
	if (doc_set_add_text(set, file, text, len, &e) < 0 && ret->n == 0)
		doc_tell(set, &e); /* too long to be looked into */
}

void doc_mistakes_done(struct doc_mistakes *m)
{
	for (size_t i = 0; i < m->n; i++)
		free(m->items[i]);
}

/* ---- pieces ---- */

#define MAX_PIECES 65536

/*
 * What YAML takes for the end of a line beside "\n", and lines that concern more than one
 * document: where they are, documents are not told from each other here.
 */
static bool is_plain(const char *text, size_t len)
{
	static const char *const others[] = {"\r",	     "\xc2\x85", "\xe2\x80\xa8",
					     "\xe2\x80\xa9", "\n%",	 "\n..."};

	if (len == 0 || text[0] == '%' || memchr(text, '\0', len))
		return false;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (memmem(text, len, others[i], strlen(others[i])))
			return false;
	return true;
}

/* A marker of a document is one in any context: in a block of text, too (YAML 1.2, 9.1.2). */
static bool is_marker(const char *line, const char *end)
{
	return end - line >= 3 && memcmp(line, "---", 3) == 0 &&
	       (end - line == 3 || strchr(" \t\n", line[3]));
}

size_t doc_text_pieces(const char *file, const char *text, size_t len, struct doc_piece **ret)
{
	struct doc_piece *list = mem_alloc0(sizeof(*list));
	const char *end = text + len;
	size_t n = 1;
	int lines = 0;

	*ret = list;
	list[0] = (struct doc_piece){text, len, 0};
	if (is_json(file) || !is_plain(text, len))
		return 1;
	for (const char *p = text; (p = memchr(p, '\n', (size_t)(end - p)));) {
		lines++;
		if (!is_marker(++p, end))
			continue;
		if (n == MAX_PIECES) {
			list[0].len = len;
			return 1;
		}
		list[n - 1].len = (size_t)(p - list[n - 1].text);
		MEM_GROW(list, n);
		*ret = list;
		list[n++] = (struct doc_piece){p, (size_t)(end - p), lines};
	}
	return n;
}
