/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The splitter knows of JSON only what it needs to find where a piece ends: strings, escapes and
 * brackets. Whether a piece is JSON says the reader that gets it.
 */
#include "source/kube_stream.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "json/json.h"
#include "json/scan.h"

static size_t piece_max(size_t max)
{
	return max ? max : KUBE_PIECE_MAX;
}

/* Adds what fits; true once something did not. */
static bool add_cut(struct kube_buf *b, const char *p, size_t n, size_t max)
{
	size_t room = max - b->n;

	return !kube_buf_add(b, p, n < room ? n : room, max) || n > room;
}

/* ---- lists ---- */

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Within a string; true at its closing quote. */
static bool string_byte(struct kube_split *s, char c)
{
	if (s->escaped)
		s->escaped = false;
	else if (c == '\\')
		s->escaped = true;
	else if (c == '"')
		s->string = false;
	return !s->string;
}

static void key_over(struct kube_split *s)
{
	static const char items[] = "\"items\"";

	s->is_items = s->envelope.n - s->key == strlen(items) &&
		      memcmp(s->envelope.p + s->key, items, strlen(items)) == 0;
	s->in_key = false;
}

static int envelope_bracket(struct kube_split *s, char c, struct err *e)
{
	if (c == '[' && s->depth == 1 && s->is_items) {
		s->where = SPLIT_FIRST;
		return 0;
	}
	if (c == '{' || c == '[') {
		s->depth++;
		s->want_key = s->depth == 1;
		return 0;
	}
	if (s->depth == 0)
		return err_set(e, -EINVAL, "list: a bracket too many");
	s->depth--;
	return 0;
}

static int envelope_byte(struct kube_split *s, char c, struct err *e)
{
	if (!kube_buf_add(&s->envelope, &c, 1, KUBE_ENVELOPE_MAX))
		return err_set(e, -EFBIG, "list: more than %d bytes besides its items",
			       KUBE_ENVELOPE_MAX);
	if (s->string) {
		if (string_byte(s, c) && s->in_key)
			key_over(s);
		return 0;
	}
	switch (c) {
	case '"':
		s->string = true;
		s->in_key = s->depth == 1 && s->want_key;
		s->want_key = false;
		s->key = s->envelope.n - 1;
		return 0;
	case ',':
		s->want_key = s->depth == 1;
		s->is_items = false;
		return 0;
	case '{':
	case '}':
	case '[':
	case ']':
		return envelope_bracket(s, c, e);
	default:
		return 0;
	}
}

/* Between the pieces. */
static int items_byte(struct kube_split *s, char c, struct err *e)
{
	if (is_space(c))
		return 0;
	if (c == ']' && s->where != SPLIT_NEXT) {
		s->where = SPLIT_ENVELOPE;
		s->is_items = false;
		kube_buf_add(&s->envelope, &c, 1, SIZE_MAX); /* its "[" was counted */
		return 0;
	}
	if (c == ',' && s->where == SPLIT_BEHIND) {
		s->where = SPLIT_NEXT;
		return 0;
	}
	if (c != '{' || s->where == SPLIT_BEHIND)
		return err_set(e, -EINVAL, "list: items[%zu]: expected an object", s->n);
	s->where = SPLIT_ITEM;
	return 1;
}

/* From p as far as the piece goes; *ret_over at its last bracket. */
static const char *item_end(struct kube_split *s, const char *p, const char *end, bool *ret_over)
{
	*ret_over = false;
	while (p < end && !*ret_over) {
		char c;

		if (s->string && !s->escaped) { /* most of all bytes */
			p = scan_plain(p, end);
			while (p < end && *p != '"' && *p != '\\')
				p++;
		}
		if (p == end)
			break;
		c = *p++;
		if (s->string) {
			string_byte(s, c);
		} else if (c == '"') {
			s->string = true;
		} else if (c == '{' || c == '[') {
			s->depth++;
		} else if (c == '}' || c == ']') {
			s->depth--;
			*ret_over = s->depth == 1;
		}
	}
	return p;
}

static int item_over(struct kube_split *s, struct err *e)
{
	int r = s->piece(s->data, s->item.p, s->item.n, s->cut, e);

	kube_buf_clear(&s->item);
	s->where = SPLIT_BEHIND;
	s->cut = false;
	s->n++;
	return r;
}

