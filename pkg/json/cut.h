/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Makes valid JSON again of JSON text that is longer than allowed, or whose writer was killed
 * before its end. The outermost list that the cut falls into keeps the elements that are whole, and
 * all that is open is closed; never is half an element kept. The text must be our own output: what
 * was not JSON before does not become JSON. PURE.
 */
#include <stddef.h>

#include "base/cleanup.h"

struct json_cut {
	char *text; /* NULL: nothing was left out */
	size_t len;
	char *where; /* "items[3].rules"; "": the outermost list */
	size_t kept; /* how many elements, or members, of it */
};

/*
 * Cuts text[0..len) to about max bytes: the closing brackets may come on top of that, and so may an
 * end of line behind a document that just fits.
 */
void json_cut(const char *text, size_t len, size_t max, struct json_cut *ret);
void json_cut_done(struct json_cut *c);
