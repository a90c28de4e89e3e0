/* SPDX-License-Identifier: Apache-2.0 */
#include "json/cut.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "json/json.h"

struct level {
	bool list;
	size_t end, n; /* of what is whole in it: where that ends, how much it is */
	const char *key;
	size_t key_len; /* of the member that is open */
};

struct scan {
	const char *text;
	size_t len, at, depth;
	struct level levels[JSON_MAX_DEPTH];
	const char *last; /* string */
	size_t last_len;
	bool whole;
};

/* Behind the string that begins here; the end of the text where it has none. */
static void string_skip(struct scan *s)
{
	size_t from = ++s->at;

	while (s->at < s->len && s->text[s->at] != '"')
		s->at += s->text[s->at] == '\\' ? 2 : 1;
	if (s->at > s->len)
		s->at = s->len;
	s->last = s->text + from;
	s->last_len = s->at - from;
}

static void open_one(struct scan *s, bool list)
{
	s->levels[s->depth++] = (struct level){.list = list, .end = s->at + 1};
}

/* False: no further. */
static bool character(struct scan *s)
{
	struct level *l = s->depth ? &s->levels[s->depth - 1] : NULL;

	switch (s->text[s->at]) {
	case '"':
		string_skip(s);
		break;
	case '[':
	case '{':
		if (s->depth == JSON_MAX_DEPTH)
			return false;
		open_one(s, s->text[s->at] == '[');
		break;
	case ']':
	case '}':
		s->depth -= l ? 1 : 0;
		s->whole = s->depth == 0;
		return !s->whole;
	case ',':
		if (l) {
			l->end = s->at;
			l->n++;
		}
		break;
	case ':':
		if (l) {
			l->key = s->last;
			l->key_len = s->last_len;
		}
		break;
	}
	return true;
}

/* The level that loses what is behind its last whole element. */
static size_t level_to_cut(const struct scan *s)
{
	for (size_t i = 0; i < s->depth; i++)
		if (s->levels[i].list && s->levels[i].n)
			return i;
	for (size_t i = 0; i < s->depth; i++)
		if (s->levels[i].n)
			return i;
	return 0;
}

static char *where_of(const struct scan *s, size_t level)
{
	char *path = mem_strdup("");

	for (size_t i = 0; i < level; i++) {
		const struct level *l = &s->levels[i];
		char *longer = l->list ? mem_printf("%s[%zu]", path, l->n)
				       : mem_printf("%s%s%.*s", path, *path ? "." : "",
						    (int)l->key_len, l->key ?: "");

		free(path);
		path = longer;
	}
	return path;
}

void json_cut(const char *text, size_t len, size_t max, struct json_cut *ret)
{
	struct scan s = {.text = text, .len = len < max ? len : max};
	size_t level;

	*ret = (struct json_cut){0};
	while (s.at < s.len && character(&s))
		s.at++;
	if (s.whole) /* what follows is the end of its line */
		return;
	level = level_to_cut(&s);
	if (s.depth == 0) {
		*ret = (struct json_cut){mem_strdup("null\n"), 5, mem_strdup(""), 0};
		return;
	}
	ret->where = where_of(&s, level);
	ret->kept = s.levels[level].n;
	ret->len = s.levels[level].end;
	ret->text = mem_alloc0(ret->len + level + 3);
	memcpy(ret->text, text, ret->len);
	for (size_t i = level + 1; i-- > 0;)
		ret->text[ret->len++] = s.levels[i].list ? ']' : '}';
	ret->text[ret->len++] = '\n';
}

void json_cut_done(struct json_cut *c)
{
	free(c->text);
	free(c->where);
	*c = (struct json_cut){0};
}
