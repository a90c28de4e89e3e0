/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Names of hosts as a policy writes them: "api.example.com", or "*.example.com" for every
 * name below it. PURE.
 */
#include <stdbool.h>

#define FQDN_MAX 253 /* characters, RFC 1035 2.3.4 */

/*
 * Is text a pattern? Labels of 1 to 63 letters, digits, '-' and '_' (no IDN: write xn--…), with
 * "*." at most once, in front, and at least two labels behind it; not an address. 0 with the
 * canonical form (lower case, no dot at the end) in ret, or -EINVAL with *ret_reason, a static
 * text, when ret_reason is not NULL.
 */
int fqdn_check(const char *text, char ret[FQDN_MAX + 1], const char **ret_reason);
/* Is name, or every name that it stands for, one of those of pattern? Both canonical. */
bool fqdn_matches(const char *pattern, const char *name);