int kube_split_feed(struct kube_split *s, const char *p, size_t n, struct err *e)
{
	const char *end = p + n, *from;
	bool over;
	int r = 0;

	while (p < end && r >= 0) {
		if (s->where == SPLIT_ENVELOPE) {
			r = envelope_byte(s, *p++, e);
		} else if (s->where != SPLIT_ITEM) {
			r = items_byte(s, *p, e);
			p += r == 0; /* 1: the piece begins with it */
		} else {
			from = p;
			p = item_end(s, p, end, &over);
			if (!s->cut)
				s->cut = add_cut(&s->item, from, (size_t)(p - from),
						 piece_max(s->max));
			r = over ? item_over(s, e) : 0;
		}
	}
	return r < 0 ? r : 0;
}

int kube_split_end(struct kube_split *s, struct json **ret, struct err *e)
{
	__cleanup_json struct json *j = NULL;
	int r;

	if (s->where != SPLIT_ENVELOPE)
		return err_set(e, -EINVAL, "list: it breaks off behind items[%zu]", s->n);
	r = json_parse(s->envelope.p, s->envelope.n, &j, e);
	if (r < 0)
		return err_wrap(e, "list");
	r = json_expect(j, JSON_OBJECT, e);
	if (r < 0)
		return err_wrap(e, "list");
	*ret = TAKE(j);
	return 0;
}

void kube_split_done(struct kube_split *s)
{
	kube_buf_done(&s->envelope);
	kube_buf_done(&s->item);
}

/* ---- watches ---- */

static int line_over(struct kube_lines *l, struct err *e)
{
	bool cut = l->cut;
	int r = 0;

	l->cut = false;
	if (l->line.n)
		r = l->piece(l->data, l->line.p, l->line.n, cut, e);
	kube_buf_clear(&l->line);
	return r;
}

int kube_lines_feed(struct kube_lines *l, const char *p, size_t n, struct err *e)
{
	const char *end = p + n;
	int r = 0;

	while (p < end && r >= 0) {
		const char *newline = memchr(p, '\n', (size_t)(end - p));
		const char *to = newline ? newline : end;

		if (!l->cut)
			l->cut = add_cut(&l->line, p, (size_t)(to - p), piece_max(l->max));
		if (newline)
			r = line_over(l, e);
		p = newline ? newline + 1 : end;
	}
	return r;
}

void kube_lines_done(struct kube_lines *l)
{
	kube_buf_done(&l->line);
}

/* ---- who is it ---- */

/* The string that begins at p[0] == '"'; p behind it, NULL when it breaks off. */
static const char *peek_string(const char *p, const char *end, const char **ret, size_t *ret_n)
{
	*ret = ++p;
	while (p < end && *p != '"')
		p += *p == '\\' ? 2 : 1;
	if (p >= end)
		return NULL;
	*ret_n = (size_t)(p - *ret);
	return p + 1;
}

static bool peek_take(const char *s, size_t n, char *to, size_t size)
{
	if (!n || n >= size)
		return false;
	for (size_t i = 0; i < n; i++)
		if (s[i] <= ' ' || s[i] > '~' || s[i] == '\\')
			return false;
	memcpy(to, s, n);
	to[n] = '\0';
	return true;
}

struct peek {
	const char *const *path;
	size_t depth;	/* of brackets */
	size_t matched; /* names of the path, outermost first; each is one bracket deeper */
	bool value;	/* behind the colon of the name that is next in the path */
};

/* A bracket: true when the object that the path leads through is over. */
static bool peek_bracket(struct peek *at, char c)
{
	if (c == '}' || c == ']')
		return at->depth == 0 || --at->depth <= at->matched;
	if (at->value && c == '{' && at->path[at->matched + 1])
		at->matched++;
	at->value = false;
	at->depth++;
	return false;
}

bool kube_peek(const char *text, size_t n, const char *const path[], char *to, size_t size)
{
	const char *p = text, *end = text + n, *s;
	struct peek at = {.path = path};
	size_t len;

	while (p && p < end) {
		const char *name = path[at.matched];
		char c = *p;

		if (c == '{' || c == '}' || c == '[' || c == ']') {
			p++;
			if (peek_bracket(&at, c))
				return false;
			continue;
		}
		if (c != '"') {
			at.value = at.value && c != ',';
			p++;
			continue;
		}
		p = peek_string(p, end, &s, &len);
		if (p && at.value)
			return !path[at.matched + 1] && peek_take(s, len, to, size);
		while (p && p < end && is_space(*p))
			p++;
		at.value = p && p < end && *p == ':' && at.depth == at.matched + 1 &&
			   len == strlen(name) && memcmp(s, name, len) == 0;
	}
	return false;
}
