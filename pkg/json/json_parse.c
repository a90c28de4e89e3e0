/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A reader of RFC 8259 and nothing else. What it adds: every node knows its line,
 * a member name may be given once, "\u0000" and lone surrogates are refused (what
 * comes out is a C string of well-formed UTF-8), and depth is bounded, which
 * bounds the recursion. Numbers keep their text.
 */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "json/scan.h"
#include "json/tree.h"

struct reader {
	const char *p, *end;
	const char *line_start;
	int line;
	int depth;
	struct err *e;
};

/* Length of the well-formed UTF-8 sequence at p (1..4), 0 if there is none (RFC 3629). */
static size_t utf8_len(const char *p, const char *end)
{
	const unsigned char *s = (const unsigned char *)p;
	size_t n = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;

	if (s[0] > 0xf4 || n == 0 || (size_t)(end - p) < n)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0; /* overlong, surrogate, or above U+10FFFF */
	return n;
}

static int fail(struct reader *r, const char *expected)
{
	int column = (int)(r->p - r->line_start) + 1;

	if (r->p == r->end)
		return err_set(r->e, -EINVAL, "line %d column %d: expected %s, found the end",
			       r->line, column, expected);
	if (*r->p > 0x20 && *r->p < 0x7f)
		return err_set(r->e, -EINVAL, "line %d column %d: expected %s, found '%c'", r->line,
			       column, expected, *r->p);
	return err_set(r->e, -EINVAL, "line %d column %d: expected %s, found byte 0x%02x", r->line,
		       column, expected, (unsigned char)*r->p);
}

static char peek(const struct reader *r)
{
	return r->p < r->end ? *r->p : '\0';
}

static inline void skip_space(struct reader *r)
{
	if (peek(r) > ' ') /* most often: an API writes none */
		return;
	for (; r->p < r->end; r->p++) {
		if (*r->p == '\n') {
			r->line++;
			r->line_start = r->p + 1;
		} else if (*r->p != ' ' && *r->p != '\t' && *r->p != '\r') {
			return;
		}
	}
}

/* ---- strings ---- */

static int read_hex4(struct reader *r, unsigned int *ret)
{
	unsigned int v = 0;

	for (int i = 0; i < 4; i++, r->p++) {
		char c = peek(r);

		if (c >= '0' && c <= '9')
			v = v << 4 | (unsigned int)(c - '0');
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			v = v << 4 | (unsigned int)((c | 0x20) - 'a' + 10);
		else
			return fail(r, "four hexadecimal digits after \\u");
	}
	*ret = v;
	return 0;
}

static char *utf8_put(char *to, unsigned int c)
{
	if (c < 0x80) {
		*to++ = (char)c;
	} else if (c < 0x800) {
		*to++ = (char)(0xc0 | c >> 6);
		*to++ = (char)(0x80 | (c & 0x3f));
	} else if (c < 0x10000) {
		*to++ = (char)(0xe0 | c >> 12);
		*to++ = (char)(0x80 | (c >> 6 & 0x3f));
		*to++ = (char)(0x80 | (c & 0x3f));
	} else {
		*to++ = (char)(0xf0 | c >> 18);
		*to++ = (char)(0x80 | (c >> 12 & 0x3f));
		*to++ = (char)(0x80 | (c >> 6 & 0x3f));
		*to++ = (char)(0x80 | (c & 0x3f));
	}
	return to;
}

/* Behind "\u"; a character outside the basic plane comes as two surrogates. */
static int read_unicode(struct reader *r, char **to)
{
	unsigned int c, low;
	int rc = read_hex4(r, &c);

	if (rc < 0)
		return rc;
	if (c >= 0xd800 && c <= 0xdbff) {
		if (r->end - r->p < 6 || r->p[0] != '\\' || r->p[1] != 'u')
			return fail(r, "the second half of a surrogate pair");
		r->p += 2;
		rc = read_hex4(r, &low);
		if (rc < 0)
			return rc;
		if (low < 0xdc00 || low > 0xdfff)
			return fail(r, "the second half of a surrogate pair before this");
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
	} else if (c == 0 || (c >= 0xdc00 && c <= 0xdfff)) {
		return fail(r, c ? "a surrogate pair before this" : "no \\u0000 before this");
	}
	*to = utf8_put(*to, c);
	return 0;
}

static int read_escape(struct reader *r, char **to)
{
	static const char from[] = "\"\\/bfnrt", into[] = "\"\\/\b\f\n\r\t";
	const char *f;

	r->p++;
	if (peek(r) == 'u') {
		r->p++;
		return read_unicode(r, to);
	}
	f = peek(r) ? strchr(from, *r->p) : NULL;
	if (!f)
		return fail(r, "an escape sequence");
	*(*to)++ = into[f - from];
	r->p++;
	return 0;
}

