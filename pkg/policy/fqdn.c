/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/fqdn.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#define LABEL_MAX 63

static int refuse(const char **ret_reason, const char *reason)
{
	if (ret_reason)
		*ret_reason = reason;
	return -EINVAL;
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool is_label_char(char c)
{
	c = lower(c);
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

/* Why s[0..n) is no name, or NULL; counts its labels. */
static const char *name_problem(const char *s, size_t n, size_t *ret_labels)
{
	size_t len = 0, labels = 1;
	bool digits = true; /* the last label: no name ends in a number, every IPv4 address does */

	for (size_t i = 0; i < n; i++) {
		if (s[i] == '*')
			return "'*' stands only in front, as in '*.example.com'";
		if (s[i] != '.' && !is_label_char(s[i]))
			return "only letters, digits, '-', '_' and dots";
		digits = s[i] == '.' || (digits && s[i] >= '0' && s[i] <= '9');
		if (s[i] == '.' && len == 0)
			return "a label between two dots is missing";
		len = s[i] == '.' ? 0 : len + 1;
		labels += s[i] == '.';
		if (len > LABEL_MAX)
			return "a label is longer than 63 characters";
	}
	if (len == 0)
		return "a label between two dots is missing";
	*ret_labels = labels;
	return digits ? "an address, or a name that ends in a number; for addresses write cidr"
		      : NULL;
}

int fqdn_check(const char *text, char ret[FQDN_MAX + 1], const char **ret_reason)
{
	size_t n = strlen(text), labels = 0, star;
	const char *problem;

	if (n > 0 && text[n - 1] == '.')
		n--;
	if (n == 0)
		return refuse(ret_reason, "empty");
	if (n > FQDN_MAX)
		return refuse(ret_reason, "longer than 253 characters");
	star = n > 2 && strncmp(text, "*.", 2) == 0 ? 2 : 0;
	problem = name_problem(text + star, n - star, &labels);
	if (problem)
		return refuse(ret_reason, problem);
	if (star && labels < 2)
		return refuse(ret_reason, "at least two labels must stand behind '*.'");
	for (size_t i = 0; i < n; i++)
		ret[i] = lower(text[i]);
	ret[n] = '\0';
	return 0;
}

bool fqdn_matches(const char *pattern, const char *name)
{
	size_t below, n;

	if (strncmp(pattern, "*.", 2) != 0)
		return strcmp(pattern, name) == 0;
	below = strlen(pattern) - 1; /* with its dot */
	n = strlen(name);
	return n > below && strcmp(name + n - below, pattern + 1) == 0;
}
