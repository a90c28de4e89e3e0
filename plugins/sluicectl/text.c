/* SPDX-License-Identifier: Apache-2.0 */
#include "text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "policy/doc.h"

const char *text_of(const struct json *o, const char *key)
{
	const char *s = NULL;

	return json_string(json_get(o, key), &s, NULL) == 0 ? s : NULL;
}

int64_t int_of(const struct json *o, const char *key)
{
	int64_t v = 0;

	json_int(json_get(o, key), INT64_MIN, INT64_MAX, &v, NULL);
	return v;
}

bool bool_of(const struct json *o, const char *key)
{
	bool b = false;

	json_bool(json_get(o, key), &b, NULL);
	return b;
}

/* The larger unit alone where the smaller one would not matter to anybody. */
const char *ago_text(int64_t seconds, char buf[AGO_MAX])
{
	static const struct {
		int64_t below, unit, rest;
		char name, rest_name;
	} table[] = {
		{120, 1, 0, 's', 0},	       {600, 60, 1, 'm', 's'},
		{3 * 3600, 60, 0, 'm', 0},     {8 * 3600, 3600, 60, 'h', 'm'},
		{48 * 3600, 3600, 0, 'h', 0},  {8 * 86400, 86400, 3600, 'd', 'h'},
		{INT64_MAX, 86400, 0, 'd', 0},
	};
	size_t i = 0;
	int64_t rest;

	if (seconds < 0)
		seconds = 0;
	while (seconds >= table[i].below)
		i++;
	rest = table[i].rest ? seconds % table[i].unit / table[i].rest : 0;
	if (rest)
		snprintf(buf, AGO_MAX, "%" PRId64 "%c%" PRId64 "%c", seconds / table[i].unit,
			 table[i].name, rest, table[i].rest_name);
	else
		snprintf(buf, AGO_MAX, "%" PRId64 "%c", seconds / table[i].unit, table[i].name);
	return buf;
}

const char *since_text(const char *when, char buf[AGO_MAX])
{
	int64_t t;

	return when && doc_moment(when, &t) ? ago_text(time(NULL) - t, buf) : NULL;
}

static bool begins_letter(char c)
{
	return ((unsigned char)c & 0xc0) != 0x80;
}

size_t text_width(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += begins_letter(*s);
	return n;
}

char *text_cut(const char *s, size_t max)
{
	size_t letters = 0, at = 0;

	if (text_width(s) <= max)
		return mem_strdup(s);
	while (s[at] && (letters += begins_letter(s[at])) < max)
		at++;
	return mem_printf("%.*s…", (int)at, s);
}
