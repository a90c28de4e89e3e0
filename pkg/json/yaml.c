/* SPDX-License-Identifier: Apache-2.0 */
/*
 * YAML by libyaml's events into the same tree, cut down to what JSON can say.
 * Refused is whatever makes one text mean two things to two readers: tags,
 * anchors and aliases (also the "billion laughs"), merge keys, octal by a leading
 * zero. Words that YAML 1.1 took for booleans (yes, on) are strings as in 1.2;
 * where a boolean or a label is wanted, the getters then name the difference.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <yaml.h>

#include "base/mem.h"
#include "json/tree.h"

struct yaml {
	yaml_parser_t parser;
	int depth;
	struct err *e; /* of the yaml_next() under way */
};

static inline void event_done(yaml_event_t *ev)
{
	yaml_event_delete(ev); /* a zeroed event holds nothing */
}
#define __cleanup_event __cleanup(event_done)

int yaml_open(const char *text, size_t len, struct yaml **ret, struct err *e)
{
	struct yaml *y = mem_alloc0(sizeof(*y));

	if (!yaml_parser_initialize(&y->parser))
		oom();
	yaml_parser_set_encoding(&y->parser, YAML_UTF8_ENCODING);
	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
		text += 3; /* libyaml would count a byte order mark as a column of the first line */
		len -= 3;
	}
	yaml_parser_set_input_string(&y->parser, (const unsigned char *)text, len);
	*ret = y;
	return 0;
}

void yaml_close(struct yaml *y)
{
	if (!y)
		return;
	yaml_parser_delete(&y->parser);
	free(y);
}

static int fail_at(struct yaml *y, const yaml_mark_t *mark, const char *what)
{
	return err_set(y->e, -EINVAL, "line %zu column %zu: %s", mark->line + 1, mark->column + 1,
		       what);
}

/* libyaml decodes ahead of what it parses: its mark is not where the bytes are that it cannot. */
static int fail_decoding(struct yaml *y)
{
	const yaml_parser_t *p = &y->parser;
	const unsigned char *at = p->input.string.start;
	yaml_mark_t mark = {0};

	for (size_t i = 0; i < p->problem_offset && at + i < p->input.string.end; i++) {
		if (at[i] == '\n')
			mark = (yaml_mark_t){.line = mark.line + 1};
		else if ((at[i] & 0xc0) != 0x80)
			mark.column++;
	}
	return err_set(y->e, -EINVAL, "line %zu column %zu: not UTF-8 text: %s", mark.line + 1,
		       mark.column + 1, p->problem ? p->problem : "not readable");
}

static int next_event(struct yaml *y, yaml_event_t *ret)
{
	const yaml_parser_t *p = &y->parser;
	const yaml_mark_t *mark;

	if (yaml_parser_parse(&y->parser, ret) && ret->type != YAML_NO_EVENT)
		return 0;
	if (p->error == YAML_MEMORY_ERROR)
		oom();
	if (p->error == YAML_READER_ERROR)
		return fail_decoding(y);
	mark = &p->problem_mark;
	if (p->error == YAML_SCANNER_ERROR && p->unread && *p->buffer.pointer == '\t')
		return fail_at(y, mark, "found a tab: YAML is indented by spaces alone");
	return err_set(y->e, -EINVAL, "line %zu column %zu: %s%s%s", mark->line + 1,
		       mark->column + 1, p->problem ? p->problem : "not YAML",
		       p->context ? " " : "", p->context ? p->context : "");
}

/* ---- scalars: the core schema of YAML 1.2 (10.3.2) ---- */

static size_t digits(const char *s)
{
	return strspn(s, "0123456789");
}

/* Whether s is [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)? */
static bool is_float(const char *s)
{
	size_t whole, fraction = 0;

	s += *s == '-' || *s == '+';
	whole = digits(s);
	s += whole;
	if (*s == '.') {
		fraction = digits(s + 1);
		s += 1 + fraction;
	}
	if (whole + fraction == 0)
		return false;
	if (*s == 'e' || *s == 'E') {
		s++;
		s += *s == '-' || *s == '+';
		if (digits(s) == 0)
			return false;
		s += digits(s);
	}
	return *s == '\0';
}

static bool is_special_float(const char *s)
{
	static const char *const words[] = {".inf", ".Inf", ".INF", ".nan", ".NaN", ".NAN"};

	s += *s == '-' || *s == '+';
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(s, words[i]) == 0)
			return true;
	return false;
}

static bool is_word(const char *s, const char *const words[3])
{
	return strcmp(s, words[0]) == 0 || strcmp(s, words[1]) == 0 || strcmp(s, words[2]) == 0;
}

struct scalar {
	enum json_type type;
	bool value;	 /* of JSON_BOOL */
	struct slice as; /* the text JSON gets */
};