/* From p to the closing quote when nothing has to be decoded, else to the first that has. */
static int skip_plain(struct reader *r)
{
	while (r->p = scan_plain(r->p, r->end), r->p < r->end && *r->p != '"' && *r->p != '\\') {
		size_t n;

		if (*r->p >= 0x20 && *r->p < 0x7f) {
			r->p++;
			continue;
		}
		n = utf8_len(r->p, r->end);
		if ((unsigned char)*r->p < 0x20)
			return fail(r, "no control character in a string");
		if (n == 0)
			return fail(r, "well-formed UTF-8");
		r->p += n;
	}
	return r->p < r->end ? 0 : fail(r, "the closing quote of a string");
}

static int read_string(struct reader *r, struct slice *ret)
{
	const char *start = ++r->p, *close;
	char *to;
	int rc = skip_plain(r);

	if (rc < 0)
		return rc;
	if (*r->p == '"') {
		*ret = (struct slice){.p = start, .n = (size_t)(r->p++ - start)};
		return 0;
	}
	close = r->p; /* decoding never makes a string longer, so its source bounds the buffer */
	while (close < r->end && *close != '"')
		close += *close == '\\' && close + 1 < r->end ? 2 : 1;
	to = ret->owned = mem_alloc0((size_t)(close - start) + 1);
	to = mempcpy(to, start, (size_t)(r->p - start));
	while (*r->p != '"') {
		start = r->p;
		rc = *r->p == '\\' ? read_escape(r, &to) : skip_plain(r);
		if (rc == 0 && *start != '\\')
			to = mempcpy(to, start, (size_t)(r->p - start));
		if (rc == 0 && r->p == r->end)
			rc = fail(r, "the closing quote of a string");
		if (rc < 0)
			return rc;
	}
	r->p++;
	ret->p = ret->owned;
	ret->n = (size_t)(to - ret->owned);
	return 0;
}

/* ---- numbers and words ---- */

static int skip_digits(struct reader *r)
{
	if (peek(r) < '0' || peek(r) > '9')
		return fail(r, "a digit");
	while (peek(r) >= '0' && peek(r) <= '9')
		r->p++;
	return 0;
}

static int read_number(struct reader *r, struct slice *ret, enum json_type *ret_type)
{
	const char *start = r->p;
	int rc = 0;

	*ret_type = JSON_INT;
	r->p += *r->p == '-';
	if (peek(r) == '0')
		r->p++;
	else
		rc = skip_digits(r);
	if (rc == 0 && peek(r) == '.') {
		*ret_type = JSON_DOUBLE;
		r->p++;
		rc = skip_digits(r);
	}
	if (rc == 0 && (peek(r) == 'e' || peek(r) == 'E')) {
		*ret_type = JSON_DOUBLE;
		r->p++;
		r->p += peek(r) == '+' || peek(r) == '-';
		rc = skip_digits(r);
	}
	*ret = (struct slice){.p = start, .n = (size_t)(r->p - start)};
	return rc;
}

static bool take_word(struct reader *r, const char *word)
{
	size_t n = strlen(word);

	if ((size_t)(r->end - r->p) < n || memcmp(r->p, word, n) != 0)
		return false;
	r->p += n;
	return true;
}

/* ---- values ---- */

static int skip_string(struct reader *r)
{
	char scratch[4];
	int rc = 0;

	for (r->p++; rc == 0 && peek(r) != '"';) {
		char *to = scratch;

		rc = peek(r) == '\\' ? read_escape(r, &to) : skip_plain(r);
	}
	r->p += rc == 0;
	return rc;
}

static int skip_value(struct reader *r);

static int skip_colon(struct reader *r)
{
	skip_space(r);
	if (peek(r) != ':')
		return fail(r, "':'");
	r->p++;
	skip_space(r);
	return 0;
}

static int skip_member(struct reader *r)
{
	int rc = peek(r) == '"' ? skip_string(r) : fail(r, "a member name in double quotes");

	if (rc < 0)
		return rc;
	rc = skip_colon(r);
	return rc < 0 ? rc : skip_value(r);
}

static int enter(struct reader *r)
{
	if (++r->depth > JSON_MAX_DEPTH)
		return err_set(r->e, -E2BIG, "line %d column %d: nested deeper than %d", r->line,
			       (int)(r->p - r->line_start) + 1, JSON_MAX_DEPTH);
	r->p++;
	skip_space(r);
	return 0;
}

static int skip_container(struct reader *r)
{
	bool array = *r->p == '[';
	char close = array ? ']' : '}';
	int rc = enter(r);

	while (rc == 0 && peek(r) != close) {
		rc = array ? skip_value(r) : skip_member(r);
		skip_space(r);
		if (rc < 0 || peek(r) == close)
			break;
		if (peek(r) != ',')
			return fail(r, array ? "',' or ']'" : "',' or '}'");
		r->p++;
		skip_space(r);
		if (peek(r) == close)
			return fail(r, array ? "a value" : "a member name in double quotes");
	}
	r->p += rc == 0;
	r->depth--;
	return rc;
}

