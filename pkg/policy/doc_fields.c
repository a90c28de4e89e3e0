/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "policy/doc_priv.h"

struct doc_src doc_src_of(const struct doc_ctx *c, const struct json *j)
{
	return (struct doc_src){.in = c->file, .line = json_line(j)};
}

const char *doc_src_file(const struct doc_src *src)
{
	return src->in ? src->in->name : NULL;
}

int doc_src_line(const struct doc_src *src)
{
	return src->line ? src->line + (src->in ? src->in->before : 0) : 0;
}

int doc_tell(const struct doc_set *set, const struct err *e)
{
	struct doc_mistakes *m = set->mistakes;

	if (m && m->n < DOC_MAX_MISTAKES)
		m->items[m->n++] = mem_strdup(e->msg);
	return e->code;
}

bool doc_goes_on(const struct doc_set *set, int r)
{
	return r == 0 || (set->mistakes && set->mistakes->n < DOC_MAX_MISTAKES);
}

int doc_fail(const struct doc_ctx *c, const struct json *at, const char *fmt, ...)
{
	char text[sizeof(c->e->msg)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	err_set(c->e, -EINVAL, "%s:%d: %s: %s", c->file->name, json_line(at), json_path(at), text);
	return doc_tell(c->set, c->e);
}

/* Puts file and line before the message of a json_*() getter, which has the path. */
static int wrap(const struct doc_ctx *c, const struct json *at, int r)
{
	if (r == 0)
		return 0;
	err_wrap(c->e, "%s:%d", c->file->name, json_line(at));
	return doc_tell(c->set, c->e);
}

/* ---- objects and lists ---- */

static int fail_unknown(const struct doc_ctx *c, const struct json *at, const struct field *fields)
{
	char known[256] = "";
	size_t n = 0;

	for (const struct field *f = fields; f->name && n < sizeof(known) - 1; f++)
		if (f->use == FIELD_OPTIONAL || f->use == FIELD_REQUIRED)
			n += (size_t)snprintf(known + n, sizeof(known) - n, "%s%s", n ? ", " : "",
					      f->name);
	return doc_fail(c, at, "unknown field, expected %s", n ? known : "none");
}

static int parse_member(const struct doc_ctx *c, const struct json *j, const struct field *f,
			void *out)
{
	int r = 0;

	if (f->use == FIELD_IGNORED)
		return 0;
	if (f->use == FIELD_LATER)
		return doc_fail(c, j, "not supported by this version");
	if (f->sub)
		r = doc_fields(c, j, f->sub, out);
	if (r == 0 && f->parse)
		r = f->parse(c, j, out);
	return r;
}

static int find_member(const struct doc_ctx *c, const struct json *j, size_t i,
		       const struct field *fields, void *out)
{
	const struct json *member = json_value_at(j, i);
	const struct field *f = fields;

	while (f->name && strcmp(f->name, json_key_at(j, i)) != 0)
		f++;
	if (f->name)
		return parse_member(c, member, f, out);
	return f->use == FIELD_IGNORED ? 0 : fail_unknown(c, member, fields);
}

int doc_fields(const struct doc_ctx *c, const struct json *j, const struct field *fields, void *out)
{
	int r = wrap(c, j, json_expect(j, JSON_OBJECT, c->e));

	if (r < 0)
		return r;
	for (size_t i = 0; i < json_len(j) && doc_goes_on(c->set, r); i++)
		r = find_member(c, j, i, fields, out) ?: r;
	for (const struct field *f = fields; f->name && doc_goes_on(c->set, r); f++)
		if (f->use == FIELD_REQUIRED && !json_get(j, f->name))
			r = doc_fail(c, j, "expected a field '%s', found none", f->name);
	return r;
}

int doc_list(const struct doc_ctx *c, const struct json *j, size_t max, parse_fn *item, void *out)
{
	int r = wrap(c, j, json_expect(j, JSON_ARRAY, c->e));

	if (r < 0)
		return r;
	if (json_len(j) == 0 || json_len(j) > max)
		return doc_fail(c, j, "expected 1 to %zu items, found %zu", max, json_len(j));
	for (size_t i = 0; i < json_len(j) && doc_goes_on(c->set, r); i++)
		r = item(c, json_at(j, i), out) ?: r;
	return r;
}

int doc_core_list(const struct doc_ctx *c, const struct json *j, parse_fn *item, void *out)
{
	if (json_type(j) == JSON_NULL || (json_type(j) == JSON_ARRAY && json_len(j) == 0))
		return 0;
	return doc_list(c, j, DOC_MAX_LIST, item, out);
}

int doc_union(const struct doc_ctx *c, const struct json *j, const char *const *names)
{
	char all[128] = "", given[128] = "";
	size_t n_all = 0, n_given = 0;
	int r = wrap(c, j, json_expect(j, JSON_OBJECT, c->e)), count = 0;

	if (r < 0)
		return r;
	for (; *names; names++) {
		if (n_all < sizeof(all))
			n_all += (size_t)snprintf(all + n_all, sizeof(all) - n_all, "%s%s",
						  n_all ? ", " : "", *names);
		if (!json_get(j, *names))
			continue;
		if (n_given < sizeof(given))
			n_given += (size_t)snprintf(given + n_given, sizeof(given) - n_given,
						    "%s%s", count ? " and " : "", *names);
		count++;
	}
	return count == 1 ? 0
			  : doc_fail(c, j, "expected exactly one of %s, found %s", all,
				     count ? given : "none");
}

/* ---- scalars ---- */

int doc_string(const struct doc_ctx *c, const struct json *j, size_t max, const char **ret)
{
	const char *s = "";
	int r = wrap(c, j, json_string(j, &s, c->e));

	if (r < 0)
		return r;
	if (strlen(s) > max)
		return doc_fail(c, j, "expected at most %zu bytes, found %zu", max, strlen(s));
	*ret = s;
	return 0;
}

int doc_int(const struct doc_ctx *c, const struct json *j, int64_t max, int64_t *ret)
{
	return wrap(c, j, json_int(j, 0, max, ret, c->e));
}

int doc_choice(const struct doc_ctx *c, const struct json *j, const struct choice *choices,
	       int *ret)
{
	const char *s = "";
	char known[128] = "";
	size_t n = 0;
	int r = wrap(c, j, json_string(j, &s, c->e));

	if (r < 0)
		return r;
	for (; choices->name; choices++) {
		if (strcmp(choices->name, s) == 0 && choices->value == CHOICE_LATER)
			return doc_fail(c, j, "'%s' is not supported by this version", s);
		if (strcmp(choices->name, s) == 0) {
			*ret = choices->value;
			return 0;
		}
		if (choices->value != CHOICE_LATER && n < sizeof(known))
			n += (size_t)snprintf(known + n, sizeof(known) - n, "%s%s", n ? ", " : "",
					      choices->name);
	}
	return doc_fail(c, j, "expected one of %s, found %s", known, json_show(j));
}

int doc_bool(const struct doc_ctx *c, const struct json *j, bool *ret)
{
	return wrap(c, j, json_bool(j, ret, c->e));
}

int doc_cidr(const struct doc_ctx *c, const struct json *j, struct cidr *ret)
{
	const char *s = "";
	int r = doc_string(c, j, CIDR_STRLEN, &s);

	if (r < 0)
		return r;
	r = cidr_parse(s, ret);
	return r == 0 ? 0
		      : doc_fail(c, j, "expected a CIDR, found %s: %s", json_show(j),
				 cidr_parse_reason(r));
}

int doc_addr(const struct doc_ctx *c, const struct json *j, struct addr *ret)
{
	const char *s = "";
	int r = doc_string(c, j, ADDR_STRLEN, &s);

	if (r < 0)
		return r;
	return addr_parse(s, ret) == 0
		       ? 0
		       : doc_fail(c, j, "expected an IP address, found %s", json_show(j));
}

/* ---- names ---- */

static bool is_short_label(const char *s)
{
	return strlen(s) <= 63 && is_dns_label(s, strlen(s));
}

static bool is_subdomain(const char *s)
{
	return is_dns_subdomain(s, strlen(s));
}

/* IFNAMSIZ, and what dev_valid_name() of the kernel refuses. */
static bool is_interface(const char *s)
{
	size_t n = strlen(s);

	for (size_t i = 0; i < n; i++)
		if (s[i] == '/' || s[i] == ':' || s[i] <= ' ' || s[i] == 0x7f)
			return false;
	return n > 0 && n < 16 && strcmp(s, ".") != 0 && strcmp(s, "..") != 0;
}

/* j as a string that is_valid; expected describes those. */
static int parse_name(const struct doc_ctx *c, const struct json *j, bool (*is_valid)(const char *),
		      const char *expected, char **ret)
{
	const char *s = "";
	int r = doc_string(c, j, DOC_MAX_STRING, &s);

	if (r < 0)
		return r;
	if (!is_valid(s))
		return doc_fail(c, j, "expected %s, found %s", expected, json_show(j));
	*ret = mem_strdup(s);
	return 0;
}

int doc_subdomain(const struct doc_ctx *c, const struct json *j, char **ret)
{
	return parse_name(c, j, is_subdomain, "a DNS name of at most 253 lower-case characters",
			  ret);
}

int doc_dns_label(const struct doc_ctx *c, const struct json *j, char **ret)
{
	return parse_name(c, j, is_short_label, "a DNS label of at most 63 lower-case characters",
			  ret);
}

int doc_interface(const struct doc_ctx *c, const struct json *j, char **ret)
{
	return parse_name(c, j, is_interface, "an interface name of at most 15 characters", ret);
}