/* 0x1f and 0o17 become decimal; *ret_is false when s is neither. -EINVAL above 64 bits. */
static int parse_based(const char *s, struct scalar *ret, bool *ret_is)
{
	bool hex = s[0] == '0' && s[1] == 'x', octal = s[0] == '0' && s[1] == 'o';
	const char *allowed = hex ? "0123456789abcdefABCDEF" : "01234567";
	uintmax_t v;

	*ret_is = (hex || octal) && s[2] && s[2 + strspn(s + 2, allowed)] == '\0';
	if (!*ret_is)
		return 0;
	errno = 0;
	v = strtoumax(s + 2, NULL, hex ? 16 : 8);
	if (errno)
		return -EINVAL;
	ret->type = JSON_INT;
	ret->as.p = ret->as.owned = mem_printf("%" PRIuMAX, v);
	ret->as.n = strlen(ret->as.p);
	return 0;
}

/* s is_float. JSON wants a digit on both sides of the point and no plus sign. */
static int parse_decimal(const char *s, struct scalar *ret)
{
	const char *sign = *s == '-' ? "-" : "", *rest;
	size_t whole, fraction;
	bool point;

	s += *s == '-' || *s == '+';
	whole = digits(s);
	if (whole > 1 && *s == '0')
		return -EINVAL;
	rest = s + whole;
	ret->type = *rest ? JSON_DOUBLE : JSON_INT;
	point = *rest == '.';
	rest += point;
	fraction = point ? digits(rest) : 0;
	ret->as.p = ret->as.owned = mem_printf("%s%.*s%s%s%s", sign, whole ? (int)whole : 1,
					       whole ? s : "0", point ? "." : "",
					       point && !fraction ? "0" : "", rest);
	ret->as.n = strlen(ret->as.p);
	return 0;
}

/* NULL, or what is wrong with a plain scalar. */
static const char *resolve_plain(const char *s, struct scalar *ret)
{
	static const char *const null[3] = {"null", "Null", "NULL"};
	static const char *const yes[3] = {"true", "True", "TRUE"};
	static const char *const no[3] = {"false", "False", "FALSE"};
	bool is = false;

	if (*s == '\0' || strcmp(s, "~") == 0 || is_word(s, null)) {
		ret->type = JSON_NULL;
	} else if (is_word(s, yes) || is_word(s, no)) {
		ret->type = JSON_BOOL;
		ret->value = is_word(s, yes);
	} else if (is_special_float(s)) {
		return "expected a finite number";
	} else if (parse_based(s, ret, &is) < 0) {
		return "a number above 64 bits: put it in quotes if it is text";
	} else if (!is && is_float(s) && parse_decimal(s, ret) < 0) {
		return "a number with a leading zero is read differently by different readers: "
		       "drop the zero, or put it in quotes if it is text";
	}
	return NULL;
}