static int skip_value(struct reader *r)
{
	struct slice number;
	enum json_type type;
	char c = peek(r);

	if (c == '"')
		return skip_string(r);
	if (c == '{' || c == '[')
		return skip_container(r);
	if (c == '-' || (c >= '0' && c <= '9'))
		return read_number(r, &number, &type);
	if (take_word(r, "null") || take_word(r, "true") || take_word(r, "false"))
		return 0;
	return fail(r, "a value");
}

/* Where a value goes: appended to parent, under key in objects; line of the key or its own. */
struct place {
	struct json *parent;
	const struct slice *key;
	int line;
	const struct json_want *want; /* of it; NULL: all */
};

static int read_value(struct reader *r, const struct place *at, struct json **ret);

static const struct json_want *want_find(const struct json_want *list, const struct slice *key)
{
	for (; list->name; list++)
		if (key->n && list->name[0] == key->p[0] &&
		    strncmp(list->name, key->p, key->n) == 0 && !list->name[key->n])
			return list;
	return NULL;
}

static int read_member(struct reader *r, struct json *obj, const struct json_want *want)
{
	__cleanup_slice struct slice key = {0};
	struct place at = {.parent = obj, .key = &key, .line = r->line};
	int rc;

	if (peek(r) != '"')
		return fail(r, "a member name in double quotes");
	rc = read_string(r, &key);
	if (rc < 0)
		return rc;
	rc = skip_colon(r);
	if (rc < 0)
		return rc;
	if (want) {
		want = want_find(want, &key);
		if (!want)
			return skip_value(r);
		at.want = want->of;
	}
	return read_value(r, &at, NULL);
}

static int read_items(struct reader *r, struct json *c, const struct json_want *want)
{
	char close = c->type == JSON_ARRAY ? ']' : '}';

	for (;;) {
		struct place at = {.parent = c, .line = r->line, .want = want};
		int rc = c->type == JSON_ARRAY ? read_value(r, &at, NULL) : read_member(r, c, want);

		if (rc < 0)
			return rc;
		skip_space(r);
		if (peek(r) == close)
			return 0;
		if (peek(r) != ',')
			return fail(r, c->type == JSON_ARRAY ? "',' or ']'" : "',' or '}'");
		r->p++;
		skip_space(r);
	}
}

static int read_container(struct reader *r, struct json *c, const struct json_want *want)
{
	const struct json *twice;
	int rc = enter(r);

	if (rc == 0 && peek(r) != (c->type == JSON_ARRAY ? ']' : '}'))
		rc = read_items(r, c, want);
	if (rc < 0)
		return rc;
	r->p++;
	r->depth--;
	twice = c->type == JSON_OBJECT ? node_duplicate(c) : NULL;
	if (twice)
		return err_set(r->e, -EINVAL, "line %d: %s: given twice", twice->line,
			       json_path(twice));
	return 0;
}

static int read_text(struct reader *r, const struct place *at, struct json **ret)
{
	__cleanup_slice struct slice text = {0};
	enum json_type type = JSON_STRING;
	int rc = *r->p == '"' ? read_string(r, &text) : read_number(r, &text, &type);

	if (rc < 0)
		return rc;
	*ret = node_add(at->parent, at->key, type, &text, at->line);
	return 0;
}

static int read_value(struct reader *r, const struct place *at, struct json **ret)
{
	struct json *j = NULL;
	char c = peek(r);
	int rc = 0;

	if (c == '"' || c == '-' || (c >= '0' && c <= '9')) {
		rc = read_text(r, at, &j);
	} else if (c == '{' || c == '[') {
		j = node_add(at->parent, at->key, c == '{' ? JSON_OBJECT : JSON_ARRAY, NULL,
			     at->line);
		rc = read_container(r, j, at->want);
	} else if (take_word(r, "null")) {
		j = node_add(at->parent, at->key, JSON_NULL, NULL, at->line);
	} else if (take_word(r, "true") || take_word(r, "false")) {
		j = node_add(at->parent, at->key, JSON_BOOL, NULL, at->line);
		j->value = c == 't';
	} else {
		rc = fail(r, "a value");
	}
	if (rc < 0 && !at->parent)
		json_free(j); /* below the root, the parent owns it */
	else if (ret)
		*ret = j;
	return rc;
}

int json_parse_wanted(const char *text, size_t len, const struct json_want *want, struct json **ret,
		      struct err *e)
{
	struct reader r = {.p = text, .end = text + len, .line_start = text, .line = 1, .e = e};
	__cleanup_json struct json *root = NULL;
	struct place at = {.want = want};
	int rc;

	skip_space(&r);
	at.line = r.line;
	rc = read_value(&r, &at, &root);
	if (rc < 0)
		return rc;
	skip_space(&r);
	if (r.p != r.end)
		return fail(&r, "the end of the document");
	*ret = TAKE(root);
	return 0;
}

int json_parse(const char *text, size_t len, struct json **ret, struct err *e)
{
	return json_parse_wanted(text, len, NULL, ret, e);
}
