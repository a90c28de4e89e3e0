/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "policy/doc_priv.h"

#define MAX_MS (24u * 3600 * 1000)

/*
 * "90s", "1m30s", "1h", "100ms": as Go writes durations, in whole numbers and units from
 * large to small.
 */

/* The place of the unit that s begins with; n = none of those from `from` on. */
static size_t unit_find(const char *s, size_t from, uint32_t unit_ms, uint32_t *ret_ms,
			size_t *ret_len)
{
	static const struct {
		const char *name;
		uint32_t ms;
	} units[] = {{"h", 3600000}, {"ms", 1}, {"m", 60000}, {"s", 1000}};
	/* "ms" is looked for before "m", and comes last in a text */
	static const size_t order[] = {0, 3, 1, 2};
	const size_t n = sizeof(units) / sizeof(units[0]);

	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(units[i].name);

		if (strncmp(s, units[i].name, len) != 0)
			continue;
		*ret_ms = units[i].ms;
		*ret_len = len;
		return units[i].ms < unit_ms || order[i] < from ? n : order[i];
	}
	return n;
}

int doc_duration(const struct doc_ctx *c, const struct json *j, uint32_t unit_ms, uint32_t *ret)
{
	const char *s = "";
	uint64_t sum = 0;
	size_t unit = 0;
	int r = doc_string(c, j, DOC_MAX_NAME, &s);

	if (r < 0)
		return r;
	do {
		size_t digits = strspn(s, "0123456789"), len = 0;
		uint32_t ms = 0;
		uint64_t v = 0;

		for (size_t i = 0; i < digits && digits < 7; i++)
			v = v * 10 + (uint64_t)(s[i] - '0');
		unit = unit_find(s + digits, unit, unit_ms, &ms, &len) + 1;
		if (digits == 0 || digits > 6 || !len || unit > 4)
			return doc_fail(c, j, "expected a duration like %s or 1m30s, found %s",
					unit_ms == 1 ? "100ms" : "30s", json_show(j));
		sum += v * ms;
		s += digits + len;
	} while (*s);
	if (sum > MAX_MS)
		return doc_fail(c, j, "expected at most 24h, found %s", json_show(j));
	*ret = (uint32_t)sum;
	return 0;
}