static int resolve(struct yaml *y, const yaml_event_t *ev, struct scalar *ret)
{
	const char *s = (const char *)ev->data.scalar.value;
	const char *problem = NULL;

	*ret = (struct scalar){.type = JSON_STRING};
	if (ev->data.scalar.anchor || ev->data.scalar.tag)
		return fail_at(y, &ev->start_mark, "anchors and tags are not supported");
	if (strlen(s) != ev->data.scalar.length)
		return fail_at(y, &ev->start_mark, "expected no NUL character in a string");
	if (ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
		problem = resolve_plain(s, ret);
	if (problem)
		return fail_at(y, &ev->start_mark, problem);
	if (ret->type == JSON_STRING)
		ret->as = (struct slice){.p = s, .n = ev->data.scalar.length};
	return 0;
}

/* ---- nodes ---- */

struct place {
	struct json *parent;
	const struct slice *key;
	int line; /* of the key, 0 = of the value */
};

static int read_node(struct yaml *y, const yaml_event_t *ev, const struct place *at,
		     struct json **ret);

static int read_key(struct yaml *y, const yaml_event_t *ev, struct slice *ret)
{
	__cleanup_slice struct slice text = {0};
	struct scalar s = {0};
	int rc;

	if (ev->type != YAML_SCALAR_EVENT)
		return fail_at(y, &ev->start_mark, "expected a string as member name");
	rc = resolve(y, ev, &s);
	text.owned = s.as.owned;
	if (rc < 0)
		return rc;
	if (s.type != JSON_STRING)
		return fail_at(y, &ev->start_mark,
			       "expected a string as member name: put it in quotes");
	if (ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && strcmp(s.as.p, "<<") == 0)
		return fail_at(y, &ev->start_mark, "merge keys are not supported");
	*ret = s.as;
	return 0;
}

/* ev is the member's name, already read. */
static int read_member(struct yaml *y, const yaml_event_t *ev, struct json *obj)
{
	__cleanup_event yaml_event_t value = {0};
	struct slice key = {0}; /* borrowed from ev */
	struct place at = {.parent = obj, .key = &key, .line = (int)ev->start_mark.line + 1};
	int rc = read_key(y, ev, &key);

	if (rc < 0)
		return rc;
	rc = next_event(y, &value);
	return rc < 0 ? rc : read_node(y, &value, &at, NULL);
}

static int read_items(struct yaml *y, struct json *c)
{
	for (;;) {
		__cleanup_event yaml_event_t ev = {0};
		struct place at = {.parent = c};
		int rc = next_event(y, &ev);

		if (rc < 0)
			return rc;
		if (ev.type == YAML_SEQUENCE_END_EVENT || ev.type == YAML_MAPPING_END_EVENT)
			return 0;
		rc = c->type == JSON_ARRAY ? read_node(y, &ev, &at, NULL) : read_member(y, &ev, c);
		if (rc < 0)
			return rc;
	}
}

static int read_container(struct yaml *y, const yaml_event_t *ev, struct json *c)
{
	const struct json *twice;
	int rc;

	if (c->type == JSON_ARRAY ? ev->data.sequence_start.anchor || ev->data.sequence_start.tag
				  : ev->data.mapping_start.anchor || ev->data.mapping_start.tag)
		return fail_at(y, &ev->start_mark, "anchors and tags are not supported");
	if (++y->depth > JSON_MAX_DEPTH)
		return err_set(y->e, -E2BIG, "line %zu column %zu: nested deeper than %d",
			       ev->start_mark.line + 1, ev->start_mark.column + 1, JSON_MAX_DEPTH);
	rc = read_items(y, c);
	y->depth--;
	if (rc < 0)
		return rc;
	twice = c->type == JSON_OBJECT ? node_duplicate(c) : NULL;
	if (twice)
		return err_set(y->e, -EINVAL, "line %d: %s: given twice", twice->line,
			       json_path(twice));
	return 0;
}

static int read_scalar(struct yaml *y, const yaml_event_t *ev, const struct place *at,
		       struct json **ret)
{
	__cleanup_slice struct slice owner = {0};
	struct scalar s = {0};
	int rc = resolve(y, ev, &s);

	owner.owned = s.as.owned;
	if (rc < 0)
		return rc;
	*ret = node_add(at->parent, at->key, s.type, s.as.p ? &s.as : NULL, at->line);
	(*ret)->value = s.value;
	return 0;
}

static int read_node(struct yaml *y, const yaml_event_t *ev, const struct place *at,
		     struct json **ret)
{
	struct place here = *at;
	struct json *j = NULL;
	int rc;

	if (!here.line)
		here.line = (int)ev->start_mark.line + 1;
	if (ev->type == YAML_SCALAR_EVENT) {
		rc = read_scalar(y, ev, &here, &j);
	} else if (ev->type == YAML_SEQUENCE_START_EVENT || ev->type == YAML_MAPPING_START_EVENT) {
		j = node_add(here.parent, here.key,
			     ev->type == YAML_SEQUENCE_START_EVENT ? JSON_ARRAY : JSON_OBJECT, NULL,
			     here.line);
		rc = read_container(y, ev, j);
	} else {
		rc = fail_at(y, &ev->start_mark, "aliases are not supported");
	}
	if (rc < 0 && !here.parent)
		json_free(j); /* below the root, the parent owns it */
	else if (ret)
		*ret = j;
	return rc;
}

static bool is_empty(const yaml_event_t *ev)
{
	return ev->type == YAML_SCALAR_EVENT && ev->data.scalar.length == 0 &&
	       ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && !ev->data.scalar.anchor &&
	       !ev->data.scalar.tag;
}

/* One document or, for an empty one, nothing: *ret stays NULL. */
static int read_document(struct yaml *y, struct json **ret)
{
	__cleanup_event yaml_event_t ev = {0}, end = {0};
	__cleanup_json struct json *root = NULL;
	struct place at = {0};
	int rc = next_event(y, &ev);

	if (rc < 0)
		return rc;
	rc = is_empty(&ev) ? 0 : read_node(y, &ev, &at, &root);
	if (rc == 0)
		rc = next_event(y, &end); /* DOCUMENT-END */
	if (rc < 0)
		return rc;
	*ret = TAKE(root);
	return 0;
}

int yaml_next(struct yaml *y, struct json **ret, struct err *e)
{
	struct json *j = NULL;

	y->e = e;
	y->depth = 0;
	while (!j) {
		__cleanup_event yaml_event_t ev = {0};
		int rc = next_event(y, &ev);

		if (rc == 0 && ev.type == YAML_STREAM_END_EVENT)
			break;
		if (rc == 0 && ev.type == YAML_DOCUMENT_START_EVENT)
			rc = read_document(y, &j);
		if (rc < 0)
			return rc;
	}
	*ret = j;
	return 0;
}
