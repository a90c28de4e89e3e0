/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/mem.h"
#include "ctl.h"

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/*
 * How many letters are to be put in, left out, changed or swapped with their neighbour. Three
 * rows of the table are enough: what was reached two letters ago is needed for the swap.
 */
static size_t distance(const char *a, const char *b)
{
	size_t n = strlen(b), result;
	__cleanup_free size_t *rows = mem_alloc0(3 * (n + 1) * sizeof(*rows));
	size_t *two = rows, *one = rows + n + 1, *now = rows + 2 * (n + 1);

	for (size_t j = 0; j <= n; j++)
		one[j] = j;
	for (size_t i = 1; a[i - 1]; i++) {
		size_t *oldest = two;

		now[0] = i;
		for (size_t j = 1; j <= n; j++) {
			now[j] = least(least(one[j], now[j - 1]) + 1,
				       one[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				now[j] = least(now[j], two[j - 2] + 1);
		}
		two = one;
		one = now;
		now = oldest;
	}
	result = one[n];
	return result;
}

/* A name that begins as it does counts, too: pods have endings that nobody remembers. */
const char *closest(const char *name, const char *const *list, size_t n)
{
	size_t len = strlen(name), best = len / 3 + 2;
	const char *found = NULL, *longer = NULL;

	for (size_t i = 0; i < n; i++) {
		size_t d = distance(name, list[i]);

		if (d < best) {
			best = d;
			found = list[i];
		}
		if (!longer && len >= 3 && strncmp(list[i], name, len) == 0)
			longer = list[i];
	}
	return found ?: longer;
}
