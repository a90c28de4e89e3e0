/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * JSON text that is too long, or that somebody was ended over, as JSON again: the outermost list
 * that the end falls into keeps its whole elements, and all that is open is closed. What stood
 * behind is left out, never half of an element. The text is trusted to be our own: what is no JSON
 * stays none.
 */
#include <stddef.h>

#include "base/cleanup.h"

struct json_cut {
	char *text; /* NULL: nothing was left out */
	size_t len;
	char *where; /* "items[3].rules"; "": the outermost list */
	size_t kept; /* how many elements, or members, of it */
};

/* About max bytes: closing brackets may come on top. */
void json_cut(const char *text, size_t len, size_t max, struct json_cut *ret);
void json_cut_done(struct json_cut *c);
