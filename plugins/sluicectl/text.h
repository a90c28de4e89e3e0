/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Small things that tables are made of. */
#include <stddef.h>
#include <stdint.h>

#include "json/json.h"

const char *text_of(const struct json *o, const char *key); /* NULL: no string of that name */
int64_t int_of(const struct json *o, const char *key);	    /* 0: no number */
bool bool_of(const struct json *o, const char *key);	    /* false: nothing */

#define AGO_MAX 48
/* "12s", "5m30s", "4h", "3d": as kubectl writes it. */
const char *ago_text(int64_t seconds, char buf[AGO_MAX]);
/* Of "2026-01-31T09:00:00Z" until now; NULL when it is none. */
const char *since_text(const char *time, char buf[AGO_MAX]);

/* A copy with at most max letters, the last of them "…" where something was cut off. */
char *text_cut(const char *s, size_t max);
/* Letters, not bytes: what a table is aligned by. */
size_t text_width(const char *s);
